"""What the native API says, as types. Members that newer servers add are let through."""

from typing import Any, TypedDict


class CountsDoc(TypedDict):
    """How many tests of a run are in each state; ``did_not_run`` is a part of ``skipped``."""

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


class ProblemDoc(TypedDict):
    """Something that went wrong outside any test."""

    code: str
    message: str


class RunDoc(TypedDict):
    """A run as the API shows it. Times are as the server writes them; null while unknown."""

    id: int
    uuid: str
    short_id: str
    project: str
    environment: str
    status: str
    verdict: str | None
    counts: CountsDoc
    summary: str
    selection: str
    source_run_id: int | None
    kept: bool
    reason: str
    tags: list[str]
    branch: str
    commit: str
    build: dict[str, str]
    total_shards: int
    framework: str
    approximate: bool
    error: ProblemDoc | None
    problems: list[ProblemDoc]
    triggered_by: str
    group: str
    priority: int
    target_time: float
    max_failures: int
    start_at: str | None
    schedule_id: int | None
    waiting_for: str
    superseded_by: int | None
    cancelled_by: str
    cancel_reason: str
    created_at: str | float
    started_at: str | float | None
    finished_at: str | float | None
    duration: float | None
    url: str


class ProjectDoc(TypedDict):
    """A project with its environments."""

    slug: str
    name: str
    source: str
    branch: str
    executor: str
    workdir: str
    setup: str
    config: str
    shards: int
    max_runs: int
    priority: int
    max_failures: int
    repository: str
    keep_days: float
    keep_runs: int
    keep_bytes: int
    html_report: bool
    environments: list["EnvironmentDoc"]


class EnvironmentDoc(TypedDict):
    """An environment; of secrets there are only the names."""

    slug: str
    name: str
    variables: dict[str, str]
    secrets: list[str]
    match: list[str]
    ignore: list[str]
    platform: str
    schedule: str
    disabled: bool
    pool: str


class SnoozeDoc(TypedDict):
    """A snooze."""

    id: int
    tests: list[str]
    until: str
    active: bool
    description: str
    environment: str | None


class TimeDoc(TypedDict):
    """A time, as a clock in a schedule's zone shows it and in UTC."""

    local: str
    utc: str


class ScheduleDoc(TypedDict):
    """A schedule. ``alert`` says why somebody should look at it; empty when all is well."""

    id: int
    name: str
    project: str
    cron: str
    zone: str
    overlap: str
    active: bool
    of_environment: bool
    next: TimeDoc | None
    last_at: str | None
    last_run: dict[str, Any] | None
    missed: int
    alert: str
    note: str
    run: dict[str, Any]
    created_by: str
    upcoming: list[TimeDoc]


class LineageDoc(TypedDict):
    """A run and its re-runs, and the verdict over them all."""

    runs: list[RunDoc]
    effective_verdict: str | None


class FailureDoc(TypedDict):
    """What went wrong in a result."""

    message: str
    stack: str
    location: str


class ResultDoc(TypedDict):
    """One execution of a test."""

    attempt: int
    retry: int
    status: str
    counted: bool
    duration: float
    failures: list[FailureDoc]
    attachments: list[dict[str, Any]]


class RowDoc(TypedDict):
    """A ledger row: one planned test of a run. ``results`` is absent in live events."""

    id: str
    file: str
    title: str
    title_path: list[str]
    variant: str
    line: int
    state: str
    outcome: str | None
    reason: str
    did_not_run: bool
    snoozed: bool
    duration: float
    results: list[ResultDoc]


class LogDoc(TypedDict):
    """One log of a run: of the plan (shard 0) or of a shard."""

    shard: int
    name: str
    size: int
