"""What a page shows of a run, made of plain values; pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import quote, urlsplit

from resit.domain.events import Attachment, Failure, Step, TestResult
from resit.domain.ledger import Row, state
from resit.domain.run import Run
from resit.domain.tries import shown
from resit.ports import StoredResult
from resit.ports.reads import RunView

IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"})
VIDEOS = frozenset({"video/webm", "video/mp4"})
DEEPEST = 6
"""Beyond, a tree is not drawn any deeper."""
_MOVING = re.compile(r"0x[0-9a-fA-F]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d+")


def state_of(row: Row) -> str:
    """A test's state in one word, of those that have a colour."""
    return "did_not_run" if row.precluded else state(row)


class Reasoned(Protocol):
    """What can be grouped: it has a row."""

    @property
    def row(self) -> Row: ...


T = TypeVar("T", bound=Reasoned)


@dataclass(frozen=True, slots=True)
class Group:
    """Tests that say the same."""

    words: str
    rows: Sequence[Reasoned]


@dataclass(frozen=True, slots=True)
class Items:
    """A page of a list."""

    items: Sequence[object]
    next: str | None


def grouped(items: Sequence[T]) -> list[Group]:
    """Tests with the same message together, in the order of their first; numbers and addresses in it don't count."""
    found: dict[str, list[T]] = {}
    for item in items:
        first = next((line.strip() for line in item.row.reason.splitlines() if line.strip()), "")
        key = _MOVING.sub("#", first) if first else f"{item.row.ordinal} alone"
        found.setdefault(f"{state_of(item.row)} {key}", []).append(item)
    return [Group(next(iter(rows[0].row.reason.strip().splitlines()), ""), rows) for rows in found.values()]


def time_left(run: Run, now: float) -> float | None:
    """Seconds until the last test is probably done, at the pace so far; None while nothing can be said."""
    counts = run.counts
    if not run.status.open or run.planned_at is None or counts.final < 3 or counts.final == counts.total:
        return None
    return (now - run.planned_at) / counts.final * (counts.total - counts.final)


def tree(lineage: Sequence[RunView]) -> list[tuple[int, RunView]]:
    """Runs, each after its source, with how far it is from the first."""
    below: dict[int, list[RunView]] = {}
    known = {view.run.id for view in lineage}
    roots = [view for view in lineage if view.run.source_run_id not in known]
    for view in lineage:
        source = view.run.source_run_id
        if source is not None and source in known:
            below.setdefault(source, []).append(view)
    found: list[tuple[int, RunView]] = []
    waiting = [(0, view) for view in reversed(roots)]
    while waiting:
        depth, view = waiting.pop()
        found.append((min(depth, DEEPEST), view))
        waiting.extend((depth + 1, each) for each in reversed(below.get(view.run.id, [])))
    return found


# ------------------------------------------------------------ tries


@dataclass(frozen=True, slots=True)
class File:
    """An attachment. ``kind``: image, video, trace, or file."""

    id: str
    name: str
    kind: str
    size: int
    url: str
    stored: bool


@dataclass(frozen=True, slots=True)
class Try:
    """An execution of a test. ``old``: of an attempt that does not count."""

    status: str
    duration: float
    attempt: int
    old: bool
    failures: Sequence[Failure]
    files: Sequence[File]
    stdout: str
    stderr: str
    steps: Sequence[Step]


@dataclass(frozen=True, slots=True)
class Tries:
    """All of a test's; ``words``: why it has no better outcome."""

    tries: Sequence[Try]
    words: str


def tries(run: Run, row: Row, kept: Sequence[StoredResult], now: float, url: str) -> Tries:
    """The executions of a test, oldest first: those that count, then those of attempts that were lost."""
    found = shown(run, row, kept, now)
    counted = [_try(result, found.attempt, url, old=False) for result in found.tries]
    old = [_try(each.found, each.attempt, url, old=True) for each in kept if not each.counted]
    return Tries([*counted, *old], found.reason)


def _try(result: TestResult, attempt: int, url: str, *, old: bool) -> Try:
    return Try(
        status=result.status.value,
        duration=result.duration,
        attempt=attempt,
        old=old,
        failures=result.failures,
        files=[_file(attachment, url) for attachment in result.attachments],
        stdout=result.stdout,
        stderr=result.stderr,
        steps=result.steps,
    )


def _file(file: Attachment, url: str) -> File:
    kind = kind_of(file.content_type)
    if file.name == "trace" and file.content_type == "application/zip":
        kind = "trace"
    root = urlsplit(url).path.rstrip("/")
    return File(file.id, file.name or file.id, kind, file.size, f"{root}/files/{quote(file.id)}", bool(file.id))


def kind_of(content_type: str) -> str:
    """How a page shows a file: image, video, or only its name."""
    bare = content_type.partition(";")[0].strip().lower()
    return "image" if bare in IMAGES else "video" if bare in VIDEOS else "file"
