"""The framework's own report of a finished run, which a worker makes: how far it got, and who may say so.

A worker begins it under a claim. Only the claim that began last may end it; a worker that dies says nothing, and the
next one begins under another claim. After :data:`MAX_TRIES` there is no next one.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from resit.domain import blob
from resit.domain.run import Run

HTML = "html"
MAX_TRIES = 3
"""What ends three workers ends the fourth."""
MAX_WORDS = 4_000
MAX_SIZE = 200 * 1024 * 1024
"""Bytes of a report, without the files of results: those stay where they are."""
MAX_FILES = 10_000
MAX_NAME = 300
MAKE_SECONDS = 10 * 60.0
"""How long the framework may take for it."""
_LOST = f"{MAX_TRIES} workers were lost while they made the report"


class ReportState(StrEnum):
    """How far a report got."""

    WAITING = "waiting"
    WORKING = "working"
    READY = "ready"
    FAILED = "failed"
    REMOVED = "removed"

    @property
    def open(self) -> bool:
        """True while somebody is to make it."""
        return self in (ReportState.WAITING, ReportState.WORKING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """``key``: under which it is stored, ``size`` in bytes. ``words``: why there is none, for people.

    ``tries``: how many workers have begun it; ``claim``: the one that holds it.
    """

    run_id: int
    kind: str = HTML
    state: ReportState = ReportState.WAITING
    key: str = ""
    size: int = 0
    words: str = ""
    tries: int = 0
    claim: str = ""
    created_at: float = 0.0
    touched_at: float = 0.0
    finished_at: float | None = None


def safe_name(name: str) -> bool:
    """Whether the name of a file in a report leads to a place inside a folder, wherever it is unpacked."""
    parts = name.split("/")
    plain = len(name) <= MAX_NAME and name.isprintable() and not any(sign in name for sign in '\\:*?"<>|')
    return plain and all(part not in ("", ".", "..") and part == part.strip() for part in parts)


def possible(run: Run) -> bool:
    """Whether the framework of a run has a report of its own."""
    return blob.has_blob(run)


def holds(report: Report, claim: str) -> bool:
    """Whether a claim may still say what becomes of the report."""
    return report.state is ReportState.WORKING and bool(claim) and report.claim == claim


def begun(report: Report, claim: str, now: float) -> Report:
    """A worker begins, or takes over; the same claim once more changes nothing."""
    if not report.state.open or holds(report, claim):
        return report
    if report.tries >= MAX_TRIES:
        return _failed(report, _LOST, now)
    return replace(report, state=ReportState.WORKING, claim=claim, tries=report.tries + 1, touched_at=now)


def returned(report: Report, claim: str, now: float) -> Report:
    """A worker that goes gives it back: no loss."""
    if not holds(report, claim):
        return report
    return replace(report, state=ReportState.WAITING, claim="", tries=report.tries - 1, touched_at=now)


def ended(report: Report, claim: str, key: str, size: int, now: float) -> Report:
    """It is made, and stored."""
    if not holds(report, claim):
        return report
    return replace(
        report, state=ReportState.READY, claim="", key=key, size=size, words="", touched_at=now, finished_at=now
    )


def failed(report: Report, claim: str, words: str, now: float) -> Report:
    """It can't be made, and trying again would not help."""
    return _failed(report, words, now) if holds(report, claim) else report


def again(report: Report, now: float) -> Report:
    """Nobody works on it, nor does it wait anywhere: it is to be handed out anew."""
    if not report.state.open:
        return report
    if report.tries >= MAX_TRIES:
        return _failed(report, _LOST, now)
    return replace(report, state=ReportState.WAITING, claim="", touched_at=now)


def removed(report: Report, now: float) -> Report:
    """Its file has gone, while the run stays."""
    if report.state is not ReportState.READY:
        return report
    return replace(
        report, state=ReportState.REMOVED, key="", size=0, words="the file of the report was removed", touched_at=now
    )


def _failed(report: Report, words: str, now: float) -> Report:
    said = words.replace("\0", "")[:MAX_WORDS] or "no reason was given"
    return replace(report, state=ReportState.FAILED, claim="", words=said, touched_at=now, finished_at=now)
