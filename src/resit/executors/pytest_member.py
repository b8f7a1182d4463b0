"""A process that executes the tests it is given: a pytest of its own, or a lane that one has forked."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from resit.executors.process import Exit, Output, SpoolTail
from resit.executors.pytest_events import Progress
from resit.executors.stacks import Hang, ask, hang
from resit.executors.watch import Overdue, Watch
from resit.processes import has_proc, kill_all

__all__ = ["Bell", "Channel", "Forked", "Member"]

_KILL_WAIT = 0.8
_KNOWN_WAIT = 1.0
_OUTPUT_WAIT = 1.0


class Channel:
    """The way to a process: a FIFO of commands, a line of JSON each. A folder of its own, for what belongs to it."""

    def __init__(self, folder: Path, bell: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.tasks, self.bell = folder / "tasks", bell
        os.mkfifo(self.tasks, 0o600)
        # For both directions: it can be opened before the other end is, and nothing in it is lost when that changes.
        self._fd = os.open(self.tasks, os.O_RDWR | os.O_NONBLOCK)
        self._unsent = b""
        self._loop = asyncio.get_running_loop()

    def say(self, **command: Any) -> None:
        """Send a command; what does not go in now follows."""
        waits, self._unsent = bool(self._unsent), self._unsent + json.dumps(command).encode() + b"\n"
        if not waits:
            self._send()

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._fd, self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = b""  # closed
        if self._unsent:
            self._loop.add_writer(self._fd, self._send)
        else:
            self._loop.remove_writer(self._fd)

    def close(self) -> None:
        """No more is said."""
        if self._fd >= 0:
            self._loop.remove_writer(self._fd)
            os.close(self._fd)
            self._fd = -1


class Bell:
    """A FIFO in which processes say that they have written something."""

    def __init__(self, path: Path, heard: Callable[[], None]) -> None:
        self.path, self._heard = path, heard
        os.mkfifo(path, 0o600)
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._rings)

    def _rings(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 4096)
        self._heard()

    def close(self) -> None:
        """Nobody listens any more."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


class Process(Protocol):
    """What a member is for the system."""

    async def wait(self) -> Exit:
        """Wait for its end and for its output."""
        ...

    async def stop(self, grace: float = 2.5) -> Exit:
        """End it and all it started."""
        ...


class Forked:
    """A lane that a host has forked. It is no child of ours: how it ended, it says itself, or its host does."""

    def __init__(self, channel: Channel, on_output: Callable[[str], None], on_sign: Callable[[], None]) -> None:
        self.marker = secrets.token_hex(16)
        self.path = channel.folder / "output"
        os.mkfifo(self.path, 0o600)
        self._output = Output(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK), on_output, on_sign)
        self._known, self._over = asyncio.Event(), asyncio.Event()
        self._pid = 0
        self._exit = Exit(None, "SIGKILL")
        self._stopping = asyncio.Lock()

    def known(self, pid: int) -> None:
        """It is there."""
        self._pid = pid
        self._known.set()

    def ended(self, exit: Exit) -> None:
        """It is not any more."""
        if not self._over.is_set():
            self._exit = exit
            self._over.set()

    async def wait(self) -> Exit:
        """See :class:`Process`."""
        await self._over.wait()
        await self._output.finish(_OUTPUT_WAIT if self._pid else 0)
        return self._exit

    async def stop(self, grace: float = 2.5) -> Exit:
        """See :class:`Process`."""
        async with self._stopping:
            if not self._over.is_set():
                await _within(self._known, _KNOWN_WAIT)
                for number in (signal.SIGINT, signal.SIGCONT):
                    self._signal(number)
                await _within(self._over, grace)
            await asyncio.to_thread(self._cleanup)
            await _within(self._over, _KILL_WAIT)
            self.ended(self._exit)
            await self._output.finish(_OUTPUT_WAIT if self._pid else 0)
            return self._exit

    def _signal(self, number: signal.Signals) -> None:
        if self._pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, number)

    def _cleanup(self) -> None:
        """Kill what is left of the lane: its session, and what bears its mark."""
        if not has_proc():
            self._signal(signal.SIGKILL)
            return
        pid, marker = self._pid, self.marker.encode()
        kill_all(lambda found: (pid > 0 and found.session == pid) or marker in found.environ)


class Member:
    """A process of a session: what it was given, how far it is, and what is known of it."""

    def __init__(self, number: int, lane: int, channel: Channel, watch: Watch, root: Path) -> None:
        self.number = number
        self.lane = lane
        self.channel = channel
        self.watch = watch
        self.progress = Progress(())
        self.waiting = False
        """It has asked for tests, and has none."""
        self.told = False
        """It was told that there are no more."""
        self.dropped = False
        """It was ended because nobody wants to know of its tests any more."""
        self.last = 0
        """The batch of the tests that it was given last."""
        self.ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.overdue: asyncio.Future[Overdue] = asyncio.get_running_loop().create_future()
        self.process: Process | None = None
        self.spool: SpoolTail | None = None
        self._root = root

    def give(self, ids: Sequence[str]) -> None:
        """Tests to execute, in this order; they are in :attr:`progress` by now."""
        self.waiting = False
        self.watch.rest(on=False)
        self.channel.say(tests=list(ids))

    def tell(self) -> None:
        """There is nothing more to do."""
        self.waiting, self.told = False, True
        self.watch.rest(on=False)
        self.channel.say(end="no more tests")

    def drain(self) -> None:
        """Hear what it has written until now."""
        if self.spool is not None:
            self.spool.drain()

    async def over(self) -> Exit | Hang:
        """How it ended; or where it hangs, if it is over a limit: then it still runs."""
        if self.process is None:
            raise AssertionError
        watching = asyncio.ensure_future(self.watch.wait(self.process))
        try:
            while True:
                await asyncio.wait({watching, self.overdue}, return_when=asyncio.FIRST_COMPLETED)
                if self.overdue.done():
                    late = self.overdue.result()
                    break
                late = watching.result()
                if isinstance(late, Exit):
                    return late
                self.drain()
                if late.final or self.watch.silent:  # else it said something a moment ago
                    break
                watching = asyncio.ensure_future(self.watch.wait(self.process))
            return hang(late, await ask(self.progress.stacks), self._root, self._files())
        finally:
            watching.cancel()

    def _files(self) -> list[str]:
        """Where a process that hangs is expected to be."""
        progress = self.progress
        return [progress.left[test].file for test in progress.in_flight if test in progress.left] or [
            *progress.collecting.values()
        ]


async def _within(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
