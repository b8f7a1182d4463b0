"""Looking: lists and details as plain values, apart from what services change. Every list pages by key."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from resit.domain.attempt import Attempt
from resit.domain.junit import Outline
from resit.domain.lineage import Said
from resit.domain.project import Environment, Platform, Project
from resit.domain.resource import Resource
from resit.domain.run import Run, Via
from resit.domain.snooze import Snooze
from resit.domain.status import RunStatus, Verdict
from resit.ports.storage import ArtifactRow, Ledgered, LogPart, Page, StoredResult

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunView:
    """A run with the names that people know its project and environment by.

    ``repository``: the owner and name of what is under test; ``source``: where the tests are.
    """

    run: Run
    project: str
    environment: str
    project_uuid: str = ""
    repository: str = ""
    source: str = ""
    platform: Platform = Platform.LINUX


Kind = tuple[RunStatus | None, Verdict | None]
"""A status and a verdict, where None stands for any; so that other words for how a run stands become a filter."""


def one_kind(status: RunStatus | None, verdict: Verdict | None) -> tuple[Kind, ...]:
    """The kinds with this status and this verdict; empty (no filter) when neither is given."""
    return () if status is None and verdict is None else ((status, verdict),)


class RunOrder(StrEnum):
    """The order of a list of runs; runs are numbered as they are made."""

    NEWEST = "newest"
    OLDEST = "oldest"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs; empty members don't narrow. ``before``: older than this run (newest first).

    ``branch`` is the test repository's, ``branches`` any of several (an empty text: runs that named none);
    ``build_branch`` and ``build_commit`` are those of what is under test, or the
    test repository's where nothing is said of it.
    ``kinds``: any of these. ``project_ids``: any of these; none when there are none of them. Times are seconds since
    the epoch, inclusive.
    """

    project_id: int | None = None
    project_ids: tuple[int, ...] | None = None
    run_id: int | None = None
    environment: str = ""
    environment_ids: tuple[int, ...] = ()
    platform: Platform | None = None
    kinds: tuple[Kind, ...] = ()
    branch: str = ""
    branches: tuple[str, ...] = ()
    build_branch: str = ""
    build_commit: str = ""
    created_from: float | None = None
    created_to: float | None = None
    before: int | None = None
    test_plan_id: int | None = None
    via: Via | None = None
    triggered_by: str = ""
    who: str = ""
    """A part of the name of who asked, or of the person it was asked for."""
    text: str = ""
    """A part of its reason, of a branch, a commit, or of the message or version of the build."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFilter:
    """Which ledger rows. ``state``: an outcome, or planned, running, did_not_run. ``since``: changed after this seq.

    ``states``: any of these. ``case_id``: the test case with this number. ``file``: exactly this one; ``file_part``: a
    part of its path; ``folder``: the first one of its path; ``tag``: one of the test's, compared without a leading
    ``@``. The last three are found in either case.
    """

    state: str = ""
    states: tuple[str, ...] = ()
    case_id: int | None = None
    batch: int | None = None
    file: str | None = None
    file_part: str = ""
    folder: str = ""
    tag: str = ""
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
    project_id: int = 0
    key: str = ""
    title_path: tuple[str, ...] = ()
    active: bool = False
    draft: bool = False
    goal: str = ""
    first_commit: str = ""
    last_commit: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """A piece of a list that a vendor's API pages by offset, and how many there are in all."""

    items: Sequence[T]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFilter:
    """Which test cases. ``active``: those of the last listing of the suite (True), the others (False), both (None).

    ``names``: any of these ids, keys or UUIDs; ``tags``: any of these, compared without a leading ``@``; ``sample``:
    those of this file's number; ``folder``: the first one of the file's path, in either case. ``drafts`` False: without
    those that somebody wrote down and no suite has.
    """

    active: bool | None = None
    names: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    file_prefix: str = ""
    variant: str = ""
    tags: tuple[str, ...] = ()
    search: str = ""
    first_commit: str = ""
    last_commit: str = ""
    sample: int | None = None
    folder: str = ""
    drafts: bool = True


@dataclass(frozen=True, slots=True)
class FileView:
    """A file of tests: what the CCExtractor API calls a sample. ``tests``: its active test cases."""

    id: int
    path: str
    tests: int
    created_at: float
    project_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFilter:
    """Which files of tests; empty members don't narrow.

    ``text``: a part of the path; ``active``: with active tests (True) or without (False); ``extension``: without its
    dot; ``tag``: one that an active test of it has, compared without a leading ``@``. All are found in either case.
    """

    text: str = ""
    active: bool | None = None
    extension: str = ""
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Execution:
    """When and where a test ran once. ``started_at``: seconds since 1970 by its worker's clock, 0 when unknown;
    ``parallel``: its place among those that its process gives to tests, -1 when unknown."""

    ordinal: int
    batch: int
    attempt: int
    status: str
    counted: bool
    started_at: float
    duration: float
    parallel: int


class Reads(Protocol):
    """See the module. ``limit`` is the greatest number of items of a page."""

    def runs_slice(
        self, which: RunFilter, offset: int, limit: int, order: RunOrder = RunOrder.NEWEST
    ) -> Slice[RunView]: ...
    def cases_slice(self, project_id: int | None, which: CaseFilter, offset: int, limit: int) -> Slice[TestCase]: ...
    def cases_of(self, uuids: Collection[str]) -> Mapping[str, TestCase]:
        """Test cases by their UUIDs, whatever project they are of."""
        ...

    def ledger_slice(self, run_id: int, which: LedgerFilter, offset: int, limit: int) -> Slice[Ledgered]: ...
    def test_seconds(self, run_id: int) -> float:
        """What the tests of a run took, one after the other."""
        ...

    def files_slice(self, project_id: int | None, text: str, offset: int, limit: int) -> Slice[FileView]: ...
    def files_like(self, project_id: int | None, which: FileFilter, offset: int, limit: int) -> Slice[FileView]: ...
    def file(self, project_id: int | None, id: int) -> FileView | None: ...
    def file_tags(self, ids: Collection[int]) -> Mapping[int, Sequence[str]]:
        """The tags of the active tests of files, by the files' numbers, without doubles."""
        ...

    def file_numbers(self, project_id: int, paths: Collection[str]) -> Mapping[str, int]:
        """The numbers of files by their paths."""
        ...

    def snoozes(
        self, project_id: int, environment_id: int | None, active: bool | None, at: float, offset: int, limit: int
    ) -> Slice[Snooze]:
        """Snoozes, newest first; ``active`` None: expired ones too."""
        ...

    def resources(self, project_id: int, offset: int, limit: int) -> Slice[Resource]:
        """Uploaded resources and links, newest first."""
        ...

    def latest_run(self, environment_id: int, branch: str = "") -> RunView | None:
        """The newest run of an environment (and, when given, of a branch of its build or its tests)."""
        ...

    def projects_for(self, project_id: int | None, repository: str) -> Sequence[Project]:
        """The projects that test what has this owner and name (in either case), oldest first."""
        ...

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
    def cells(self, run_id: int, since: int = -1) -> Sequence[tuple[int, str]]:
        """How each test of a run stands that has changed after a ``seq``: its number, and its state in one word.

        As in :class:`LedgerFilter`: an outcome, or planned, running, did_not_run.
        """
        ...

    def standing(self, run_id: int) -> Sequence[tuple[str, int, str, float]]:
        """Each test of a run in their order: its id, its number, its state as in :meth:`cells`, its seconds."""
        ...

    def outlines(self, run_id: int) -> Sequence[Outline]:
        """How all tests of a run stand at one moment, in their order; the reasons are left out."""
        ...

    def rows_of(self, run_id: int, ordinals: Sequence[int]) -> Mapping[int, Ledgered]:
        """Some rows of a ledger, by their numbers."""
        ...

    def attempts(self, run_id: int) -> Sequence[Attempt]:
        """All attempts of a run, by batch and number."""
        ...

    def executions(self, run_id: int, limit: int) -> Sequence[Execution]:
        """When and where the tests of a run ran, oldest first; those of attempts that do not count too."""
        ...

    def outcomes(self, run_ids: Sequence[int]) -> Sequence[Mapping[str, Said]]:
        """For each run: what it said of each test."""
        ...

    def artifacts(self, run_id: int, after: str, limit: int) -> Page[tuple[ArtifactRow, str]]:
        """Stored files of a run, each with the test it belongs to."""
        ...

    def logs(self, run_id: int) -> Sequence[LogPart]: ...
    def log(self, run_id: int, shard: int, after: int, limit: int) -> str: ...
    def log_times(self, run_id: int, shard: int) -> Sequence[tuple[int, float]]:
        """From which character on a shard's log was told when, in order; 0.0 where that was not kept."""
        ...

    def test_cases(self, project_id: int, text: str, after: int, limit: int) -> Page[TestCase]: ...
    def test_case(self, project_id: int, uuid: str) -> TestCase | None: ...
