"""The words of schedules."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, Field

from resit.api.native.catalog_schemas import Asked, Text, when
from resit.api.native.schemas import BuildBody, RunWords
from resit.domain.schedule import Overlap
from resit.domain.status import RunStatus, Verdict
from resit.ports import ScheduleView
from resit.services.requests import Request

Name = Annotated[str, Field(min_length=1, max_length=64)]
Zone = Annotated[str, Field(max_length=100, examples=["Europe/Berlin"], description="Of the IANA database")]
Cron = Annotated[str, Field(max_length=200, examples=["0 3 * * 1-5"], description="Minute, hour, day, month, weekday")]


class ScheduledWords(RunWords):
    """What its runs are asked to do: the words of a run."""

    group: Annotated[str, Field(max_length=512)] = Field(
        default="", description="Concurrency group; empty: one of its own, unless it skips"
    )


class ScheduleIn(Asked):
    """A request to make again and again."""

    name: Name
    cron: Cron
    zone: Zone = "UTC"
    overlap: Overlap = Field(default=Overlap.WAIT, description="What it does while its run before is still open")
    active: bool = True
    run: ScheduledWords = Field(default_factory=ScheduledWords)


class ScheduleChange(Asked):
    """What to change of a schedule; `run` is the whole new request."""

    name: Name = ""
    cron: Cron = ""
    zone: Zone = ""
    overlap: Overlap = Overlap.WAIT
    active: bool = Field(default=True, description="False pauses it")
    run: ScheduledWords = Field(default_factory=ScheduledWords)


class LastRunOut(BaseModel):
    """The last run of a schedule."""

    id: int
    status: RunStatus
    verdict: Verdict | None
    created_at: datetime | None

    @classmethod
    def of(cls, view: ScheduleView) -> "LastRunOut | None":
        """The words for the run, if there is one."""
        run = view.last_run
        if run is None:
            return None
        return cls(id=run.id, status=run.status, verdict=run.verdict, created_at=when(run.created_at))


class TimeOut(BaseModel):
    """A time: as a clock in the schedule's zone shows it, and in UTC."""

    local: datetime
    utc: datetime

    @classmethod
    def of(cls, time: datetime) -> "TimeOut":
        """The words for a time in a zone."""
        return cls(local=time, utc=time.astimezone(UTC))


class ScheduledWordsOut(BaseModel):
    """What its runs are asked to do; empty and null members take the project's or environment's word."""

    environment: str
    build: BuildBody
    branch: str
    commit: str
    tags: list[str]
    tests: list[str]
    variables: dict[str, str]
    metadata: dict[str, str | int | float]
    shards: int
    test_plan: int | None
    priority: int | None
    max_failures: int | None
    target_time: float | None
    reason: str
    group: str

    @classmethod
    def of(cls, request: Request, environment: str) -> "ScheduledWordsOut":
        """The words for what a schedule keeps."""
        special = ("environment", "build", "group", "tags", "tests")
        members = {name: getattr(request, name) for name in cls.model_fields if name not in special}
        return cls(
            **members,
            environment=environment,
            build=BuildBody(**{name: getattr(request.build, name) for name in BuildBody.model_fields}),
            tags=list(request.tags),
            tests=list(request.tests),
            group=request.concurrency.group,
        )


class ScheduleOut(BaseModel):
    """A schedule. ``alert`` says why somebody should look at it; empty when all is well."""

    id: int
    name: str
    project: str
    cron: str
    zone: str
    overlap: Overlap
    active: bool
    of_environment: bool = Field(description="It follows from its environment's `schedule`, and is changed there")
    next: TimeOut | None = Field(description="When it fires next; null while it is paused")
    last_at: datetime | None = Field(description="The time that it fired for last")
    last_run: LastRunOut | None
    missed: int = Field(description="Times that led to no run since it was made or changed")
    alert: Text
    note: Text = Field(description="What else is worth knowing of its last time")
    run: ScheduledWordsOut
    created_by: str
    created_at: datetime | None
    updated_at: datetime | None
    upcoming: list[TimeOut] = Field(description="The next times; empty in lists")

    @classmethod
    def of(cls, view: ScheduleView, request: Request, alert: str, upcoming: Sequence[datetime]) -> "ScheduleOut":
        """The words for a schedule; of ``upcoming`` the first is its next time, lists show no other."""
        value = view.schedule
        times = [TimeOut.of(time) for time in upcoming]
        return cls(
            id=value.id,
            name=value.name,
            project=view.project,
            cron=value.cron,
            zone=value.zone,
            overlap=value.overlap,
            active=value.active,
            of_environment=value.of_environment,
            next=times[0] if times else None,
            last_at=when(value.last_at),
            last_run=LastRunOut.of(view),
            missed=value.missed,
            alert=alert,
            note=value.note,
            run=ScheduledWordsOut.of(request, view.environment),
            created_by=value.created_by,
            created_at=when(value.created_at),
            updated_at=when(value.updated_at),
            upcoming=times[1:] and times,
        )
