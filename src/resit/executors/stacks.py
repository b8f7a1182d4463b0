"""Where a Python process hangs: it is asked for the stacks of all its threads, and they are read for people."""

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from resit.executors.watch import Overdue

__all__ = ["Hang", "ask", "hang"]

_ANSWER_SECONDS = 1.0
_LOOK_SECONDS = 0.05
_STACK_LIMIT = 32 * 1024
_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$', re.MULTILINE)
_THREAD = re.compile(r"^(?=(?:Current thread|Thread) 0x)", re.MULTILINE)
_INSTALLED = ("/site-packages/", "/dist-packages/", "/.venv/", "/venv/")


@dataclass(frozen=True, slots=True)
class Hang:
    """A process that is over a limit, and where it was then. ``message`` is for people, and says both.

    ``stack``: of all its threads, or empty. ``location``: ``file:line`` in the suite. ``final``: see :class:`Overdue`.
    """

    message: str
    stack: str = ""
    location: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True)
class _Frame:
    path: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} in {self.function}"


async def ask(processes: Mapping[int, tuple[int, str]]) -> list[str]:
    """The stacks of processes, given by pid: the signal that they wait for, and the file that they write then.

    Waits a second at most; a process that is gone, stopped or deep in the kernel says nothing.
    """
    before = {path: _size(path) for _, path in processes.values()}
    for pid, (number, _) in processes.items():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
    end = time.monotonic() + _ANSWER_SECONDS
    sizes = before
    while time.monotonic() < end:
        await asyncio.sleep(_LOOK_SECONDS)
        found = {path: _size(path) for path in before}
        if found == sizes and all(found[path] > before[path] for path in found):
            break  # all have written, and none writes any more
        sizes = found
    return [text for path, start in before.items() if (text := _read(path, start))]


def hang(over: Overdue, dumps: Sequence[str], root: Path, files: Iterable[str]) -> Hang:
    """What is known of a process that is over a limit. ``files``: those of the tests in flight, relative to ``root``.

    Of several processes (pytest-xdist) the one that is inside such a file tells the place.
    """
    wanted = {os.path.normpath(os.path.join(root, file)) for file in files}  # noqa: PTH118 - as it is written
    found = [frames for dump in dumps if (frames := _frames(dump))]
    found.sort(key=lambda frames: not any(frame.path in wanted for frame in frames))
    frames = found[0] if found else None
    if not frames:
        return Hang(over.words, "\n".join(dumps), final=over.final)
    own = next((frame for frame in frames if frame.path in wanted), None) or next(
        (frame for frame in frames if _of_suite(frame.path, root)), None
    )
    where = f"it {'was' if over.final else 'hung'} in {_shown(frames[0], root)}"
    if own and own is not frames[0]:
        where += f", under {_shown(own, root)}"
    return Hang(
        f"{over.words}; {where}",
        "\n".join(dumps),
        f"{_relative(own.path, root)}:{own.line}" if own else "",
        over.final,
    )


def _frames(dump: str) -> list[_Frame]:
    """The frames of the main thread, the innermost first: it is the last one in a dump."""
    last = _THREAD.split(dump)[-1]
    return [_Frame(path, int(line), function) for path, line, function in _FRAME.findall(last)]


def _of_suite(path: str, root: Path) -> bool:
    return Path(path).is_relative_to(root) and not any(part in path for part in _INSTALLED)


def _shown(frame: _Frame, root: Path) -> str:
    return f"{_relative(frame.path, root)}:{frame.line} ({frame.function})"


def _relative(path: str, root: Path) -> str:
    return str(Path(path).relative_to(root)) if Path(path).is_relative_to(root) else path


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def _read(path: str, start: int) -> str:
    try:
        with Path(path).open("rb") as file:
            file.seek(start)
            text = file.read(_STACK_LIMIT).decode(errors="replace").strip()
    except OSError:
        return ""
    return text.replace("\0", "")
