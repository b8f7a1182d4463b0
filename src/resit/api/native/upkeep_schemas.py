"""The words of snoozes, test plans and webhooks, and of changes; requests refuse unknown members."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field

from resit.api.native.catalog_schemas import POOL, Asked, Text, when
from resit.domain import snooze
from resit.domain.project import Platform
from resit.domain.snooze import Snooze
from resit.domain.test_plan import TestPlan
from resit.domain.webhook import Webhook, WebhookEvent

TestName = Annotated[str, Field(min_length=1, max_length=4000, description="Framework id, key or test case UUID")]
SnoozedTests = Annotated[list[TestName], Field(min_length=1, max_length=snooze.MAX_TESTS)]
Globs = Annotated[list[Text], Field(max_length=100)]
MaybeNames = Annotated[dict[str, str | None], Field(max_length=500)]


class ProjectChange(Asked):
    """What to change of a project."""

    name: Text = ""
    branch: Text = ""
    shards: int = 0
    time_limit: float = Field(default=7200, description="Seconds")
    stall_limit: float = Field(
        default=600, description="Seconds of silence after which the test processes of a batch are ended; 0: never"
    )
    batch_limit: float = Field(default=0, description="Seconds that a batch of tests may take; 0: no limit")
    max_runs: int = Field(default=0, description="Runs at work at a time, the others wait; 0: no limit")
    priority: int = Field(default=0, description="Of runs that name none: -100 to 100, higher goes first")
    max_failures: int = Field(default=0, description="Of runs that name none: after so many they stop; 0: never")
    repository: Text = Field(default="", description="Owner and name of what is under test")
    keep_days: float = Field(default=0, description="Retention: runs of a greater age go; 0: no limit")
    keep_runs: int = Field(default=0, description="Retention: runs beyond this number go; 0: no limit")
    keep_bytes: int = Field(default=0, description="Retention: runs beyond this sum of their files go; 0: no limit")
    html_report: bool = Field(default=True, description="Make the HTML report of every run, where there is one")


class EnvironmentChange(Asked):
    """What to change of an environment."""

    slug: Text = ""
    name: Text = ""
    variables: MaybeNames = Field(default_factory=dict[str, str | None], description="A value sets, null takes away")
    secrets: MaybeNames = Field(default_factory=dict[str, str | None], description="A value sets, null takes away")
    match: Globs = Field(default_factory=list[str], description="The whole new list")
    ignore: Globs = Field(default_factory=list[str], description="The whole new list")
    platform: Platform = Platform.LINUX
    schedule: Text = Field(default="", description="Cron expression, UTC: all its tests run then. Empty: none")
    disabled: bool = Field(default=False, description="A disabled environment takes no new runs")
    pool: Text = Field(default="default", description=POOL)


class SnoozeIn(Asked):
    """Tests whose failures are not to block for a while."""

    tests: SnoozedTests
    until: AwareDatetime
    description: Text = ""
    created_by: Annotated[str, Field(max_length=200)] = ""
    environment: Text = Field(default="", description="Slug of the one environment that it holds in; empty: all")
    from_run_id: int | None = Field(default=None, ge=1, description="The run that gave the reason")


class SnoozeChange(Asked):
    """What to change of a snooze."""

    tests: SnoozedTests = Field(default_factory=list[str])
    until: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    description: Text = ""
    environment: Text | None = Field(default=None, description="Slug of an environment; null: all")


class SnoozeOut(BaseModel):
    """A snooze."""

    id: int
    tests: list[str]
    until: datetime | None
    active: bool
    description: str
    created_by: str
    environment: str | None
    from_run_id: int | None
    created_at: datetime | None
    updated_at: datetime | None

    @classmethod
    def of(cls, value: Snooze, slugs: Mapping[int, str], now: float) -> "SnoozeOut":
        """The words for a snooze; ``slugs`` of the project's environments."""
        return cls(
            id=value.id,
            tests=list(value.tests),
            until=when(value.until),
            active=value.active(now),
            description=value.description,
            created_by=value.created_by,
            environment=None if value.environment_id is None else slugs.get(value.environment_id),
            from_run_id=value.from_run_id,
            created_at=when(value.created_at),
            updated_at=when(value.updated_at),
        )


class TestPlanIn(Asked):
    """A selection to save. Neither tests nor tags: everything."""

    __test__ = False

    name: Annotated[str, Field(min_length=1, max_length=200)]
    tests: list[TestName] = Field(default_factory=list[str], max_length=50_000)
    tags: list[Text] = Field(default_factory=list[str], max_length=100)
    environment: Text = Field(default="", description="Slug of where it runs unless a trigger says otherwise")
    default: bool = Field(default=False, description="Taken by triggers over the QA.tech API that name none")


class TestPlanOut(BaseModel):
    """A test plan."""

    __test__ = False

    id: int
    name: str
    tests: list[str]
    tags: list[str]
    environment: str | None
    default: bool
    created_at: datetime | None

    @classmethod
    def of(cls, value: TestPlan, slugs: Mapping[int, str]) -> "TestPlanOut":
        """The words for a test plan; ``slugs`` of the project's environments."""
        return cls(
            id=value.id,
            name=value.name,
            tests=list(value.tests),
            tags=list(value.tags),
            environment=None if value.environment_id is None else slugs.get(value.environment_id),
            default=value.default,
            created_at=when(value.created_at),
        )


class WebhookIn(Asked):
    """An address to tell of runs."""

    url: Text
    events: Annotated[list[Text], Field(max_length=20, examples=[["test_run.ended", "test_run.error"]])]


class WebhookOut(BaseModel):
    """A webhook without its secret."""

    id: int
    url: str
    events: list[WebhookEvent]
    active: bool
    created_at: datetime | None

    @classmethod
    def of(cls, value: Webhook) -> "WebhookOut":
        """The words for a webhook."""
        return cls(
            id=value.id,
            url=value.url,
            events=list(value.events),
            active=value.active,
            created_at=when(value.created_at),
        )


class NewWebhook(WebhookOut):
    """A webhook with its secret, told once."""

    secret: str
