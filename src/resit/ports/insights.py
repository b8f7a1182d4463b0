"""Looking over many runs: what charts and tables of rates are made of. Plain values; rates are made in the domain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from resit.domain.project import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A time (seconds since the epoch; ``start`` inclusive, ``end`` exclusive) and what narrows it.

    A run is in it by the time it was made. ``branch``: of what is under test, or of the test repository where nothing
    is said of that.
    """

    project_id: int
    start: float
    end: float
    environment_id: int | None = None
    branch: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfRuns:
    """Runs made on one UTC day (``date`` as YYYY-MM-DD), only those that are over: finished or cancelled.

    A run is in at most one of ``passed``, ``failed``, ``errored`` and ``cancelled``; one that only skipped is in none.
    """

    date: str
    runs: int
    passed: int
    failed: int
    errored: int
    cancelled: int
    reruns: int
    tests: int
    tests_passed: int
    """Flaky ones included."""
    tests_failed: int
    """Shown as failed: failed, errored, lost, not found."""
    tests_blocking: int
    """Of those, what no snooze covers."""
    tests_flaky: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseMetrics:
    """How one test case fared in a window, in runs that are over. The three counts are disjoint.

    Only executions count: neither what was skipped nor what is lost or was not found. An errored one counts as failed.
    ``last_run_at``: the end of the last of these runs, or its start.
    """

    case_uuid: str
    passed: int
    failed: int
    flaky: int
    last_run_at: float | None

    @property
    def total(self) -> int:
        """All executions that count."""
        return self.passed + self.failed + self.flaky


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One test case in one run, with its final state there.

    ``outcome`` as in the ledger; ``at``: the run's end (or its start, or when it was made); ``duration`` in seconds;
    ``retries``: executions after the first. ``branch`` and ``commit`` are those of what was under test, or the test
    repository's where nothing was said of that.
    """

    case_uuid: str
    run_id: int
    environment_id: int
    outcome: str
    precluded: bool
    at: float
    duration: float
    retries: int
    reason: str
    case_id: int = 0
    branch: str = ""
    commit: str = ""
    platform: Platform = Platform.LINUX


@dataclass(frozen=True, slots=True)
class History:
    """Executions by the UUIDs of their test cases, newest first; ``truncated``: those that have older ones too.

    A test case without an execution is not in ``by_case``.
    """

    by_case: Mapping[str, Sequence[Execution]]
    truncated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFilter:
    """Which executions of a file's test cases; empty members don't narrow (CCExtractor, study 1.6).

    ``outcomes``: any of these, words of the ledger; ``did_not_run`` too. ``branch`` as in :class:`Window`. The times
    are those at which runs were made, in seconds since the epoch, inclusive.
    """

    outcomes: tuple[str, ...] = ()
    branch: str = ""
    platform: Platform | None = None
    created_from: float | None = None
    created_to: float | None = None
    case_id: int | None = None


class Insights(Protocol):
    """See the module."""

    def days(self, which: Window) -> Sequence[DayOfRuns]:
        """Days with runs that are over, oldest first."""
        ...

    def tests_by_day(self, which: Window) -> Sequence[tuple[str, int]]:
        """How many different tests were executed on each day (YYYY-MM-DD, UTC), oldest first.

        Skipped tests are not executed; a test counts once a day, however often it ran. Days without tests are left out.
        """
        ...

    def metrics(self, which: Window) -> Sequence[CaseMetrics]:
        """Of every test case with an execution in the window."""
        ...

    def history(self, which: Window, cases: Sequence[str], limit: int) -> History:
        """The newest executions of test cases (by UUID) in runs that are over, at most ``limit`` each, newest first.

        Skipped, lost and not found tests are part of it; those that were cancelled before their end are not.
        """
        ...

    def executions_of_file(
        self, project_id: int | None, file_id: int, which: HistoryFilter, offset: int, limit: int
    ) -> tuple[Sequence[Execution], int]:
        """All final states of a file's test cases, newest run first, and how many there are.

        Those of open runs too: what is final there stays so. ``project_id`` None: whatever project it is of.
        """
        ...
