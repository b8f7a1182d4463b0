"""Looking: lists and details as plain values, apart from what services change. Every list pages by key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from resit.domain.project import Environment, Project
from resit.domain.run import Run
from resit.domain.status import RunStatus, Verdict
from resit.ports.storage import ArtifactRow, Ledgered, LogPart, Page, StoredResult


@dataclass(frozen=True, slots=True)
class RunView:
    """A run with the names that people know its project and environment by."""

    run: Run
    project: str
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs; empty members don't narrow. ``before``: older than this run (newest first)."""

    project_id: int | None = None
    environment: str = ""
    status: RunStatus | None = None
    verdict: Verdict | None = None
    branch: str = ""
    before: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFilter:
    """Which ledger rows. ``state``: an outcome, or planned, running, did_not_run. ``since``: changed after this seq."""

    state: str = ""
    text: str = ""
    test: str = ""
    after: int = -1
    since: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCase:
    """A test's lasting identity and what was last known of it. ``expected`` seconds; None before its first result."""

    __test__ = False

    id: int
    uuid: str
    test: str
    file: str
    title: str
    variant: str
    tags: tuple[str, ...]
    line: int
    expected: float | None
    last_outcome: str | None
    last_run_id: int | None


class Reads(Protocol):
    """See the module. ``limit`` is the greatest number of items of a page."""

    def projects(self, project_id: int | None, after: int, limit: int) -> Page[Project]: ...
    def environments(self, project_id: int) -> Sequence[Environment]: ...
    def runs(self, which: RunFilter, limit: int) -> Page[RunView]: ...
    def run(self, id: int) -> RunView | None: ...
    def run_seq(self, id: int) -> int | None:
        """Only how often a run has changed: what a live page asks all the time."""
        ...

    def lineage(self, id: int) -> Sequence[RunView]:
        """A run's first ancestor and all that descends from it, oldest first."""
        ...

    def ledger(self, run_id: int, which: LedgerFilter, limit: int) -> Page[Ledgered]: ...
    def results(self, run_id: int, ordinals: Sequence[int]) -> Mapping[int, Sequence[StoredResult]]: ...
    def outcomes(self, run_ids: Sequence[int]) -> Sequence[Mapping[str, tuple[str | None, bool]]]:
        """For each run: the outcome of each test, and whether it was precluded."""
        ...

    def artifacts(self, run_id: int, after: str, limit: int) -> Page[tuple[ArtifactRow, str]]:
        """Stored files of a run, each with the test it belongs to."""
        ...

    def logs(self, run_id: int) -> Sequence[LogPart]: ...
    def log(self, run_id: int, shard: int, after: int, limit: int) -> str: ...
    def test_cases(self, project_id: int, text: str, after: int, limit: int) -> Page[TestCase]: ...
    def test_case(self, project_id: int, uuid: str) -> TestCase | None: ...
