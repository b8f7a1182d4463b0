"""Routes of what is kept: runs that retention leaves alone, what everything takes, and what goes."""

import shutil
from contextlib import suppress
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints

from resit.api.context import Services, Use, Who
from resit.api.native.catalog_schemas import Asked, when
from resit.api.native.routes import run_out
from resit.api.native.schemas import RunOut
from resit.ports.retention import Usage

router = APIRouter(prefix="/resit/v1")


class ProjectUsage(BaseModel):
    """What a project takes, and its limits (0: none)."""

    project: str
    runs: int
    kept: int = Field(description="Runs that retention leaves alone")
    tests: int = Field(description="Rows of the ledgers of all runs")
    artifacts: int = Field(description="Stored files")
    artifact_bytes: int
    oldest: datetime | None = Field(description="When its oldest run was requested")
    keep_days: float
    keep_runs: int
    keep_bytes: int

    @classmethod
    def of(cls, value: Usage) -> "ProjectUsage":
        """The words for what a project takes."""
        return cls(
            project=value.slug,
            runs=value.runs,
            kept=value.kept,
            tests=value.tests,
            artifacts=value.files,
            artifact_bytes=value.bytes,
            oldest=when(value.oldest),
            keep_days=value.policy.days,
            keep_runs=value.policy.runs,
            keep_bytes=value.policy.bytes,
        )


class DatabaseUsage(BaseModel):
    """What the database takes, in bytes; ``free`` is part of it, and used before it grows."""

    size: int
    free: int


class DiskUsage(BaseModel):
    """A disk of the server, in bytes."""

    size: int
    free: int


class UsageOut(BaseModel):
    """What everything takes. Database and disk are told to who may see all projects."""

    projects: list[ProjectUsage]
    database: DatabaseUsage | None
    disk: DiskUsage | None = Field(description="Of the data folder of the control plane that answers")


class RetentionIn(Asked):
    """What to remove."""

    project: Annotated[str, StringConstraints(max_length=100)] = Field(default="", description="Only of this project")
    dry_run: bool = Field(default=False, description="Only tell what would go")


class DoomOut(BaseModel):
    """Runs of a project that are beyond its limits."""

    project: str
    runs: list[int]


class RetentionOut(BaseModel):
    """What has gone. ``done`` false: there is more, ask again."""

    dry_run: bool
    doomed: list[DoomOut] = Field(description="Runs that would go; only for a dry run")
    runs: int
    rows: int
    artifacts: int
    artifact_bytes: int
    done: bool


@router.post("/runs/{run}/keep", tags=["retention"])
def keep_run(use: Use, who: Who, run: str) -> RunOut:
    """Keep a run, whatever the limits of its project say."""
    return _kept(use, use.retention.keep(who, run, kept=True).id)


@router.delete("/runs/{run}/keep", tags=["retention"])
def let_run_go(use: Use, who: Who, run: str) -> RunOut:
    """Leave a run to the limits of its project again."""
    return _kept(use, use.retention.keep(who, run, kept=False).id)


def _kept(use: Services, id: int) -> RunOut:
    use.signals().changed([id])
    return run_out(use, id)


@router.get("/usage", tags=["retention"])
def get_usage(use: Use, who: Who) -> UsageOut:
    """What the projects within reach take: runs, tests, files; the database, and room on the disk."""
    projects, room = use.retention.usage(who)
    disk: DiskUsage | None = None
    if room is not None:
        with suppress(OSError):
            found = shutil.disk_usage(use.settings.data)
            disk = DiskUsage(size=found.total, free=found.free)
    return UsageOut(
        projects=[ProjectUsage.of(project) for project in projects],
        database=DatabaseUsage(size=room.size, free=room.free) if room else None,
        disk=disk,
    )


@router.post("/retention", tags=["retention"])
def remove_runs(use: Use, who: Who, body: RetentionIn | None = None) -> RetentionOut:
    """Remove what is beyond the limits of the projects now, for some seconds at most."""
    asked = body or RetentionIn()
    if asked.dry_run:
        doomed = [
            DoomOut(project=doom.project, runs=[*doom.runs]) for doom in use.retention.foreseen(who, asked.project)
        ]
        return RetentionOut(dry_run=True, doomed=doomed, runs=0, rows=0, artifacts=0, artifact_bytes=0, done=True)
    freed, done = use.retention.remove(who, asked.project)
    return RetentionOut(
        dry_run=False,
        doomed=[],
        runs=freed.runs,
        rows=freed.rows,
        artifacts=freed.files,
        artifact_bytes=freed.bytes,
        done=done,
    )
