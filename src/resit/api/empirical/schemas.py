"""What callers send. Unknown members are ignored, as old and new clients differ; known ones are of their exact type."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from resit.domain.errors import InvalidInput
from resit.domain.project import check_text


def _plain(value: str) -> str:
    try:
        return check_text(value, "the text", 100_000)
    except InvalidInput as error:
        raise ValueError(error.message) from error


Text = Annotated[str, AfterValidator(_plain)]
Number = Annotated[int, Field(ge=1, lt=2**53)]


class Sent(BaseModel):
    """A body."""

    model_config = ConfigDict(strict=True, extra="ignore")


class Variable(Sent):
    """A variable for the tests of one run."""

    name: Text
    value: Text


class Build(Sent):
    """What is under test."""

    url: Text = ""
    branch: Text = ""
    commit: Text = ""
    commit_url: Text = ""
    version: Text = ""


class Concurrency(Sent):
    """A group of runs of which one is at work at a time; both members are needed (study 2.4)."""

    group: Annotated[Text, Field(min_length=1, max_length=512)]
    on_conflict: Literal["cancel", "wait"]


Metadata = dict[Text, Text | int | float]


class Trigger(Sent):
    """``PUT /api/test-runs``, and what the newest clients send beyond its documents."""

    environment: Text = ""
    """Required all the same: who leaves it out is told which there are."""
    build: Build = Field(default_factory=Build)
    metadata: Metadata = Field(default_factory=dict[str, "str | int | float"])
    environment_variables_overrides: list[Variable] = Field(default_factory=list[Variable], max_length=5000)
    github_actor: Text = ""
    tags: list[Text] = Field(default_factory=list[str])
    branch: Text = ""
    project_id: Number | None = None
    send_notifications: bool | None = None
    total_shards: Annotated[int, Field(ge=1)] | None = None
    rerun_source_id: Number | None = None
    rerun_only_failed: bool = False
    test_case_ids: list[Text] = Field(default_factory=list[str])
    concurrency: Concurrency | None = None

    @property
    def target(self) -> str:
        """The environment that is meant."""
        return self.environment

    @property
    def variables(self) -> Mapping[str, str]:
        """The overrides; of a name that comes twice the last one counts."""
        return {variable.name: variable.value for variable in self.environment_variables_overrides}


class Dispatch(Trigger):
    """``POST /v1/trigger`` (study 3.1): the same, and the older word for an environment."""

    platform: Text = ""

    @property
    def target(self) -> str:
        """The environment that is meant; a platform stands for one that is named like it."""
        return self.environment if self.environment.strip() else self.platform


class Rerun(Sent):
    """``POST /api/test-runs/{id}/re-run``."""

    only_failed: bool = False
    send_notifications: bool | None = None


class Cancel(Sent):
    """``POST /api/test-runs/{id}/cancel``."""

    reason: Text = ""


class Tags(Sent):
    """``PATCH /api/v2/test-cases/{id}``."""

    tags: list[Text]


def _no_exclamation(value: str) -> str:
    if value.startswith("!"):
        raise ValueError("an item does not begin with '!': name it in playwright_projects_ignore")
    return value


Glob = Annotated[Text, AfterValidator(_no_exclamation)]


class EnvironmentWords(Sent):
    """What an environment can be given besides its names."""

    is_disabled: bool = False
    playwright_projects_match: list[Glob] = Field(default_factory=list[str])
    playwright_projects_ignore: list[Text] = Field(default_factory=list[str])
    scheduled_trigger: Text | None = None


class EnvironmentChange(EnvironmentWords):
    """``PATCH /api/environments/{id}``; members that are absent stay."""

    name: Text = ""
    slug: Text = ""


class EnvironmentNew(EnvironmentWords):
    """``POST /api/environments``."""

    name: Annotated[Text, Field(min_length=1)]
    slug: Annotated[Text, Field(min_length=1)]


def _instant(value: str) -> float:
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise ValueError("send a time as ISO 8601, like 2026-11-22T19:05:08.246Z") from error


def instant(text: str) -> float:
    """Seconds since the epoch of a time that :class:`Time` let through."""
    return _instant(text)


def _is_instant(value: str) -> str:
    _instant(value)
    return value


Time = Annotated[Text, AfterValidator(_is_instant)]


class SnoozeNew(Sent):
    """``POST /api/snoozes``."""

    test_ids: Annotated[list[Text], Field(min_length=1)]
    snooze_until: Time
    description: Text | None = None
    created_by: Text | None = None
    scoped_to_environment_id: Number | None = None
    environment_id: Number | None = None
    created_from_test_run_id: Number | None = None


class SnoozeChange(Sent):
    """``PATCH /api/snoozes/{id}``; members that are absent stay. ``environment_id`` is the scope's old name."""

    test_ids: Annotated[list[Text], Field(min_length=1)] = Field(default_factory=list[str])
    snooze_until: Time = ""
    description: Text | None = None
    expire_now: bool = False
    scoped_to_environment_id: Number | None = None
    environment_id: Number | None = None


class HistoryAsked(Sent):
    """``POST /api/v2/analytics/test-case-history/batch``."""

    test_case_ids: Annotated[list[Text], Field(min_length=1, max_length=1000)]
    days: Annotated[int, Field(ge=1, le=90)] | None = None
    start_date: Text | None = None
    end_date: Text | None = None
    environment_id: Text | int | None = None
    limit_per_test_case: Annotated[int, Field(ge=1, le=1000)] = 50


class ResourceNew(Sent):
    """``POST /api/resources``."""

    name: Annotated[Text, Field(min_length=1)]
    mime_type: Text = ""
    size_bytes: Annotated[float, Field(ge=0, lt=2**53)] | None = None
    url: Text = ""
    description: Text = ""


class ResourceChange(Sent):
    """``PATCH /api/resources/{id}``; members that are absent stay."""

    name: Annotated[Text, Field(min_length=1)] | None = None
    description: Text | None = None
    status: Literal["uploaded"] | None = None


class WebhookNew(Sent):
    """``POST /api/webhooks``."""

    url: Text
    events: list[Text]


class MergeBranches(Sent):
    """``POST /api/projects/merge-branches``."""

    base_branch: Annotated[Text, Field(min_length=1)]
    head_branch: Annotated[Text, Field(min_length=1)]
