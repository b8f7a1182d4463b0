"""Lines of logs, for people (``text``) or for machines (``json``): one record is one line, and no secret is in it.

``json``: one object a line, members as in :data:`MEMBERS`, an exception in one of them. ``text``: time, level, logger
and message, then the same fields in brackets; further lines of a record are indented, so that none can be forged.
"""

import json
import logging
import os
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

from resit.telemetry.context import FIELDS, fields
from resit.telemetry.secrets import masked

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")
MEMBERS = {
    "time": "ISO 8601 in UTC, to milliseconds, with `Z`",
    "level": "`debug`, `info`, `warning`, `error` or `critical`",
    "logger": "the module that says it",
    "message": "what it says",
    "process": "`server` or `worker`",
    "pid": "the process's number on its machine",
    **FIELDS,
    "http": "an object about a request that was answered; with `--access-log` alone",
    "exception": "the whole traceback in one text",
}
"""The members of a line of JSON, and what they mean. Those that a line has nothing to say of are left out."""

MAX_MESSAGE = 16_000
MAX_EXCEPTION = 64_000
_QUIET = ("alembic", "httpx", "httpcore", "uvicorn", "opentelemetry", "urllib3")
"""Libraries that are heard from ``warning`` on: a line a request would drown what matters, and some hold secrets."""


class _Lines(logging.Formatter):
    """What both forms have in common: ``about`` stands in every line, unless a record knows better."""

    def __init__(self, process: str, about: Mapping[str, str | int]) -> None:
        super().__init__()
        self._process, self._about = process, dict(about)

    def _words(self, record: logging.LogRecord) -> str:
        try:
            words = record.getMessage()
        except Exception as error:
            # A log call that is wrong must not hide what it was about.
            words = f"{record.msg!r} with {record.args!r} ({error!r})"
        return _cut(masked(words), MAX_MESSAGE)

    def _traceback(self, record: logging.LogRecord) -> str:
        text = self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else record.exc_text
        if record.stack_info:
            text = "\n".join(filter(None, (text, record.stack_info)))
        return _cut(masked(text), MAX_EXCEPTION) if text else ""

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        own = {name: value for name in FIELDS if (value := record.__dict__.get(name)) is not None}
        found = {**self._about, **fields(), **own}
        return {
            name: masked(value) if isinstance(value := found[name], str) else value for name in FIELDS if name in found
        }

    def _time(self, record: logging.LogRecord) -> str:
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonLines(_Lines):
    """See the module."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        said: dict[str, Any] = {
            "time": self._time(record),
            "level": record.levelname.lower(),
            "logger": f"resit.{self._process}" if record.name == "__main__" else record.name,
            "message": self._words(record),
            "process": self._process,
            "pid": record.process,
            **self._fields(record),
        }
        if http := record.__dict__.get("http"):
            said["http"] = http
        if traceback := self._traceback(record):
            said["exception"] = traceback
        # ASCII alone: half a character must not make a line that nobody can read.
        return json.dumps({name: value for name, value in said.items() if value != ""}, default=str)


class TextLines(_Lines):
    """See the module."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback below."""
        name = self._process if self._process == "worker" else record.name
        words = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in self._words(record))
        line = f"{self._time(record)} {record.levelname} {name}: {words.replace(chr(10), chr(10) + '    ')}"
        if found := self._fields(record):
            line += f" [{' '.join(f'{name}={value}' for name, value in found.items())}]"
        traceback = self._traceback(record)
        return f"{line}\n{traceback}" if traceback else line


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"


class _Handler(logging.StreamHandler[TextIO]):
    """A line goes out as a whole, so that the lines of a server and its worker don't mix in the file they share."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = (self.format(record) + "\n").encode(errors="backslashreplace")
            self.stream.flush()
            number = self.stream.fileno()
        except (OSError, ValueError):
            super().emit(record)
            return
        try:
            while line:
                line = line[os.write(number, line) :]
        except OSError:
            # Nobody reads any more; there is no place left to say so.
            return


def configure(
    format: str = "text",
    level: str = "info",
    *,
    process: str = "server",
    about: Mapping[str, str | int] | None = None,
    stream: TextIO | None = None,
) -> None:
    """Have all that this process logs written to ``stream`` (standard error), in one of :data:`FORMATS`.

    ``level``: one of :data:`LEVELS`. ``about``: fields that every line has, like the worker's name. Raises ValueError.
    """
    if format not in FORMATS or level not in LEVELS:
        raise ValueError(f"log format {format!r}, level {level!r}: there are {FORMATS} and {LEVELS}")
    lines = (JsonLines if format == "json" else TextLines)(process, about or {})
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(lines)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def _uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """The last words of a process are lines too. Ctrl-C is not an error."""
    if not issubclass(kind, KeyboardInterrupt):
        logging.getLogger("resit").critical("it ends: %s", error, exc_info=(kind, error, traceback))


def _uncaught_in_thread(about: threading.ExceptHookArgs) -> None:
    if about.exc_value is not None and not isinstance(about.exc_value, SystemExit):
        found = (about.exc_type, about.exc_value, about.exc_traceback)
        logging.getLogger("resit").error("a thread ended: %s", about.exc_value, exc_info=found)
