"""The words of the native API. Requests refuse unknown members; answers say everything that is known."""

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from resit.domain.access import Token
from resit.domain.ledger import Counts, state
from resit.domain.project import Environment, Project
from resit.domain.run import Build
from resit.domain.status import Outcome, ResultStatus, RunStatus, SelectionKind, Verdict
from resit.domain.verdict import in_words
from resit.ports import ArtifactRow, Ids, Ledgered, StoredResult
from resit.ports.reads import RunView, TestCase

T = TypeVar("T")
Text = Annotated[str, Field(max_length=2000)]
Names = Annotated[dict[str, str], Field(max_length=500)]


class Asked(BaseModel):
    """A request's body."""

    model_config = ConfigDict(extra="forbid")


class Many(BaseModel, Generic[T]):
    """A page of a list; ``next`` is the cursor of the next page, null on the last."""

    items: list[T]
    next: str | None


def when(time: float | None) -> datetime | None:
    """A time as ISO 8601 in UTC."""
    return None if time is None else datetime.fromtimestamp(round(time, 3), UTC)


class ProjectIn(Asked):
    """A suite to register."""

    slug: Text
    source: Text = Field(description="Absolute path of a folder on the server's machine, or a git URL")
    executor: Text = Field(examples=["pytest", "playwright"])
    name: Text = ""
    branch: Text = ""
    workdir: Text = Field(default="", description="Folder inside the source in which the framework starts")
    setup: Text = Field(
        default="", description="Shell command that installs what the suite needs; cached by lock files"
    )
    config: Text = Field(default="", description="Configuration file of the framework, relative to workdir")
    shards: int = Field(default=0, ge=0, description="Lanes of a run that names none; 0: the suite's own setting")
    time_limit: float = Field(default=7200, description="Seconds")


class BuildBody(Asked):
    """What is under test."""

    url: Text = ""
    branch: Text = ""
    commit: Text = ""
    commit_url: Text = ""
    version: Text = ""


class EnvironmentIn(Asked):
    """A target of runs."""

    slug: Text
    name: Text = ""
    variables: Names = Field(default_factory=dict[str, str])
    secrets: Names = Field(default_factory=dict[str, str], description="Write-only; answers show their names")
    match: list[Text] = Field(default_factory=list[str], max_length=100)
    ignore: list[Text] = Field(default_factory=list[str], max_length=100)


class EnvironmentOut(BaseModel):
    """A target of runs; of its secrets, only the names."""

    id: int
    uuid: str
    slug: str
    name: str
    variables: dict[str, str]
    secrets: list[str]
    match: list[str]
    ignore: list[str]
    created_at: datetime | None

    @classmethod
    def of(cls, value: Environment) -> "EnvironmentOut":
        """The words for an environment."""
        return cls(
            id=value.id,
            uuid=value.uuid,
            slug=value.slug,
            name=value.name,
            variables=dict(value.variables),
            secrets=list(value.secrets),
            match=list(value.filters.match),
            ignore=list(value.filters.ignore),
            created_at=when(value.created_at),
        )


class ProjectOut(BaseModel):
    """A registered suite."""

    id: int
    uuid: str
    slug: str
    name: str
    source: str
    executor: str
    branch: str
    workdir: str
    setup: str
    config: str
    shards: int
    time_limit: float
    created_at: datetime | None
    environments: list[EnvironmentOut] = Field(default_factory=list[EnvironmentOut])

    @classmethod
    def of(cls, value: Project, environments: list[EnvironmentOut] | None = None) -> "ProjectOut":
        """The words for a project."""
        values: dict[str, Any] = {name: getattr(value, name) for name in Project.__dataclass_fields__}
        values["created_at"] = when(value.created_at)
        return cls(**values, environments=environments or [])


class TokenIn(Asked):
    """A token to make."""

    project: Text | None = None
    scopes: list[Text] | None = None
    expires_in_days: float | None = None
    name: Text = ""


class TokenOut(BaseModel):
    """A token without its secret."""

    id: int
    name: str
    prefix: str
    project_id: int | None
    scopes: list[str]
    created_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, value: Token, **more: Any) -> "TokenOut":
        """The words for a token."""
        return cls(
            id=value.id,
            name=value.name,
            prefix=value.prefix,
            project_id=value.project_id,
            scopes=[scope.value for scope in value.scopes],
            created_at=when(value.created_at),
            expires_at=when(value.expires_at),
            revoked_at=when(value.revoked_at),
            **more,
        )


class NewToken(TokenOut):
    """A token with its secret, told once."""

    token: str
    project: str | None


class RunIn(Asked):
    """A run to trigger. Absent members take the project's or environment's word."""

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
    reason: Text = ""


class RerunIn(Asked):
    """What to run again."""

    selection: SelectionKind = SelectionKind.ALL
    tests: list[Annotated[str, Field(max_length=4000)]] = Field(default_factory=list[str], max_length=50_000)
    reason: Text = ""


class CountsOut(BaseModel):
    """Planned tests by state; the states are disjoint. ``did_not_run`` is a part of ``skipped``."""

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
    """A run. Nothing in it changes after its end; its re-runs are told by its lineage."""

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
    source_run_id: int | None
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
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    duration: float | None = Field(description="Seconds from the first work to the end")
    url: str

    @classmethod
    def of(cls, view: RunView, ids: Ids, base: str) -> "RunOut":
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
            source_run_id=run.source_run_id,
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


class TestCaseOut(BaseModel):
    """A test's lasting identity. ``test`` is the framework's id."""

    __test__ = False

    id: str
    test: str
    file: str
    title: str
    variant: str
    tags: list[str]
    line: int
    expected_duration: float | None
    last_outcome: Outcome | None
    last_run_id: int | None

    @classmethod
    def of(cls, value: TestCase) -> "TestCaseOut":
        """The words for a test case."""
        return cls(
            id=value.uuid,
            test=value.test,
            file=value.file,
            title=value.title,
            variant=value.variant,
            tags=list(value.tags),
            line=value.line,
            expected_duration=value.expected,
            last_outcome=Outcome(value.last_outcome) if value.last_outcome else None,
            last_run_id=value.last_run_id,
        )


def artifact_url(base: str, id: str) -> str:
    """Where an artifact is read."""
    return f"{base}/resit/v1/artifacts/{id}"
