"""Processes that are ours to end: marked, so that what they start is found again wherever it moved, and killed.

Linux is where workers run in earnest. Elsewhere nothing is found by a mark: the process group alone is left.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARKER = "RESIT_PROCESS"
WORKER = "RESIT_WORKER"

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_STARTED = 19
"""The place of the start time among the fields of ``stat``."""
_PROC = Path("/proc")


def marked(env: Mapping[str, str], marker: str) -> dict[str, str]:
    """An environment with a mark, which grandchildren inherit."""
    # Appended, so that what a process of tests starts in the same way is still known as its own.
    return {**env, MARKER: f"{env.get(MARKER, '')}.{marker}".lstrip(".")}


@dataclass(frozen=True, slots=True)
class Found:
    """A process of this user. ``environ``: as it was at its start. ``started``: ticks of the kernel's clock."""

    pid: int
    environ: bytes
    parent: int
    session: int
    started: int

    @property
    def ours(self) -> bool:
        """True for what a worker started, and for what was started by that, unless it cleared its environment."""
        return b"\0RESIT_" in b"\0" + self.environ


def sweep(worker: str) -> int:
    """Kill every process whose environment says ``RESIT_WORKER=<worker>``; how many that were.

    For the start of a worker whose predecessor was killed and could not clean up. Spares the caller and the processes
    above it (a shell may have set the variable for them). Does nothing where there is no ``/proc``.
    """
    entry = f"\0{WORKER}={worker}\0".encode()
    spared = set(_ancestors(os.getpid()))
    return kill_all(lambda found: found.pid not in spared and entry in b"\0" + found.environ + b"\0")


def kill_all(wanted: Callable[[Found], bool]) -> int:
    """SIGKILL the wanted processes and their descendants; how many that were. Looks until no new one shows up: a
    process may fork meanwhile."""
    killed: set[int] = set()
    spared = set(_ancestors(os.getpid()))
    for _ in range(20):
        everybody = list(_processes())
        doomed = {found.pid for found in everybody if wanted(found)} | killed
        while more := {f.pid for f in everybody if f.parent in doomed and f.pid not in doomed | spared}:
            doomed |= more
        new = [found.pid for found in everybody if found.pid in doomed - killed]
        if not new:
            break
        for pid in new:
            killed.add(pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
    return len(killed)


def adopt() -> None:
    """From now on processes whose parents have ended become children of this one, where the system offers it.

    So a daemon of a test that left its group, its session and its environment is still found (:attr:`Found.parent`).
    """
    if _prctl is not None:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Reaper:
    """Clears away adopted children that have ended. Those that somebody waits for are gone within a moment, so only
    what was there at the last look too is taken."""

    def __init__(self) -> None:
        self._before: set[int] = set()

    def look(self) -> None:
        """To be called every few seconds."""
        if not has_proc():
            return
        own, now = str(os.getpid()), set[int]()
        for entry in os.scandir(_PROC):
            if entry.name.isdigit() and _stat(int(entry.name))[:2] == ["Z", own]:
                now.add(int(entry.name))
        for pid in now & self._before:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        self._before = now


def started(pid: int) -> int:
    """When a process was started, in ticks of the kernel's clock; 0 when it is gone."""
    fields = _stat(pid)
    return int(fields[_STARTED]) if len(fields) > _STARTED else 0


def _processes() -> Iterator[Found]:
    """The living processes of this user, without ourselves."""
    if not has_proc():
        return
    own = os.getpid()
    for entry in os.scandir(_PROC):
        if not entry.name.isdigit() or int(entry.name) == own:
            continue
        with contextlib.suppress(OSError):  # gone, or another user's
            environ = Path(entry.path, "environ").read_bytes()
            fields = _stat(int(entry.name))
            if len(fields) > _STARTED and fields[0] not in "ZX":
                yield Found(int(entry.name), environ, int(fields[1]), int(fields[3]), int(fields[_STARTED]))


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on: state, parent, group, session ...; empty if it is gone."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()  # the name before may hold blanks and parentheses


def _ancestors(pid: int) -> Iterator[int]:
    while pid > 0:
        yield pid
        fields = _stat(pid)
        pid = int(fields[1]) if len(fields) > 1 else 0


def has_proc() -> bool:
    """True where processes can be found by their mark."""
    return sys.platform == "linux" and (_PROC / "self" / "environ").exists()


# Any: an untyped C function, or None elsewhere.
_prctl: Any = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def child_setup(nice: int = 0) -> Callable[[], None]:
    """What the child does between fork and exec. Everything is looked up before: little is safe after a fork.

    ``nice``: it gives way to others by so much, as nice(1) counts; on Linux it gets no more than they leave over.
    """
    idle: int | None = getattr(os, "SCHED_IDLE", None)
    least = os.sched_param(0) if idle is not None else None
    parent = os.getpid()
    prctl = _prctl

    def setup() -> None:
        if prctl is not None:
            # A worker that is killed takes the process with it. (The kernel means the *thread* that forked: the event
            # loop's, which lives as long as the worker.)
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)
        if nice:
            os.nice(nice)
            if idle is not None and least is not None:
                os.sched_setscheduler(0, idle, least)
        # An ignored SIGINT (a worker started with & by a shell) would be inherited, and the polite stop never heard.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    return setup
