"""What callers may send. Members that are not known are ignored (study A21), known ones must be of their type."""

import re
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

MAX_TESTS = 50_000
_UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _uuid(value: str) -> str:
    if not _UUID.fullmatch(value):
        raise ValueError(f"{value[:80]!r} is no UUID")
    return value.lower()


Uuid = Annotated[str, AfterValidator(_uuid)]
Name = Annotated[str, Field(max_length=500)]
"""A short id, in whichever spelling."""
Text = Annotated[str, Field(max_length=2000)]


def _names_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


class Asked(BaseModel):
    """A body, or a part of one."""

    model_config = ConfigDict(strict=True, extra="ignore", alias_generator=to_camel)


class RerunIn(Asked):
    """What to run again: all, or by one of the two selectors (seed)."""

    failed_only: bool | None = None
    project_test_case_ids: Annotated[list[Uuid], Field(max_length=MAX_TESTS)] | None = None
    project_short_id: Name | None = None

    @model_validator(mode="after")
    def _one_selector(self) -> "RerunIn":
        if self.failed_only is not None and self.project_test_case_ids is not None:
            raise ValueError("failedOnly and projectTestCaseIds exclude each other: send one of them, or neither")
        return self

    @field_validator("project_test_case_ids")
    @classmethod
    def _some(cls, value: list[str] | None) -> list[str] | None:
        return _not_empty(value)


def _not_empty(value: list[str] | None) -> list[str] | None:
    if value is not None and not value:
        raise ValueError("no tests to run: the list is empty")
    return value


class EnvironmentIn(Asked):
    """Where an application's tests go: an address, or a saved environment."""

    url: Text | None = None
    name: Text | None = None
    short_id: Name | None = None
    older_id: Name | None = Field(default=None, alias="short_id")
    application_build_short_id: Name | None = None

    @property
    def saved(self) -> str | None:
        """The short id of a saved environment, in the newer or the older spelling."""
        return self.short_id if self.short_id is not None else self.older_id

    @model_validator(mode="after")
    def _something(self) -> "EnvironmentIn":
        if self.url is None and self.saved is None and self.application_build_short_id is None:
            raise ValueError("an environment has a url or a shortId")
        return self

    @field_validator("url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None and not _names_host(value):
            raise ValueError("an environment's url begins with http:// or https:// and names a host")
        return value


class ApplicationIn(Asked):
    """What is different in this run for one application."""

    application_short_id: Name
    environment: EnvironmentIn | None = None
    device_preset_short_id: Name | None = None
    device_preset_id: Name | None = None


class ParametersIn(BaseModel):
    """Overrides of configurations, kept as they were sent (study 2.9)."""

    model_config = ConfigDict(strict=True, extra="allow", alias_generator=to_camel)

    configs: dict[str, Any] | None = None
    configs_by_environment: dict[str, dict[str, Any]] | None = None


class StartIn(Asked):
    """A run to start, as either API asks for it (study 1.1 and 1.4)."""

    trigger: Text | None = None
    actor: Text | None = None
    branch: Text | None = None
    commit_hash: Text | None = None
    commit_message: str | None = None
    repository: Text | None = None
    integration_name: Text | None = None
    test_plan_short_id: Name | None = None
    test_plan_short_ids: list[Name] | None = None
    test_case_ids: Annotated[list[Uuid], Field(max_length=MAX_TESTS)] | None = None
    applications: list[ApplicationIn] | None = None
    notifications: list[Any] | None = None
    parameters: ParametersIn | None = None
    project_short_id: Name | None = None

    @field_validator("test_case_ids")
    @classmethod
    def _some(cls, value: list[str] | None) -> list[str] | None:
        return _not_empty(value)

    @field_validator("notifications")
    @classmethod
    def _no_slack(cls, value: list[Any] | None) -> list[Any] | None:
        if value is not None and not value:
            raise ValueError("the list is empty: leave notifications out, or name one")
        if value:
            raise ValueError("Slack is not set up for this project: leave notifications out; Resit tells webhooks")
        return value

    @field_validator("applications", mode="before")
    @classmethod
    def _as_list(cls, value: object) -> object:
        """A map of applications as the list that it stands for (study A20)."""
        if not isinstance(value, dict):
            return value
        found: list[object] = []
        for name, override in cast("dict[str, object]", value).items():
            if not isinstance(override, dict):
                raise ValueError(f"what is said of application {name[:80]!r} is no JSON object")
            found.append({**cast("dict[str, object]", override), "applicationShortId": name})
        return found

    @model_validator(mode="after")
    def _one_selection(self) -> "StartIn":
        if len(self.test_plan_short_ids or ()) > 1:
            raise ValueError("a run is of one test plan: name one in testPlanShortIds")
        if self.plan is not None and self.test_case_ids is not None:
            raise ValueError("testPlanShortId and testCaseIds exclude each other: a plan says itself what it means")
        return self

    @property
    def plan(self) -> str | None:
        """The short id of a test plan."""
        if self.test_plan_short_id is not None:
            return self.test_plan_short_id
        return self.test_plan_short_ids[0] if self.test_plan_short_ids else None


class StartV1In(StartIn):
    """The same under ``/v1``, where the words of a trigger are a closed list (study A25)."""

    @field_validator("trigger")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value not in (None, "API", "GITHUB"):
            raise ValueError("a trigger is API or GITHUB")
        return value


class CaseIn(Asked):
    """A test case to write down."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    goal: Annotated[str, Field(min_length=1, max_length=20_000)]
    expected_result: Annotated[str, Field(max_length=10_000)] | None = None
    project_short_id: Name | None = None
    config_short_ids: list[Name] | None = None
    config_ids: list[Uuid] | None = None
    scenario_short_id: Name | None = None
    scenario_id: Uuid | None = None
    resume_from_dependency_project_test_case_id: Uuid | None = None
    wait_for_dependencies_project_test_case_ids: list[Uuid] | None = None


class CaseV1In(CaseIn):
    """The same under ``/v1``: the application goes by its short id."""

    application_short_id: Name


class CaseLegacyIn(CaseIn):
    """The same in the older API: the application goes by its UUID."""

    application_id: Uuid
