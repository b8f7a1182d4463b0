"""What this API takes: bodies, with unknown fields rejected as the contract says."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StringConstraints, field_validator

from resit.api.ccextractor.words import MAX_ID
from resit.domain.project import Platform

ScopeWord = Literal[
    "runs:read", "runs:write", "results:read", "baselines:write", "system:read", "system:write", "tokens:manage"
]


def _number(value: object) -> object:
    """JSON has one kind of numbers; true is none of them, and a text isn't either."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("not an integer")
    return value


Number = Annotated[int, BeforeValidator(_number)]
Id = Annotated[Number, Field(ge=1, le=MAX_ID)]


def _unique(values: list[int] | list[str]) -> None:
    if len(set(values)) < len(values):
        raise ValueError("an item stands in it twice")


class Asked(BaseModel):
    """A body without unknown fields."""

    model_config = ConfigDict(extra="forbid")


class TokenIn(Asked):
    """E-mail and password for a token."""

    email: Annotated[str, Field(max_length=255, pattern=r"^[^\s@]+@[^\s@]+$")]
    password: Annotated[str, Field(min_length=8, max_length=128)]
    token_name: Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[a-zA-Z0-9_-]+$")]
    expires_in_days: Annotated[Number, Field(ge=1, le=30)] = 7
    scopes: Annotated[list[ScopeWord], Field(max_length=7)] = Field(default_factory=list[ScopeWord])

    @field_validator("scopes")
    @classmethod
    def _scopes(cls, value: list[ScopeWord]) -> list[ScopeWord]:
        _unique([str(scope) for scope in value])
        return value


class RunIn(Asked):
    """A run to queue."""

    repository: Annotated[str, Field(max_length=100, pattern=r"^[a-zA-Z0-9_.-]+/[a-zA-Z0-9_.-]+$")]
    commit_sha: Annotated[str, Field(pattern=r"^[a-fA-F0-9]{40}$")]
    platform: Platform
    branch: Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$")] = "master"
    pull_request: Id | None = None
    regression_test_ids: Annotated[list[Id], Field(min_length=1, max_length=500)] | None = None

    @field_validator("regression_test_ids", mode="before")
    @classmethod
    def _a_list(cls, value: object) -> object:
        if value is None:
            raise ValueError("a list of numbers; leave it out for every active test")
        return value

    @field_validator("regression_test_ids")
    @classmethod
    def _ids(cls, value: list[int] | None) -> list[int] | None:
        _unique(value or [])
        return value


class RetryIn(Asked):
    """What to run again, and why."""

    failed_only: StrictBool = False
    reason: Annotated[str, Field(max_length=255)] = ""


class CancelIn(Asked):
    """Why a run is cancelled."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=5, max_length=255)] = ""


class ApprovalIn(Asked):
    """A produced output that is to be the expected one from now on."""

    regression_id: Id
    output_id: Id
    remove_variants: StrictBool = False


InputType = Literal["file", "stdin", "udp"]
OutputType = Literal["file", "null", "stdout", "tcp", "cea708", "multiprogram", "report"]
Categories = Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(min_length=1, max_length=50)]
Command = Annotated[str, Field(min_length=1, max_length=500)]


class RegressionTestIn(Asked):
    """A regression test to define."""

    sample_id: Id
    command: Command
    categories: Categories
    input_type: InputType = "file"
    output_type: OutputType = "file"
    expected_rc: Annotated[Number, Field(ge=0, le=255)] = 0
    description: Annotated[str, Field(max_length=1024)] = ""
    active: StrictBool = False


class RegressionTestChange(Asked):
    """Fields of a regression test to change; at least one."""

    command: Command = ""
    input_type: InputType = "file"
    output_type: OutputType = "file"
    expected_rc: Annotated[Number, Field(ge=0, le=255)] = 0
    description: Annotated[str, Field(max_length=1024)] = ""
    categories: Categories = Field(default_factory=list[str])
    active: StrictBool = False
