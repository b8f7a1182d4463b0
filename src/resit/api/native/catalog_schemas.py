"""The words of projects, environments, tokens and test cases; requests refuse unknown members."""

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from resit.domain.access import Token
from resit.domain.project import Environment, Platform, Project
from resit.domain.status import Outcome
from resit.ports.reads import TestCase

T = TypeVar("T")
Text = Annotated[str, Field(max_length=2000)]
POOL = "Pool that its runs go to: a name, or labels that it must have (`os=linux,browser=chrome`)"
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
    stall_limit: float = Field(
        default=600, description="Seconds of silence after which the test processes of a batch are ended; 0: never"
    )
    batch_limit: float = Field(default=0, description="Seconds that a batch of tests may take; 0: no limit")
    max_runs: int = Field(default=0, description="Runs at work at a time, the others wait; 0: no limit")
    priority: int = Field(default=0, description="Of runs that name none: -100 to 100, higher goes first")
    max_failures: int = Field(default=0, description="Of runs that name none: after so many they stop; 0: never")
    repository: Text = Field(default="", description="Owner and name of what is under test, as in owner/name")


class EnvironmentIn(Asked):
    """A target of runs."""

    slug: Text
    name: Text = ""
    variables: Names = Field(default_factory=dict[str, str])
    secrets: Names = Field(default_factory=dict[str, str], description="Write-only; answers show their names")
    match: list[Text] = Field(default_factory=list[str], max_length=100)
    ignore: list[Text] = Field(default_factory=list[str], max_length=100)
    platform: Platform = Platform.LINUX
    schedule: Text = Field(default="", description="Cron expression, UTC: all its tests run then")
    disabled: bool = Field(default=False, description="A disabled environment takes no new runs")
    pool: Text = Field(default="default", description=POOL)


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
    platform: Platform
    schedule: str
    disabled: bool
    pool: str = Field(description=POOL)
    created_at: datetime | None
    updated_at: datetime | None

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
            platform=value.platform,
            schedule=value.schedule,
            disabled=value.disabled,
            pool=value.pool,
            created_at=when(value.created_at),
            updated_at=when(value.updated_at),
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
    stall_limit: float
    batch_limit: float
    max_runs: int
    priority: int
    max_failures: int
    repository: str
    keep_days: float = Field(description="Retention: runs of a greater age go; 0: no limit")
    keep_runs: int = Field(description="Retention: runs beyond this number go; 0: no limit")
    keep_bytes: int = Field(description="Retention: runs beyond this sum of their files go; 0: no limit")
    html_report: bool = Field(description="Whether the HTML report of every run is made, where there is one")
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
    user_id: int | None = Field(description="Whose it is; null: the operator's")
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
            user_id=value.user_id,
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
