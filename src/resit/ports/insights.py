"""Looking over many runs: what charts and tables of rates are made of. Plain values; rates are made in the domain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A time (seconds since the epoch; ``start`` inclusive, ``end`` exclusive) and what narrows it."""

    project_id: int
    start: float
    end: float
    environment_id: int | None = None
    branch: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfRuns:
    """Runs made on one UTC day (``date`` as YYYY-MM-DD), only those that are over."""

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
    """How one test case fared in a window; skipped executions do not count. The three counts are disjoint."""

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
    """One test case in one run that is over. ``outcome`` as in the ledger; ``duration`` in seconds."""

    case_uuid: str
    run_id: int
    environment_id: int
    outcome: str
    precluded: bool
    at: float
    duration: float
    retries: int
    reason: str


class Insights(Protocol):
    """See the module."""

    def days(self, which: Window) -> Sequence[DayOfRuns]:
        """Days with runs, oldest first."""
        ...

    def tests_by_day(self, which: Window) -> Sequence[tuple[str, int]]:
        """How many different tests were executed on each day, skipped ones left out, oldest first."""
        ...

    def metrics(self, which: Window) -> Sequence[CaseMetrics]:
        """Of every test case with an execution in the window."""
        ...

    def history(self, which: Window, cases: Sequence[str], limit: int) -> Mapping[str, Sequence[Execution]]:
        """The newest executions of test cases (by UUID), at most ``limit`` each, newest first."""
        ...

    def executions_of_file(
        self, project_id: int | None, file_id: int, case_id: int | None, offset: int, limit: int
    ) -> tuple[Sequence[Execution], int]:
        """All executions of a file's test cases, newest run first, and how many there are."""
        ...
