"""Options that several commands share, and how their values are read."""

import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from resit.cli.settings import CommandError
from resit.cli.sizes import read_size

_MANY = (1, None)

RunRef = Annotated[str, Parameter(help="Number, short id or uuid of the run.")]
ProjectRef = Annotated[str, Parameter(help="Slug of the project.")]
LogFormat = Annotated[
    Literal["text", "json"],
    Parameter(env_var="RESIT_LOG_FORMAT", help="A log for people, or one JSON object a line.", show_default=True),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    Parameter(env_var="RESIT_LOG_LEVEL", help="The least that is logged.", show_default=True),
]
Wait = Annotated[bool, Parameter(help="Follow the run to its end; the exit code tells how it came out.")]
Junit = Annotated[
    Path | None, Parameter(metavar="FILE", help="With --wait: write the run as a JUnit file when it is over.")
]
Tests = Annotated[
    tuple[str, ...],
    Parameter(
        name="--test",
        metavar="ID",
        consume_multiple=_MANY,
        help="Id of a test, as `resit show RUN --tests` prints it. Several ids, or several times. "
        "An id that begins with a hyphen: --test=-odd.",
    ),
]
Variables = Annotated[
    tuple[str, ...],
    Parameter(
        name="--var",
        metavar="K=V",
        consume_multiple=_MANY,
        help="Environment variable K=V for the tests. Can be repeated.",
    ),
]
Many = Parameter(consume_multiple=_MANY)
Priority = Annotated[
    int | None, Parameter(metavar="N", help="From -100 to 100; where runs wait, a higher one goes first.")
]
MaxFailures = Annotated[
    int | None, Parameter(metavar="N", help="Stop after N failed, errored or lost tests, on all shards; 0: never.")
]
TargetTime = Annotated[
    str | None,
    Parameter(metavar="5m", help="As many shards as it takes to be done in that time, as far as earlier runs tell."),
]
At = Annotated[
    str | None,
    Parameter(metavar="TIME", help="Start no sooner, like 2026-12-01T09:00+01:00; the distance from UTC is needed."),
]
In = Annotated[str | None, Parameter(name="--in", metavar="30m", help="Start that much later instead, like 30m or 2h.")]

_SCP = re.compile(r"[\w.-]+@[\w.-]+:")
_URL = re.compile(r"(?:https?|ssh|git|file)://", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,12}(\.\d{1,3})?")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}


def pairs(values: Iterable[str], flag: str) -> dict[str, str]:
    """``K=V`` to names and values, split at the first ``=``."""
    found: dict[str, str] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise CommandError(
                f"{flag} {text!r}: write K=V", f"for example {flag} BASE_URL=https://staging.example.org"
            )
        found[name] = value
    return found


def secrets(values: Iterable[str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """``K=V``, or ``K`` alone, whose value then comes from the environment variable K. Messages never show a value."""
    found: dict[str, str] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not name:
            raise CommandError("--secret: the name before '=' is missing", "write --secret K, or K=V")
        if not equals:
            if name not in environ:
                raise CommandError(
                    f"--secret {name}: there is no environment variable {name} to take its value from",
                    f"set it, or write --secret {name}=VALUE (which stays in the shell's history)",
                )
            value = environ[name]
        found[name] = value
    return found


def ids(values: Iterable[str]) -> list[str]:
    """Test ids, each once. An empty one is a mistake of a script, and must not select everything."""
    found = list(dict.fromkeys(values))
    if any(not id.strip() for id in found):
        raise CommandError("--test was given an empty id", "leave --test out to run everything")
    return found


def seconds(text: str, flag: str) -> float:
    """``30d``, ``12h``, ``45min`` as seconds."""
    found = _SPAN.fullmatch(text.strip().lower())
    if not found or not float(found[1]):
        raise CommandError(f"{flag} {text!r}: write a number and a unit", f"for example {flag} 30d or {flag} 12h")
    return float(found[1]) * _SECONDS[found[2]]


def limit(text: str | None, flag: str) -> float | None:
    """A span as seconds, ``none`` as 0; None for what was not given."""
    if text is None:
        return None
    return 0.0 if text.strip().lower() in ("none", "0") else seconds(text, flag)


def number(text: str | None, flag: str) -> float | None:
    """A number of 0 or more, ``none`` as 0; None for what was not given."""
    if text is None:
        return None
    word = text.strip().lower()
    if word != "none" and not _NUMBER.fullmatch(word):
        raise CommandError(f"{flag} {text!r}: write a number, or none", f"for example {flag} 30")
    return 0.0 if word == "none" else float(word)


def whole(text: str | None, flag: str) -> int | None:
    """The same for whole numbers."""
    if text is not None and "." in text:
        raise CommandError(f"{flag} {text!r}: write a whole number, or none", f"for example {flag} 500")
    found = number(text, flag)
    return None if found is None else int(found)


def size(text: str | None, flag: str) -> int | None:
    """``20GB`` as bytes, ``none`` as 0; None for what was not given."""
    if text is None:
        return None
    found = 0 if text.strip().lower() == "none" else read_size(text)
    if found is None:
        raise CommandError(f"{flag} {text!r}: write a size, or none", f"for example {flag} 20GB or {flag} 500MiB")
    return found


def start(at: str | None, later: str | None, now: datetime | None = None) -> str | None:
    """When a run is to start, from ``--at`` and ``--in``; None for at once."""
    if at is not None and later is not None:
        raise CommandError("--at and --in exclude each other", "choose one of the two")
    if later is not None:
        found = (now or datetime.now(UTC)) + timedelta(seconds=seconds(later, "--in"))
        return found.isoformat(timespec="milliseconds")
    if at is None:
        return None
    try:
        found = datetime.fromisoformat(at.strip())
    except ValueError:
        raise CommandError(f"--at {at!r} is no time", "for example --at 2026-12-01T09:00+01:00, or --in 30m") from None
    if found.tzinfo is None:
        raise CommandError(
            f"--at {at!r} does not say where its clock is: the distance from UTC is missing",
            f"for example --at {found.isoformat(timespec='minutes')}+01:00, or Z for UTC",
        )
    return found.isoformat()


def source(text: str) -> str:
    """A git URL as it is, a local folder as an absolute path."""
    if not text.strip():
        raise CommandError("--source is empty", "name a folder or a git URL")
    if _URL.match(text) or _SCP.match(text):
        return text
    path = Path(text).expanduser()
    if text.endswith(".git") and not path.exists():
        return text
    return os.path.normpath(path.absolute())
