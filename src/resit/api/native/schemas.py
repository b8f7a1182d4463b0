"""The words of runs, their ledgers, results and artifacts; answers say everything that is known."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from resit.api.native.catalog_schemas import Asked, Names, Text, when
from resit.domain.admission import MAX_PRIORITY, OnConflict
from resit.domain.ledger import Counts, state
from resit.domain.run import Build, Via
from resit.domain.status import Outcome, ResultStatus, RunStatus, SelectionKind, Verdict
from resit.domain.verdict import in_words
from resit.ports import ArtifactRow, Ids, Ledgered, StoredResult
from resit.ports.reads import RunView
from resit.services.requests import Request


class BuildBody(Asked):
    """What is under test."""

    url: Text = ""
    branch: Text = ""
    commit: Text = ""
    commit_url: Text = ""
    version: Text = ""
    repository: Text = Field(default="", description="Its owner and name")
    message: Text = Field(default="", description="Message of its commit")


class ConcurrencyIn(Asked):
    """A group of runs of which one is at work at a time: wait for the earlier one, or cancel it."""

    group: Annotated[str, Field(min_length=1, max_length=512)]
    on_conflict: OnConflict = OnConflict.WAIT


def _with_offset(value: object) -> object:
    """A text, with its distance from UTC; else words that help."""
    try:
        naive = isinstance(value, str) and datetime.fromisoformat(value).tzinfo is None
    except ValueError:
        return value  # what else is wrong with it says pydantic
    if naive or not isinstance(value, str):
        raise PydanticCustomError("no_offset", _NAIVE)
    return value


_NAIVE = "a time is a text with its distance from UTC, like 2026-12-01T09:00:00+01:00 or 2026-12-01T08:00:00Z"


Moment = Annotated[AwareDatetime, BeforeValidator(_with_offset)]
"""A time of RFC 3339; one without a zone could be anybody's."""
Priority = Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)]


class RunWords(Asked):
    """What can be said of a run, now or in a schedule. Absent members take the project's or environment's word."""

    environment: Text = ""
    build: BuildBody = Field(default_factory=BuildBody)
    branch: Text = Field(default="", description="Branch of the test repository")
    commit: Text = Field(default="", description="Commit of the test repository; re-runs then use the same one")
    tags: list[Text] = Field(default_factory=list[str], max_length=100, description="Tests with any of these tags")
    tests: list[Annotated[str, Field(max_length=4000)]] = Field(
        default_factory=list[str], max_length=50_000, description="Framework ids or test case UUIDs"
    )
    variables: Names = Field(default_factory=dict[str, str])
    metadata: dict[str, str | int | float] = Field(default_factory=dict[str, "str | int | float"], max_length=100)
    shards: int = Field(default=0, ge=0)
    target_time: float | None = Field(
        default=None, description="Seconds within which the tests should be done: as many shards as that takes"
    )
    test_plan: int | None = Field(default=None, ge=1, description="Number of a test plan, in place of tests and tags")
    priority: Priority | None = Field(default=None, description="Higher goes first; absent: the project's")
    max_failures: int | None = Field(
        default=None, ge=0, description="Stop after so many failures; 0: never; absent: the project's"
    )
    reason: Text = ""

    def request(self, **more: Any) -> Request:
        """The same in the words of the core."""
        members = {name: getattr(self, name) for name in RunWords.model_fields}
        members |= {"build": Build(**self.build.model_dump()), "tags": tuple(self.tags), "tests": tuple(self.tests)}
        return Request(**members, **more)


class RunIn(RunWords):
    """A run to trigger."""

    concurrency: ConcurrencyIn | None = None
    start_at: Moment | None = Field(default=None, description="Not before this time")
    actor: Text = Field(default="", description="The person the run is triggered for")


class RunChange(Asked):
    """What to change of a run that waits."""

    priority: Priority | None = None
    start_at: Moment | None = Field(default=None, description="Not before this time; null: as soon as it can")


class CancelIn(Asked):
    """Why a run is stopped."""

    reason: Text = ""


class RerunIn(Asked):
    """What to run again."""

    selection: SelectionKind = SelectionKind.ALL
    tests: list[Annotated[str, Field(max_length=4000)]] = Field(default_factory=list[str], max_length=50_000)
    cancelled: bool = Field(default=False, description="With `failed`: also what was cancelled before its end")
    priority: Priority | None = Field(default=None, description="Absent: the source's")
    max_failures: int | None = Field(default=None, ge=0, description="Absent: the source's; 0: never")
    start_at: Moment | None = Field(default=None, description="Not before this time")
    reason: Text = ""


class CountsOut(BaseModel):
    """Planned tests by state; the states are disjoint.

    ``did_not_run`` is a part of ``skipped``; ``snoozed`` tells how many red ones do not block.
    """

    passed: int
    failed: int
    flaky: int
    skipped: int
    errored: int
    lost: int
    not_found: int
    cancelled: int
    planned: int
    running: int
    total: int
    did_not_run: int
    snoozed: int

    @classmethod
    def of(cls, value: Counts) -> "CountsOut":
        """The words for counts."""
        names = [name for name in cls.model_fields if name not in ("total", "did_not_run")]
        numbers = {name: getattr(value, name) for name in names}
        return cls(**numbers, total=value.total, did_not_run=value.precluded)


class ProblemOut(BaseModel):
    """Something that went wrong outside any test."""

    code: str
    message: str


class RunOut(BaseModel):
    """A run. Nothing in it but ``kept`` changes after its end; its re-runs are told by its lineage."""

    id: int
    uuid: str
    short_id: str
    project: str
    environment: str
    status: RunStatus
    verdict: Verdict | None
    summary: str
    counts: CountsOut
    selection: SelectionKind
    tags: list[str]
    tests: list[str] = Field(description="The tests that were named, at most 100 of them")
    source_run_id: int | None = Field(description="The run that it runs again; retention may have removed it")
    kept: bool = Field(description="Retention leaves it alone")
    reason: str
    branch: str
    commit: str
    build: BuildBody
    metadata: dict[str, str | int | float]
    variables: dict[str, str]
    total_shards: int
    framework: str
    approximate: bool
    error: ProblemOut | None
    problems: list[ProblemOut]
    triggered_by: str
    actor: str
    via: Via
    group: str = Field(description="Its concurrency group")
    priority: int
    target_time: float = Field(description="Seconds within which its tests should be done; 0: not asked for")
    max_failures: int = Field(description="After so many failures it stops; 0: never")
    start_at: datetime | None = Field(description="It starts no sooner")
    schedule_id: int | None = Field(description="The schedule that made it")
    waiting_for: str = Field(description="What it waits for, in words; empty: for nothing, as far as is known")
    superseded_by: int | None = Field(description="The run that took its place in the group")
    cancelled_by: str
    cancel_reason: str = Field(description="Why it was cancelled, or stopped before its end")
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    duration: float | None = Field(description="Seconds from the first work to the end")
    url: str

    @classmethod
    def of(cls, view: RunView, ids: Ids, base: str, waiting_for: str = "") -> "RunOut":
        """The words for a run."""
        run = view.run
        problems = [ProblemOut(code=p.code, message=p.message) for p in run.problems]
        return cls(
            id=run.id,
            uuid=run.uuid,
            short_id=ids.short(run.id),
            project=view.project,
            environment=view.environment,
            status=run.status,
            verdict=run.verdict,
            summary=in_words(run.counts),
            counts=CountsOut.of(run.counts),
            selection=run.selection.kind,
            tags=list(run.selection.tags),
            tests=list(run.selection.tests[:100]),
            source_run_id=run.source_run_id or run.source_gone,
            kept=run.kept,
            reason=run.reason,
            branch=run.branch,
            commit=run.commit,
            build=BuildBody(**{name: getattr(run.build, name) for name in Build.__dataclass_fields__}),
            metadata=dict(run.metadata),
            variables=dict(run.variables),
            total_shards=run.total_shards,
            framework=run.facts.framework,
            approximate=run.facts.approximate,
            error=problems[0] if problems else None,
            problems=problems,
            triggered_by=run.triggered_by,
            actor=run.actor,
            via=run.via,
            group=run.group,
            priority=run.priority,
            target_time=run.target_time,
            max_failures=run.max_failures,
            start_at=when(run.start_at),
            schedule_id=run.schedule_id,
            waiting_for=waiting_for,
            superseded_by=run.superseded_by,
            cancelled_by=run.cancelled_by,
            cancel_reason=run.cancel_reason,
            created_at=when(run.created_at),
            started_at=when(run.started_at),
            finished_at=when(run.finished_at),
            duration=None if run.duration is None else round(run.duration, 3),
            url=f"{base}/resit/v1/runs/{run.id}",
        )


class FailureOut(BaseModel):
    """Why an execution did not pass."""

    message: str
    stack: str
    location: str


class AttachmentOut(BaseModel):
    """A file that a result refers to."""

    id: str
    name: str
    content_type: str
    size: int
    url: str


class ResultOut(BaseModel):
    """One execution of one test. ``counted``: by the attempt whose word counts."""

    attempt: int
    retry: int
    status: ResultStatus
    counted: bool
    started_at: datetime | None
    duration: float
    failures: list[FailureOut]
    attachments: list[AttachmentOut]
    annotations: list[tuple[str, str]]

    @classmethod
    def of(cls, value: StoredResult, base: str) -> "ResultOut":
        """The words for a result."""
        found = value.found
        return cls(
            attempt=value.attempt,
            retry=found.retry,
            status=found.status,
            counted=value.counted,
            started_at=when(found.started_at or None),
            duration=round(found.duration, 6),
            failures=[FailureOut(message=f.message, stack=f.stack, location=f.location) for f in found.failures],
            attachments=[
                AttachmentOut(
                    id=a.id, name=a.name, content_type=a.content_type, size=a.size, url=artifact_url(base, a.id)
                )
                for a in found.attachments
            ],
            annotations=list(found.annotations),
        )


class LedgerRowBrief(BaseModel):
    """A planned test and how it stands. ``id`` is the framework's id, ``case_id`` the test case's UUID."""

    id: str
    case_id: str
    file: str
    title: str
    title_path: list[str]
    variant: str
    tags: list[str]
    line: int
    state: str
    outcome: Outcome | None
    reason: str
    did_not_run: bool
    snoozed: bool = Field(description="A snooze stopped its outcome from blocking")
    duration: float

    @classmethod
    def values(cls, value: Ledgered) -> dict[str, Any]:
        """The members for a ledger row."""
        test, row = value.test, value.row
        return {
            "id": test.id,
            "case_id": value.case_uuid,
            "file": test.file,
            "title": test.title,
            "title_path": list(test.title_path),
            "variant": test.variant,
            "tags": list(test.tags),
            "line": test.line,
            "state": state(row),
            "outcome": row.outcome,
            "reason": row.reason,
            "did_not_run": row.precluded,
            "snoozed": row.snoozed,
            "duration": round(row.duration, 6),
        }


class LedgerRowOut(LedgerRowBrief):
    """A planned test with its results, oldest first."""

    results: list[ResultOut]


class ArtifactOut(BaseModel):
    """A stored file. ``stored`` is false while its upload is under way."""

    id: str
    test: str
    attempt: int
    retry: int
    name: str
    content_type: str
    size: int
    stored: bool
    url: str

    @classmethod
    def of(cls, value: ArtifactRow, test: str, base: str) -> "ArtifactOut":
        """The words for an artifact."""
        names = ("id", "attempt", "retry", "name", "content_type", "size", "stored")
        return cls(**{name: getattr(value, name) for name in names}, test=test, url=artifact_url(base, value.id))


class LogOut(BaseModel):
    """A log of a run: shard 0 is checkout, setup and listing. ``size`` in characters."""

    shard: int
    name: str
    size: int


class LineageOut(BaseModel):
    """A run's first ancestor and all re-runs after it, oldest first, and what is known now of the build."""

    runs: list[RunOut]
    effective_verdict: Verdict | None


def artifact_url(base: str, id: str) -> str:
    """Where an artifact is read."""
    return f"{base}/resit/v1/artifacts/{id}"
