"""Run a program to its end: its output line by line, in its own process group, within a time limit."""

import asyncio
import codecs
import contextlib
import os
import secrets
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from resit.processes import child_setup, kill_all, marked

TAIL = 20
"""Lines that are kept for a message about a failure."""
LONGEST_LINE = 10_000
"""Characters of a line that are kept."""
_POLITE_SECONDS = 2.0
_LAST_WORDS_SECONDS = 1.0

Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended. ``code`` is negative for a signal; ``out`` is its standard output where it was kept."""

    code: int
    tail: tuple[str, ...]
    out: str = ""
    timed_out: bool = False

    def last_words(self, lines: int = 3) -> str:
        """The last lines that say something, as one line."""
        told = [line.strip() for line in self.tail if line.strip()]
        return " / ".join(told[-lines:]) or "it printed nothing"


class _Lines:
    """Cuts a stream of bytes into lines; a line that a carriage return overwrites (progress) is not a line."""

    def __init__(self, log: Log, tail: deque[str]) -> None:
        self._log = log
        self._tail = tail
        self._rest = ""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def feed(self, data: bytes, final: bool = False) -> None:
        *lines, self._rest = (self._rest + self._decode(data, final)).replace("\r\n", "\n").split("\n")
        if len(self._rest) > 4 * LONGEST_LINE:  # endless progress, or no line at all
            self._rest = self._rest[-LONGEST_LINE:]
        if final and self._rest:
            lines.append(self._rest)
        for line in lines:
            shown = line.rstrip("\r").rpartition("\r")[2][:LONGEST_LINE]
            self._tail.append(shown)
            self._log(shown)


async def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Log,
    limit: float,
    keep_out: bool = False,
    keep_open: Sequence[int] = (),
) -> Finished:
    """Run ``argv``; what it prints goes to ``log``, or its standard output to ``Finished.out`` with ``keep_out``.

    After ``limit`` seconds, and when the caller is cancelled, it is ended with all that it started, wherever that went.
    What it leaves running in its group when it ends by itself is ended, too. ``keep_open``: file descriptors that it
    inherits. Raises OSError when it can't start.
    """
    marker = secrets.token_hex(16)
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=cwd,
        env=marked(env, marker),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE if keep_out else asyncio.subprocess.STDOUT,
        start_new_session=True,
        pass_fds=tuple(keep_open),
        preexec_fn=child_setup(),
    )
    tail: deque[str] = deque(maxlen=TAIL)
    kept: list[bytes] = []
    readers = [asyncio.create_task(_read(process.stdout, kept.append if keep_out else _Lines(log, tail)))]
    if keep_out:
        readers.append(asyncio.create_task(_read(process.stderr, _Lines(log, tail))))
    timed_out = ended = False
    try:
        try:
            await asyncio.wait_for(process.wait(), max(limit, 0.01))
            ended = True
        except TimeoutError:
            timed_out = True
            _signal(process.pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _POLITE_SECONDS)
    finally:
        _signal(process.pid, signal.SIGKILL)
        if not ended:
            kill_all(lambda found: marker.encode() in found.environ)
        await process.wait()
        # A process that left the group may hold the pipe for ever; its words don't matter any more.
        await asyncio.wait(readers, timeout=_LAST_WORDS_SECONDS)
        for reader in readers:
            reader.cancel()
    out = b"".join(kept).decode(errors="replace")
    return Finished(process.returncode or 0, tuple(tail), out, timed_out)


async def _read(stream: asyncio.StreamReader | None, to: "_Lines | Callable[[bytes], None]") -> None:
    while stream and (data := await stream.read(65536)):
        to.feed(data) if isinstance(to, _Lines) else to(data)
    if isinstance(to, _Lines):
        to.feed(b"", final=True)


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
