"""The words for how far something got and how it came out. See docs/glossary.md; one thing, one word."""

from enum import StrEnum


class RunStatus(StrEnum):
    """How far a run got. Never says how it came out: that is :class:`Verdict`."""

    REQUESTED = "requested"
    ADMITTED = "admitted"
    PLANNING = "planning"
    RUNNING = "running"
    FINALIZING = "finalizing"
    FINISHED = "finished"
    CANCELLED = "cancelled"

    @property
    def open(self) -> bool:
        """True while the run can still change."""
        return self not in (RunStatus.FINISHED, RunStatus.CANCELLED)


class Verdict(StrEnum):
    """How a run came out, computed from its ledger (product rule 1)."""

    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    SKIPPED = "skipped"


class Outcome(StrEnum):
    """The final state of a planned test: the fold of its results in one run."""

    PASSED = "passed"
    FAILED = "failed"
    FLAKY = "flaky"
    SKIPPED = "skipped"
    ERRORED = "errored"
    LOST = "lost"
    NOT_FOUND = "not_found"
    CANCELLED = "cancelled"


class ResultStatus(StrEnum):
    """How one execution of one test ended, as the framework judges it (expected failures are passes)."""

    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    SKIPPED = "skipped"
    ERRORED = "errored"
    INTERRUPTED = "interrupted"


class SelectionKind(StrEnum):
    """What a run was asked to execute."""

    ALL = "all"
    FAILED = "failed"
    CHOSEN = "chosen"
