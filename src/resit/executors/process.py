"""Processes of tests: start them in a group of their own, read what they print, and leave nothing of them behind.

Linux is where workers run in earnest. Elsewhere the same interface works with the process group alone: a grandchild
that left the group is not found there.
"""

import asyncio
import codecs
import contextlib
import json
import logging
import os
import secrets
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from resit.processes import Found, child_setup, has_proc, kill_all, marked, started, sweep

__all__ = ["Exit", "Output", "SpoolTail", "TestProcess", "sweep"]

log = logging.getLogger(__name__)

_LINE_LIMIT = 64 * 1024
_READ_SIZE = 64 * 1024
_OUTPUT_WAIT = 1.0  # seconds for the rest of the output once the process has ended
_KILL_WAIT = 0.8  # seconds until a process that was sent SIGKILL is expected to be gone
_POLL = 0.05
_SPOOL_READ = 1024 * 1024


_alive: dict[int, int] = {}
"""When the processes of tests that have not been cleaned up after were started, by pid."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: with an exit code, or by a signal (its name, such as ``SIGKILL``)."""

    code: int | None
    signal: str | None

    def __str__(self) -> str:
        return f"exit code {self.code}" if self.signal is None else f"signal {self.signal}"

    @classmethod
    def of(cls, returncode: int) -> Self:
        """From the return code of :mod:`subprocess`, where a negative number is a signal."""
        if returncode >= 0:
            return cls(returncode, None)
        try:
            return cls(None, signal.Signals(-returncode).name)
        except ValueError:  # real-time signals have no name of their own
            return cls(None, f"signal {-returncode}")


class TestProcess:
    """A process of tests, in a session and process group of its own.

    Whatever it starts can be found again: by the group, and on Linux by a marker in the environment that grandchildren
    inherit, wherever they moved. Use :meth:`start`; end with :meth:`wait` and :meth:`cleanup`, or with :meth:`stop`.
    """

    __test__ = False

    def __init__(self, process: asyncio.subprocess.Process, marker: str, output: "Output") -> None:
        self.pid = process.pid
        self._process = process
        self._marker = marker.encode()
        self._output = output
        self._started = _alive[self.pid] = started(process.pid)
        self._stopping = asyncio.Lock()
        self._given_up = asyncio.Event()

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        on_output: Callable[[str], None],
        on_sign: Callable[[], None] = lambda: None,
        nice: int = 0,
    ) -> Self:
        """Start ``argv`` in ``cwd`` with exactly ``env`` (and a marker); stdin is empty.

        ``on_output`` gets what it prints, stdout and stderr joined, as text of one or more whole lines, each with its
        line end; ``on_sign`` is called for any output, be it half a line. ``nice``: by so much it gives way to others.
        Raises :class:`OSError` when the program can't be started.
        """
        marker = secrets.token_hex(16)
        reading, writing = os.pipe()
        try:
            # The pipe is our own: asyncio would tie the end of the process to the end of the pipe, and a web server
            # left behind by the tests holds it open.
            process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=cwd,
                env=marked(env, marker),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
                preexec_fn=child_setup(nice),
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return cls(process, marker, Output(reading, on_output, on_sign))

    async def wait(self) -> Exit:
        """Wait for the end of the process, and for its output: at most a second if someone holds the pipe open.

        Returns with SIGKILL when :meth:`stop` gave it up: a process that the kernel doesn't let go of (waiting for a
        dead disk) can't be waited for.
        """
        waits = [asyncio.ensure_future(self._process.wait()), asyncio.ensure_future(self._given_up.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
        await self._output.finish(_OUTPUT_WAIT)
        return self._exit()

    def _exit(self) -> Exit:
        returncode = self._process.returncode
        return Exit(None, "SIGKILL") if returncode is None else Exit.of(returncode)

    async def stop(self, grace: float = 2.5) -> Exit:
        """End the process and all it started: SIGINT to the group, ``grace`` seconds, SIGKILL, then the survivors.

        May be called again, also at the same time, and after the end. Takes at most ``grace`` + 2 seconds.
        """
        async with self._stopping:
            if self._process.returncode is None:
                self._signal_group(signal.SIGINT)
                # One that was stopped (SIGSTOP, a terminal's SIGTTOU) hears nothing before it goes on.
                self._signal_group(signal.SIGCONT)
                await self._ended(grace)
            self.cleanup()
            await self._ended(_KILL_WAIT)
            await self._output.finish(_OUTPUT_WAIT)
            self._given_up.set()
            return self._exit()

    def cleanup(self) -> int:
        """Kill whatever of the process is still there (its group, and what left the group); how many that were."""
        if not has_proc():
            return int(self._signal_group(signal.SIGKILL))
        _alive.pop(self.pid, None)
        # Not by the group's number alone: it may belong to a stranger once the group is empty.
        return kill_all(lambda f: self._marker in f.environ or f.session == self.pid or self._adopted(f))

    def _adopted(self, found: Found) -> bool:
        """True for an orphan that the worker has adopted and that bears no mark: a daemon with an empty environment.

        It is ours if no other process of tests could have started it that is still there to clean up after itself.
        """
        if found.parent != os.getpid() or found.ours or found.started < self._started:
            return False
        return all(began > found.started for began in _alive.values())

    async def _ended(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), seconds)

    def _signal_group(self, number: signal.Signals) -> bool:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):  # macOS says "permission" of a group of zombies
            return False
        return True


class Output:
    """Reads a pipe in the event loop and hands on whole lines; it closes the pipe."""

    def __init__(self, fd: int, on_output: Callable[[str], None], on_sign: Callable[[], None]) -> None:
        self._fd = fd
        self._on_output = on_output
        self._on_sign = on_sign
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._pending = ""
        self._closed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._readable)

    async def finish(self, seconds: float) -> None:
        """Wait for the end of the output, at most ``seconds``; afterwards nothing more is read."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), seconds)
        self._close()

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._close()
            return
        self._on_sign()
        self._pending += self._decoder.decode(data)
        end = self._pending.rfind("\n") + 1
        if end:
            self._emit(self._pending[:end])
            self._pending = self._pending[end:]
        while len(self._pending) > _LINE_LIMIT:
            self._emit(self._pending[:_LINE_LIMIT] + "\n")
            self._pending = self._pending[_LINE_LIMIT:]

    def _close(self) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        rest = self._pending + self._decoder.decode(b"", final=True)
        self._pending = ""
        if rest:
            self._emit(rest + "\n")

    def _emit(self, text: str) -> None:
        if len(text) <= _LINE_LIMIT + 1:
            self._on_output(text)
            return
        for line in text.split("\n")[:-1]:  # each piece ends with a line end, so the last part is empty
            for start in range(0, max(len(line), 1), _LINE_LIMIT):
                self._on_output(line[start : start + _LINE_LIMIT] + "\n")


class SpoolTail:
    """Follows a file of JSON lines that an injected reporter appends to; the file may not exist yet.

    ``on_line`` gets each line that is a JSON object, in order, in the event loop; ``on_sign`` is called for anything
    new, be it half a line.
    """

    def __init__(
        self, path: Path, on_line: Callable[[dict[str, Any]], None], on_sign: Callable[[], None] = lambda: None
    ) -> None:
        self._path = path
        self._on_line = on_line
        self._on_sign = on_sign
        self._offset = 0
        self._pending = b""

    async def run(self) -> None:
        """Hand on new lines as they come, until cancelled."""
        while True:
            more = self._read()
            await asyncio.sleep(0 if more else _POLL)

    def drain(self) -> None:
        """Hand on everything that is there now. A last line that was cut off is ignored."""
        while self._read():
            pass

    def _read(self) -> bool:
        """Hand on at most one piece of the file; True when there may be more."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(_SPOOL_READ)
        except OSError:
            return False
        self._offset += len(data)
        if data:
            self._on_sign()
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            self._line(line)
        return len(data) == _SPOOL_READ

    def _line(self, line: bytes) -> None:
        try:
            value: object = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(value, dict):
            return
        try:
            self._on_line(cast("dict[str, Any]", value))
        except (LookupError, TypeError, ValueError, AttributeError):
            # Tests may write into any file of theirs, so into this one: what they lose is one line, not the rest.
            log.warning("a line of %s can't be understood: %r", self._path.name, line[:200], exc_info=True)
