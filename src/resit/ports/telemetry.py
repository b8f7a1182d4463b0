"""What is told to those who watch a server: events that are counted, times that are measured, how things stand, and the
stories of runs that are over. The core tells it in words of its own; ``integrations`` knows who listens.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from resit.domain.doctor import Database, WebhookFact
from resit.domain.trace import Ended, Story, Trace
from resit.ports.broker import Unread
from resit.ports.world import Plane


class Counted(StrEnum):
    """Events that are counted. The value is the metric's name, without ``resit_`` in front and ``_total`` behind."""

    HTTP_REQUESTS = "http_requests"
    RUNS_ENDED = "runs_ended"
    TESTS = "tests"
    ATTEMPTS = "attempts"
    REPORTS = "reports"
    RESULTS = "results"
    MESSAGES_SENT = "outbox_messages_sent"
    REPAIRS = "repairs"
    NOTICES = "notices"
    SCHEDULES_FIRED = "schedules_fired"
    ARTIFACTS_STORED = "artifacts_stored"
    ARTIFACT_BYTES = "artifact_stored_bytes"
    RETENTION_REMOVED = "retention_removed"
    RETENTION_FREED = "retention_freed_bytes"
    TRACES = "traces"


class Measured(StrEnum):
    """Durations that are measured, in seconds. The value is the metric's name, without ``resit_`` in front."""

    HTTP_SECONDS = "http_request_seconds"
    RUN_WAIT = "run_wait_seconds"
    RUN_PLAN = "run_plan_seconds"
    RUN_SECONDS = "run_seconds"
    INGEST_LAG = "ingest_lag_seconds"
    TRANSACTION = "transaction_seconds"


class Gauge(StrEnum):
    """How things stand at the moment of the question. The value is the metric's name, without ``resit_`` in front."""

    BUILD = "build_info"
    DATABASE_UP = "database_up"
    CONNECTIONS = "database_connections"
    RUNS_OPEN = "runs_open"
    OLDEST_WAIT = "runs_oldest_wait_seconds"
    WORK_WAITING = "work_waiting"
    WORKERS = "workers"
    SLOTS = "slots"
    SLOTS_BUSY = "slots_busy"
    OUTBOX = "outbox_messages"
    OUTBOX_AGE = "outbox_age_seconds"
    NOTICES_WAITING = "notices_waiting"
    NOTICES_FAILING = "notices_failing"
    SCHEDULES = "schedules"
    SCHEDULES_TROUBLED = "schedules_troubled"
    SCHEDULES_MISSED = "schedules_missed"
    PLANES = "control_planes"
    BROKER_CONNECTED = "broker_connected"
    BROKER_RECONNECTS = "broker_reconnects"
    INGEST_UNREAD = "ingest_unread_messages"
    INGEST_OLDEST = "ingest_oldest_seconds"
    DISK_FREE = "disk_free_bytes"


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric says, and by which labels it is told apart. ``buckets``: upper ends, of durations alone."""

    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LONG = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)

METRICS: Mapping[Counted | Measured | Gauge, Metric] = {
    Counted.HTTP_REQUESTS: Metric("HTTP requests that were answered.", ("dialect", "method", "route", "status")),
    Counted.RUNS_ENDED: Metric(
        "Runs that ended, by how. A run that is `finished` with the verdict `errored` was not carried through.",
        ("project", "status", "verdict"),
    ),
    Counted.TESTS: Metric("Tests of runs that ended, by outcome; `lost` are those whose workers died.", ("outcome",)),
    Counted.ATTEMPTS: Metric(
        "Attempts at batches of runs that ended: `ended`, `lost` (the worker died or fell silent) or `returned`.",
        ("state",),
    ),
    Counted.REPORTS: Metric(
        "Reports of workers: `taken`, `early` (put off, another comes first) or `dropped` (malformed, or too late).",
        ("became",),
    ),
    Counted.RESULTS: Metric("Results of tests that were taken from reports, repetitions included."),
    Counted.MESSAGES_SENT: Metric("Messages that went from the outbox to the broker.", ("kind",)),
    Counted.REPAIRS: Metric(
        "What the reconciler had to do: a run's `admission`, `plan`, `batches` or `report` handed out anew, or its "
        "`deadline`.",
        ("kind",),
    ),
    Counted.NOTICES: Metric("Notices to webhooks: `delivered`, `failed` (tried again) or `given_up`.", ("became",)),
    Counted.SCHEDULES_FIRED: Metric(
        "Times of schedules that came: a `run` was made, it was `skipped`, or there was a `problem`.", ("became",)
    ),
    Counted.ARTIFACTS_STORED: Metric("Artifacts that were stored by this process."),
    Counted.ARTIFACT_BYTES: Metric("Bytes of artifacts that were stored by this process."),
    Counted.RETENTION_REMOVED: Metric("What retention removed: `runs`, `rows`, `files`.", ("kind",)),
    Counted.RETENTION_FREED: Metric("Bytes of files that retention freed."),
    Counted.TRACES: Metric("Traces of runs: `exported`, `failed` (tried again) or `given_up`.", ("became",)),
    Measured.HTTP_SECONDS: Metric(
        "How long requests took; of streams of events, until their first word.", ("dialect", "method", "route"), _QUICK
    ),
    Measured.RUN_WAIT: Metric("From the request of a run until a worker began with it.", ("pool",), _LONG),
    Measured.RUN_PLAN: Metric("From a run's first work until its plan stood.", ("pool",), _LONG),
    Measured.RUN_SECONDS: Metric("From a run's first work to its end.", ("pool",), _LONG),
    Measured.INGEST_LAG: Metric("How long reports of workers lay at the broker before they were taken.", (), _QUICK),
    Measured.TRANSACTION: Metric("How long transactions took, the wait for their turn included.", ("kind",), _QUICK),
    Gauge.BUILD: Metric("1; which Resit, Python and database this is.", ("version", "python", "database")),
    Gauge.DATABASE_UP: Metric("1 when the database answered the last question of this page, else 0."),
    Gauge.CONNECTIONS: Metric("Connections of this process to the database.", ("state",)),
    Gauge.RUNS_OPEN: Metric("Runs that are open.", ("status",)),
    Gauge.OLDEST_WAIT: Metric("How long the run that has waited longest waits for its first work; 0: none waits."),
    Gauge.WORK_WAITING: Metric("Jobs and batches that no worker has taken yet.", ("pool",)),
    Gauge.WORKERS: Metric(
        "Workers that are alive: they take work (`ready`), or nothing new (`draining`).", ("pool", "state")
    ),
    Gauge.SLOTS: Metric("Slots of the workers that are alive.", ("pool",)),
    Gauge.SLOTS_BUSY: Metric("Slots that do something.", ("pool",)),
    Gauge.OUTBOX: Metric("Messages that wait to go to the broker; at most 10,000 are counted."),
    Gauge.OUTBOX_AGE: Metric("How long the first of them has waited, as far as this process saw it."),
    Gauge.NOTICES_WAITING: Metric("Notices that webhooks are still to be told; at most 10,000 are counted."),
    Gauge.NOTICES_FAILING: Metric("Those of them that were tried before, in vain."),
    Gauge.SCHEDULES: Metric("Schedules that are active."),
    Gauge.SCHEDULES_TROUBLED: Metric("Those of them that did not fire when they should."),
    Gauge.SCHEDULES_MISSED: Metric("Times of active schedules that led to no run, since they were made or changed."),
    Gauge.PLANES: Metric("Control planes that are at work on this database."),
    Gauge.BROKER_CONNECTED: Metric("1 while this process is connected to the broker, else 0."),
    Gauge.BROKER_RECONNECTS: Metric("How often this process has connected to the broker again."),
    Gauge.INGEST_UNREAD: Metric("Messages with reports of workers that are not in the ledger yet."),
    Gauge.INGEST_OLDEST: Metric("How long the oldest of them has been at the broker; 0: there is none."),
    Gauge.DISK_FREE: Metric("Bytes that are free where the data folder is."),
}
"""All metrics; docs/reference/metrics.md is made from this."""


class Telemetry(Protocol):
    """Who counts and measures. It never raises, never waits, and may be called from any thread."""

    def count(self, what: Counted, number: float = 1.0, /, **labels: str) -> None:
        """Something happened, ``number`` times. The labels are those of :data:`METRICS`."""
        ...

    def observe(self, what: Measured, seconds: float, /, **labels: str) -> None:
        """Something took so long."""
        ...


class Silent:
    """A :class:`Telemetry` that nobody listens to."""

    def count(self, what: Counted, number: float = 1.0, /, **labels: str) -> None:
        """Nothing."""

    def observe(self, what: Measured, seconds: float, /, **labels: str) -> None:
        """Nothing."""


SILENT = Silent()


@dataclass(frozen=True, slots=True)
class PoolStanding:
    """What is in a pool now. ``waiting``: jobs and batches that no worker has taken. ``versions`` of its workers."""

    workers: int = 0
    draining: int = 0
    slots: int = 0
    busy: int = 0
    waiting: int = 0
    versions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a server stands, by its database. Numbers of rows are counted up to a bound."""

    runs: Mapping[str, int] = field(default_factory=dict[str, int])
    """Open runs by status."""
    oldest_wait: float = 0.0
    """Seconds that the run which has waited longest for its first work waits; delayed runs wait for nothing."""
    pools: Mapping[str, PoolStanding] = field(default_factory=dict[str, PoolStanding])
    outbox: int = 0
    outbox_first: int = 0
    """The number of the first message of the outbox; 0: it is empty."""
    notices: int = 0
    notices_failing: int = 0
    schedules: int = 0
    schedules_troubled: int = 0
    schedules_missed: int = 0


class Standings(Protocol):
    """Reads that cost little, whatever the database holds."""

    def standing(self, now: float) -> Standing:
        """How the server stands. Raises :class:`Unavailable`."""
        ...

    def connections(self) -> tuple[int, int]:
        """The connections of this process to the database: in use, and idle."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen of a server. None: who knows it did not answer."""

    standing: Standing | None
    outbox_age: float
    planes: Sequence[Plane] | None
    connected: bool
    reconnects: int
    unread: Unread | None
    connections: tuple[int, int]
    disk_free: int


class Symptoms(Protocol):
    """Reads for the doctor: what is asked when somebody wants to know what is wrong."""

    def database(self, *, integrity: bool) -> Database:
        """How the database is; one that is away says so. ``integrity``: have it check itself, which reads all of it."""
        ...

    def environments(self, limit: int) -> Sequence[tuple[str, str]]:
        """Environments that are in use, as ``project/environment``, with the pool that each says."""
        ...

    def failing_webhooks(self, limit: int) -> Sequence[WebhookFact]:
        """Webhooks whose first notice was tried in vain."""
        ...

    def unbounded_projects(self) -> int:
        """Projects that keep their runs for ever."""
        ...


class Stories(Protocol):
    """Runs that have ended and of which nobody was told yet: each is told once, also when processes are killed."""

    def untold(self, limit: int, besides: Collection[int] = ()) -> Sequence[Ended]:
        """Runs that have ended, those that ended first."""
        ...

    def attempts(self, run_id: int) -> Mapping[str, int]:
        """How many attempts of a run came to which state."""
        ...

    def story(self, ended: Ended, most: int) -> Story:
        """All that a trace is made of, with at most ``most`` attempts and as many results, the bad ones first."""
        ...

    def told(self, ids: Collection[int], now: float) -> None:
        """These are done with."""
        ...


class Tracer(Protocol):
    """Who is told the stories as traces."""

    def export(self, trace: Trace) -> bool:
        """Hand a trace over; False when it was not taken and another try makes sense. Called in a thread."""
        ...

    def close(self) -> None: ...
