"""A run: one requested execution of a selection of tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from resit.domain.ledger import Counts
from resit.domain.selection import Selection
from resit.domain.status import RunStatus, Verdict


class Via(StrEnum):
    """What triggered a run."""

    API = "api"
    GITHUB = "github"
    MANUAL = "manual"
    SCHEDULE = "schedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What is under test. All parts are for people and for the tests; Resit interprets none of them."""

    url: str = ""
    branch: str = ""
    commit: str = ""
    commit_url: str = ""
    version: str = ""
    repository: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFacts:
    """What the listing said of the suite; a re-run takes it over from its source. See ``plugin.Listing``."""

    framework: str = ""
    lanes: int = 1
    shares_process: bool = False
    dispatch_cost: float = 1.0
    batch_cost: float | None = None
    lane_cost: float | None = None
    approximate: bool = False
    suite: str = ""
    digest: str = ""
    reused: int = 0
    """The run whose listing this is, when it was used again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that went wrong outside any test. ``code`` is a word for programs, ``message`` is for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One requested execution, and how it stands.

    ``branch`` and ``commit`` are the test repository's: what was asked for, then what was checked out. ``shards`` is
    the number asked for (0: none), ``total_shards`` what the plan gave. ``group``: its
    concurrency group (domain/admission.py). ``via`` is the kind of trigger, ``triggered_by`` the token that asked,
    ``actor`` the person it says it asked for. ``seq`` grows with every change of the run or
    its ledger; live pages ask for what is newer than what they have. Times are seconds since the epoch.
    """

    id: int
    uuid: str
    project_id: int
    environment_id: int
    status: RunStatus = RunStatus.REQUESTED
    verdict: Verdict | None = None
    counts: Counts = Counts()
    selection: Selection = Selection()
    source_run_id: int | None = None
    source_gone: int | None = None
    """The number of its source, when retention has removed that."""
    reason: str = ""
    branch: str = ""
    pinned: bool = False
    """True when the request named a commit: a re-run then uses the same one, else the branch as it stands."""
    commit: str = ""
    prefer_branch: str = ""
    """A branch that takes the place of ``branch`` if the test repository has it; empty as soon as that is known."""
    build: Build = Build()
    metadata: Mapping[str, str | int | float] = field(default_factory=dict[str, "str | int | float"])
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    shards: int = 0
    total_shards: int = 0
    pool: str = "default"
    facts: PlanFacts = PlanFacts()
    problems: tuple[Problem, ...] = ()
    triggered_by: str = ""
    actor: str = ""
    via: Via = Via.API
    notify: bool = True
    """False: people are not told of this run; webhooks are."""
    group: str = ""
    priority: int = 0
    """Runs with a higher one go first where runs wait for each other or for a worker."""
    max_failures: int = 0
    """After so many failed or errored tests the run stops, on all its shards; 0: never."""
    target_time: float = 0.0
    """Seconds within which its tests should be done: it gets as many shards as that takes; 0: not asked for."""
    start_at: float | None = None
    """It is not admitted before this time."""
    schedule_id: int | None = None
    kept: bool = False
    """Retention leaves it alone."""
    trace: str = ""
    """The W3C traceparent that came with its request; empty: its trace begins with it (domain/trace.py)."""
    superseded_by: int | None = None
    """The run that took this one's place in its concurrency group."""
    cancelled_by: str = ""
    cancel_reason: str = ""
    test_plan_id: int | None = None
    plan_claim: str = ""
    plan_attempts: int = 0
    seq: int = 0
    deadline: float = 0.0
    touched_at: float = 0.0
    created_at: float = 0.0
    started_at: float | None = None
    planned_at: float | None = None
    """When its plan stood and its first batch was handed out."""
    finished_at: float | None = None

    @property
    def why_over(self) -> str:
        """Why its tests were stopped, for the results of those that were cut off."""
        if self.superseded_by is not None:
            return f"superseded by run {self.superseded_by}"
        if self.cancelled_by:
            return f"cancelled by {self.cancelled_by}{': ' * bool(self.cancel_reason)}{self.cancel_reason}"
        if self.cancel_reason:
            return self.cancel_reason
        return self.problems[-1].message if self.problems else "the run was over"

    @property
    def batches_at_once(self) -> int:
        """How many of its batches may be with workers at a time. Lanes that share batches take the next one when there
        is little left to begin: each may still have a test of another, and what is done may wait to be reported."""
        return 4 * self.total_shards + 8 if self.facts.shares_process else self.total_shards

    @property
    def error(self) -> Problem | None:
        """The first problem outside any test: why the run was not carried through."""
        return self.problems[0] if self.problems else None

    @property
    def duration(self) -> float | None:
        """Seconds from the first work to the end; None while the run is open."""
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at
