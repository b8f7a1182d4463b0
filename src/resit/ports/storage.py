"""The database as services see it: a transaction with one store a kind of thing.

One request or one ingest batch is one transaction. Stores hold no rule: they add, find and save values of the domain.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from resit.domain.admission import Place
from resit.domain.attempt import Attempt, BatchState
from resit.domain.events import TestResult
from resit.domain.ledger import Counts, Row
from resit.domain.plan import PlannedTest
from resit.domain.project import Environment, Project
from resit.domain.resource import Resource
from resit.domain.run import Run
from resit.domain.schedule import Schedule
from resit.domain.selection import Taken
from resit.domain.snooze import Snooze
from resit.domain.test_plan import TestPlan
from resit.domain.webhook import Notice, Webhook
from resit.ports.fleet import PoolStore, WorkerCredentialStore, WorkerStore
from resit.ports.made import ListingStore, ReportStore, VoiceStore
from resit.ports.people import OrganizationStore, TokenStore, UserStore

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list that is paged by key; ``next`` is the cursor of the following page, or None."""

    items: Sequence[T]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Ledgered:
    """A ledger row with the test it is about, as that test stood when the run was planned."""

    test: PlannedTest
    row: Row
    case_uuid: str = ""
    seq: int = 0


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result as it is kept. ``counted``: it was reported by the attempt that held the fence."""

    ordinal: int
    attempt: int
    counted: bool
    found: TestResult


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRow:
    """A stored file's record. ``stored`` is False while only its name is known."""

    id: str
    run_id: int
    ordinal: int | None = None
    attempt: int = 0
    retry: int = 0
    name: str = ""
    content_type: str = "application/octet-stream"
    size: int = 0
    stored: bool = False

    @property
    def key(self) -> str:
        """Under which its content is stored."""
        return artifact_key(self.run_id, self.id)


def artifact_key(run_id: int, id: str) -> str:
    """Under which the content of a run's artifact is stored."""
    return f"{run_id}/{id}"


@dataclass(frozen=True, slots=True)
class LogPart:
    """One shard's log: shard 0 is checkout, setup and listing. ``size`` in characters."""

    shard: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to the broker that is written with what it is about, and published afterwards.

    ``kind``: plan, shard, batch, report, consumer, purge or cancel; ``number``: the shard's or batch's. ``revoke`` is
    about no run (0): its ``number`` is a worker credential's.
    """

    id: int = 0
    kind: str
    run_id: int
    pool: str
    number: int = 0
    data: str = ""


class ProjectStore(Protocol):
    """Projects and environments."""

    def hold(self, id: int) -> Project | None:
        """The project as it stands, which nobody else changes, and whose open runs nobody else counts, until the
        transaction ends. Who holds runs as well has held them before."""
        ...

    def hold_group(self, id: int, group: str) -> None:
        """Nobody else who holds this group goes on until the transaction ends. It is held before runs are."""
        ...

    def add(self, project: Project, sealed: str = "") -> Project: ...
    def sealed_source(self, id: int) -> str:
        """The project's source with its credentials, sealed; empty when it has none."""
        ...

    def get(self, id: int) -> Project | None: ...
    def save(self, project: Project) -> None: ...
    def save_environment(self, environment: Environment) -> None:
        """Save all of it but its secrets."""
        ...

    def save_secrets(self, environment: Environment, sealed: str) -> None:
        """Save the names of its secrets, and what was sealed of them."""
        ...

    def environments(self, project_id: int) -> Sequence[Environment]: ...
    def by_slug(self, slug: str) -> Project | None: ...
    def by_uuid(self, uuid: str) -> Project | None: ...
    def add_environment(self, environment: Environment, sealed: str) -> Environment: ...
    def environment(self, id: int) -> Environment | None: ...
    def environment_by_slug(self, project_id: int, slug: str) -> Environment | None: ...
    def sealed(self, environment_id: int) -> str: ...


class Shelf(Protocol[T]):
    """Small things that a project owns. What a transaction that writes gets by its number, it holds until its end."""

    def add(self, value: T) -> T:
        """Keep it; the answer has its number."""
        ...

    def get(self, id: int) -> T | None: ...
    def save(self, value: T) -> None: ...
    def remove(self, id: int) -> None: ...
    def of_project(self, project_id: int) -> Sequence[T]: ...


class SnoozeStore(Shelf[Snooze], Protocol):
    """Snoozes."""

    def lasting(self, project_id: int, at: float) -> Sequence[Snooze]:
        """The project's snoozes that end after a time."""
        ...


class WebhookStore(Protocol):
    """Webhooks, their secrets, and what is still to be told to them."""

    def add(self, value: Webhook, *, sealed: str) -> Webhook: ...
    def get(self, id: int) -> Webhook | None: ...
    def remove(self, id: int) -> None:
        """Take it away with what was still to be told to it."""
        ...

    def of_project(self, project_id: int) -> Sequence[Webhook]: ...
    def sealed(self, id: int) -> str: ...
    def post(self, *notices: Notice) -> None: ...
    def due(self, now: float, limit: int, besides: Collection[int] = ()) -> Sequence[Notice]:
        """The oldest due notice of each webhook but these, at most ``limit``."""
        ...

    def forget_due(self, before: float) -> int:
        """Take away what was due before a time; returns how many."""
        ...

    def put_off(self, notice: Notice) -> None: ...
    def done(self, id: int) -> None: ...


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule with the names that people know its project and environment by (empty: the default one), and how the
    last run that it made stands."""

    schedule: Schedule
    project: str
    environment: str
    last_run: Run | None = None


class ScheduleStore(Shelf[Schedule], Protocol):
    """Schedules."""

    def by_name(self, project_id: int, name: str) -> Schedule | None: ...
    def of_environment(self, environment_id: int) -> Schedule | None:
        """The schedule that follows from the environment's own cron expression."""
        ...

    def due(self, now: float, limit: int) -> Sequence[Schedule]:
        """The schedules whose time has come, the longest due first."""
        ...

    def take(self, schedule: Schedule, next_at: float | None) -> bool:
        """Move the next time of a schedule on from what it was; False when somebody else did so before."""
        ...

    def views(self, project_id: int | None, after: int, limit: int) -> Sequence[ScheduleView]:
        """The schedules of a project (None: of all) with greater numbers than ``after``, oldest first."""
        ...

    def view(self, id: int) -> ScheduleView | None: ...
    def troubled(self, overdue: float) -> Sequence[Schedule]:
        """The active schedules that have a problem, or should have fired before ``overdue`` and did not."""
        ...

    def unscheduled(self) -> Sequence[Environment]:
        """The environments with a cron expression of their own and no schedule that follows from it."""
        ...


class RunStore(Protocol):
    """Runs, and the answers already given to repeated requests."""

    def open_of_project(self, project_id: int) -> Sequence[Run]:
        """The project's open runs, oldest first."""
        ...

    def made_since(self, at: float) -> int:
        """How many runs were made since a time."""
        ...

    def some(self, ids: Collection[int]) -> Mapping[int, Run]:
        """Runs by their numbers; without those that are not there."""
        ...

    def hold(self, ids: Collection[int]) -> Sequence[Run]:
        """The runs as they stand, by their numbers; nobody else changes them until the transaction ends.

        Who needs several holds them in one call, or in the order of their numbers, lest two wait for each other.
        """
        ...

    def hold_free(self, ids: Collection[int]) -> Sequence[Run]:
        """The same, without those that others hold at this moment: for who holds a project already."""
        ...

    def add(self, run: Run) -> Run: ...
    def get(self, id: int) -> Run | None: ...
    def by_uuid(self, uuid: str) -> int | None: ...
    def save(self, run: Run) -> None: ...
    def open(self, at: float) -> Sequence[Run]:
        """All open runs, but those that are delayed to a later time than ``at``."""
        ...

    def queue(self, project_id: int) -> Sequence[Place]:
        """The project's open runs in short, oldest first."""
        ...

    def open_of_schedule(self, schedule_id: int) -> Sequence[Place]:
        """The open runs that a schedule has made, oldest first."""
        ...

    def come_due(self, after: float, until: float) -> Sequence[int]:
        """The projects with waiting runs that are delayed to a time after ``after`` and not after ``until``."""
        ...

    def priorities(self, ids: Collection[int]) -> Mapping[int, int]:
        """The priorities of runs that there are, by their numbers."""
        ...

    def remembered(self, key: str) -> tuple[str, int] | None:
        """The digest of the request and the run that a key was used for; until the transaction ends, nobody else asks
        about this key. It is asked for before anything is held."""
        ...

    def remember(self, key: str, digest: str, run_id: int, now: float) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow:
    """A test case as the core needs it; readers get more (``ports.reads.TestCase``)."""

    id: int
    uuid: str
    key: str
    planned: PlannedTest
    own_tags: tuple[str, ...] | None
    """Tags that somebody set here, in place of the suite's."""
    draft: bool
    """Written down by somebody, and not part of the suite."""


class CaseStore(Protocol):
    """Test cases: what the suites were seen to hold."""

    def sync(self, run: Run, tests: Sequence[PlannedTest]) -> None:
        """The whole suite was listed: these are its test cases, those that are not named are no longer active.

        It holds the project. Raises :class:`InvalidInput`, having changed nothing, for names that the database can't
        look up: an index of PostgreSQL holds 2.7 kB.
        """
        ...

    def add(self, project_id: int, uuid: str, title: str, goal: str, now: float) -> int:
        """Write a draft down; returns its number."""
        ...

    def active(self, project_id: int) -> Sequence[CaseRow]:
        """The test cases of the last listing."""
        ...

    def named(self, project_id: int, names: Collection[str]) -> Sequence[CaseRow]:
        """The test cases with one of these ids, keys or UUIDs."""
        ...

    def numbered(self, project_id: int, ids: Collection[int]) -> Sequence[CaseRow]: ...
    def projects_with(self, name: str) -> Sequence[int]:
        """The projects that have a test case with this id, key or UUID."""
        ...

    def own_tags(self, project_id: int) -> Mapping[str, tuple[str, ...]]:
        """Tags that were set here, by the framework's id."""
        ...

    def set_tags(self, id: int, tags: Sequence[str], now: float) -> None: ...


class LedgerStore(Protocol):
    """The plan and the ledger of runs."""

    def blocking(self, run_id: int) -> Sequence[Ledgered]:
        """The rows that a snooze could cover."""
        ...

    def add(self, run: Run, rows: Sequence[Ledgered]) -> None: ...
    def plan(self, run_id: int) -> Sequence[PlannedTest]: ...
    def taken(self, run_id: int, taken: Taken) -> Sequence[Ledgered]:
        """The rows that a re-run of the failed ones takes up, and those of their serial groups, in their order."""
        ...

    def files(self, run_id: int, limit: int) -> Sequence[str]:
        """The files of its planned tests, sorted, so many at most; those of tests that are not there not among them."""
        ...

    def rows(self, run_id: int) -> Sequence[Row]: ...
    def foresee(self, run_id: int, tests: Collection[str]) -> None:
        """These tests will be asked for (:meth:`of_tests`), a few at a time: they are looked up together."""
        ...

    def of_tests(self, run_id: int, tests: Collection[str]) -> Sequence[Row]: ...
    def open_of_batch(self, run_id: int, batch: int) -> Sequence[Row]: ...
    def tests_of_batch(self, run_id: int, batch: int, open_only: bool = False) -> Sequence[PlannedTest]: ...
    def open_rows(self, run_id: int) -> Sequence[Row]: ...
    def save(self, run_id: int, rows: Iterable[Row], seq: int) -> None: ...
    def counts(self, run_id: int) -> Counts: ...
    def stage(self, run_id: int, claim: str, number: int, tests: Sequence[PlannedTest]) -> None:
        """Keep a piece of a plan until the plan is complete; a repetition is ignored."""
        ...

    def staged(self, run_id: int, claim: str) -> Sequence[tuple[int, Sequence[PlannedTest]]]: ...
    def unstage(self, run_id: int) -> None: ...
    def expected(self, project_id: int, environment_id: int, tests: Sequence[str]) -> Mapping[str, float]:
        """Expected seconds of tests that have run before, in this environment or else in any (domain/timing.py)."""
        ...

    def learn(self, project_id: int, run: Run) -> None:
        """Take the durations and outcomes of a finished run into its test cases; the project is held by who does it."""
        ...


class BatchStore(Protocol):
    """Batches, attempts and fences."""

    def add(self, run_id: int, numbers: Iterable[int]) -> None: ...
    def get(self, run_id: int, number: int) -> BatchState | None: ...
    def open(self, run_id: int) -> Sequence[BatchState]: ...
    def last(self, run_id: int) -> int:
        """The greatest number of its batches; 0: it has none."""
        ...

    def end(self, run_id: int, number: int) -> None: ...
    def end_all(self, run_id: int) -> None:
        """End the batches of a run that is over, and the attempts that still run."""
        ...

    def attempt(self, claim: str) -> Attempt | None: ...
    def add_attempt(self, attempt: Attempt) -> None: ...
    def save_attempt(self, attempt: Attempt) -> None: ...
    def seen(self, claims: Collection[str], now: float) -> None:
        """These attempts live; one that was given up and not followed by another goes on."""
        ...

    def losses(self, run_id: int, number: int) -> int:
        """How many attempts of a batch were lost."""
        ...

    def at_work(self, run_id: int, since: float, besides: str) -> int:
        """How many attempts of a run run and were heard of since, to prepare a shard or to execute a batch; the claim
        ``besides`` is not counted."""
        ...

    def overtaken(self, claims: Collection[str]) -> Sequence[str]:
        """Those of the claims that hold their batch no more: another attempt has it, or it was given up for lost."""
        ...

    def silent(self, before: float) -> Sequence[int]:
        """The runs with an attempt at a batch that runs and was last heard of before a time."""
        ...


class ResultStore(Protocol):
    """Results, artifacts and logs of runs."""

    def add(self, run_id: int, results: Sequence[StoredResult]) -> None:
        """Keep results; one that is there already (same test, attempt and retry) stays as it is."""
        ...

    def discount(self, run_id: int, ordinals: Collection[int]) -> None:
        """No result of these tests counts any more: another attempt executes them anew."""
        ...

    def add_artifacts(self, artifacts: Sequence[ArtifactRow]) -> None: ...
    def artifact(self, id: str) -> ArtifactRow | None: ...
    def save_artifact(self, artifact: ArtifactRow) -> None: ...
    def add_log(self, run_id: int, shard: int, text: str, limit: int, at: float) -> None:
        """Append to a shard's log what was told at a time; past ``limit`` characters a notice stands for the rest."""
        ...


class Outbox(Protocol):
    """Messages to the broker that stand in the same transaction as their cause."""

    def add(self, *messages: Outgoing) -> None: ...
    def pending(self, limit: int) -> Sequence[Outgoing]: ...
    def runs(self) -> Set[int]:
        """The runs with messages that are still to be sent."""
        ...

    def sent(self, ids: Collection[int]) -> None: ...


class Transaction(Protocol):
    """All stores, in one transaction."""

    @property
    def projects(self) -> ProjectStore: ...
    @property
    def tokens(self) -> TokenStore: ...
    @property
    def runs(self) -> RunStore: ...
    @property
    def ledger(self) -> LedgerStore: ...
    @property
    def cases(self) -> CaseStore: ...
    @property
    def batches(self) -> BatchStore: ...
    @property
    def results(self) -> ResultStore: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def voices(self) -> VoiceStore: ...
    @property
    def reports(self) -> ReportStore: ...
    @property
    def listings(self) -> ListingStore: ...
    @property
    def workers(self) -> WorkerStore: ...
    @property
    def pools(self) -> PoolStore: ...
    @property
    def worker_credentials(self) -> WorkerCredentialStore: ...
    @property
    def snoozes(self) -> SnoozeStore: ...
    @property
    def test_plans(self) -> Shelf[TestPlan]: ...
    @property
    def resources(self) -> Shelf[Resource]: ...
    @property
    def schedules(self) -> ScheduleStore: ...
    @property
    def webhooks(self) -> WebhookStore: ...
    @property
    def users(self) -> UserStore: ...
    @property
    def organization(self) -> OrganizationStore: ...


class Store(Protocol):
    """Where transactions begin. Leaving the block commits, an exception rolls everything back."""

    def write(self, *, lasting: bool = True, alone: bool = False) -> AbstractContextManager[Transaction]:
        """A transaction that may change things. On SQLite there is one at a time, on PostgreSQL any number: what one
        decides on it has to hold (the ``hold`` of stores, and see ``storage/connect.py`` for the order), or to be
        ``alone``: one at a time of those that are. That is for what people change by hand.

        ``lasting`` False: for what may be forgotten when the machine loses power, because it is told or done again; it
        survives the end of the process all the same.
        """
        ...

    def read(self) -> AbstractContextManager[Transaction]:
        """A transaction that only looks."""
        ...
