"""What went wrong in a run, its logs and its files."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from resit.api.ccextractor import views, words
from resit.api.ccextractor.common import (
    Cursor,
    Flag,
    Id,
    IdFilter,
    Limit,
    Paged,
    Results,
    System,
    Text100,
    page,
    run_within,
    when,
)
from resit.api.ccextractor.errors import Refused
from resit.api.ccextractor.logs import LogLevel, LogSource, read_lines
from resit.api.context import Services, Use
from resit.api.dialect import Fault, Malformed
from resit.domain.access import Role
from resit.domain.events import Failure
from resit.domain.ids import case_uuid
from resit.domain.status import Outcome
from resit.ports import ArtifactRow, Ledgered
from resit.ports.reads import LedgerFilter, RunView
from resit.services.requests import MAX_TESTS

router = APIRouter(prefix="/api/v1/runs/{run_id}")

Group = Literal["type", "sample_id", "regression_id", "severity"]
ArtifactType = Literal[
    "build_log",
    "sample_output",
    "expected_output",
    "actual_output",
    "diff",
    "media_info",
    "binary",
    "coredump",
    "combined_stdout",
]
MAX_SAMPLES = 1000
MAX_ARTIFACTS = 1_000_000


def _outcomes(
    table: Mapping[Outcome, tuple[Any, words.Severity]], type: Any, severity: words.Severity | None
) -> tuple[str, ...]:
    """The outcomes that are errors of a type and severity."""
    return tuple(
        outcome.value for outcome, (kind, how) in table.items() if type in (None, kind) and severity in (None, how)
    )


# ---------------------------------------------------------------- errors


@router.get("/errors")
def list_errors(
    use: Use,
    who: Results,
    at: Paged,
    run_id: Id,
    type: words.ErrorType | None = None,
    severity: words.Severity | None = None,
    sample_id: IdFilter = None,
) -> JSONResponse:
    """The failures of tests, one item a test."""
    view = run_within(use, who, run_id)
    states = _outcomes(words.FAULTS, type, severity)
    file = use.reads.file(view.run.project_id, sample_id) if sample_id else None
    if not states or (sample_id and file is None):
        return page([], 0, at)
    which = LedgerFilter(states=states, file=file.path if file else None)
    found = use.reads.ledger_slice(run_id, which, at.offset, at.limit)
    tests = views.tests_of(use, view, found.items)
    return page([_error(view, item, tests) for item in found.items], found.total, at)


def _error(view: RunView, item: Ledgered, tests: views.Tests) -> dict[str, Any]:
    """What went wrong with a test, in the words of all failures of its last execution."""
    outcome = item.row.outcome or Outcome.ERRORED
    kind, severity = words.FAULTS[outcome]
    result = tests.results.get(item.row.ordinal)
    failures = result.found.failures if result else ()
    message = "\n".join(failure.message for failure in failures) or item.row.reason or f"the test {outcome.value}"
    ended = result.found.started_at + result.found.duration if result and result.found.started_at else None
    return {
        "error_id": f"{view.run.id}-{item.row.ordinal}",
        "run_id": view.run.id,
        "sample_id": tests.sample_id(item),
        "regression_id": tests.regression_id(item),
        "type": kind.value,
        "severity": severity.value,
        "message": message[:1000],
        "location": _location(item, failures),
        "occurred_at": when(ended or _then(view)),
    }


def _location(item: Ledgered, failures: Sequence[Failure]) -> dict[str, Any] | None:
    said = failures[0].location if failures else ""
    file, _, line = said.rpartition(":")
    if file and line.isascii() and line.isdigit() and len(line) < 10:
        return {"file": file, "line": int(line)}
    return {"file": item.test.file, "line": item.test.line or None} if item.test.file else None


def _then(view: RunView) -> float:
    """The time of what has none of its own: the run's end, or its beginning."""
    return view.run.finished_at or view.run.started_at or view.run.created_at


@router.get("/infrastructure-errors")
def list_infrastructure_errors(
    use: Use,
    who: System,
    at: Paged,
    run_id: Id,
    type: words.InfraType | None = None,
    severity: words.Severity | None = None,
    include_stack: Flag = False,
) -> JSONResponse:
    """What went wrong outside any test, and the tests that never came to a result because of it."""
    if include_stack:
        who.need_role(Role.ADMIN, Role.CONTRIBUTOR)
    view = run_within(use, who, run_id)
    problems = [
        _infra(view, f"{run_id}-p{number}", words.problem_type(problem), words.Severity.CRITICAL, problem.message)
        for number, problem in enumerate(view.run.problems)
        if type in (None, words.problem_type(problem)) and severity in (None, words.Severity.CRITICAL)
    ]
    items, total = problems[at.offset : at.offset + at.limit], len(problems)
    if states := _outcomes(words.INFRA_FAULTS, type, severity):
        offset, limit = max(0, at.offset - len(problems)), at.limit - len(items)
        found = use.reads.ledger_slice(run_id, LedgerFilter(states=states), offset, limit)
        tests = views.tests_of(use, view, found.items)
        items += [_never_came(view, item, tests) for item in found.items]
        total += found.total
    if not include_stack:
        for item in items:
            del item["stack"]
    return page(items, total, at)


def _infra(
    view: RunView, id: str, kind: words.InfraType, severity: words.Severity, message: str, **more: Any
) -> dict[str, Any]:
    return {
        "error_id": id,
        "run_id": view.run.id,
        "sample_id": None,
        "regression_id": None,
        "type": kind.value,
        "severity": severity.value,
        "message": message[:1000] or kind.value,
        "location": None,
        "stack": [line[:2000] for line in message.split("\n")[:50]],
        "occurred_at": when(_then(view)),
        **more,
    }


def _never_came(view: RunView, item: Ledgered, tests: views.Tests) -> dict[str, Any]:
    kind, severity = words.INFRA_FAULTS[item.row.outcome or Outcome.LOST]
    message = f"{item.test.id}: {item.row.reason or 'no result'}"
    number = {"sample_id": tests.sample_id(item), "regression_id": tests.regression_id(item)}
    return _infra(view, f"{view.run.id}-{item.row.ordinal}", kind, severity, message, **number)


@router.get("/error-summary")
def summarize_errors(
    use: Use,
    who: Results,
    at: Paged,
    run_id: Id,
    group_by: Group = "type",
    severity: words.Severity | None = None,
) -> JSONResponse:
    """The failures of tests, counted; the most frequent first."""
    view = run_within(use, who, run_id)
    states = _outcomes(words.FAULTS, None, severity)
    rows: Sequence[Ledgered] = ()
    if states:
        rows = use.reads.ledger(run_id, LedgerFilter(states=states), MAX_TESTS).items
    files = use.reads.file_numbers(view.run.project_id, {item.test.file for item in rows})
    cases = use.reads.cases_of([item.case_uuid for item in rows if group_by == "regression_id"])
    buckets: dict[str, dict[str, Any]] = {}
    for item in rows:
        kind, how = words.FAULTS[item.row.outcome or Outcome.ERRORED]
        match group_by:
            case "type":
                key = kind.value
            case "severity":
                key = how.value
            case "sample_id":
                key = str(files.get(item.test.file, ""))
            case "regression_id":
                key = str(cases[item.case_uuid].id) if item.case_uuid in cases else ""
        fresh: dict[str, Any] = {"group_by": group_by, "key": key, "count": 0, "severity": how, "sample_ids": {}}
        bucket = buckets.setdefault(key, fresh)
        bucket["count"] += 1
        bucket["severity"] = max(bucket["severity"], how, key=list(words.Severity).index)
        if item.test.file in files:
            bucket["sample_ids"][files[item.test.file]] = None
    found = sorted(buckets.values(), key=lambda bucket: (-bucket["count"], bucket["key"]))
    shown = [
        {
            **bucket,
            "severity": bucket["severity"].value,
            "sample_ids": list(bucket["sample_ids"])[:MAX_SAMPLES],
            "first_seen_at": when(view.run.planned_at),
            "last_seen_at": when(view.run.finished_at),
        }
        for bucket in found[at.offset : at.offset + at.limit]
    ]
    return page(shown, len(found), at)


# ---------------------------------------------------------------- logs


def _no_offset(request: Request) -> None:
    if "offset" in request.query_params:
        raise Malformed(Fault("offset", "logs are paged by limit and cursor"))


@router.get("/logs")
def read_logs(
    use: Use,
    who: System,
    request: Request,
    run_id: Id,
    limit: Limit = 50,
    cursor: Cursor = 0,
    level: LogLevel | None = None,
    source: LogSource | None = None,
    contains: Text100 = "",
) -> JSONResponse:
    """The lines of a run's logs: checkout and setup first, then each shard's. The cursor is the number of a line."""
    _no_offset(request)
    run_within(use, who, run_id)
    if not use.reads.logs(run_id):
        raise Refused(404, "log_not_found", f"run {run_id} has no log (yet)", resource="log", id=run_id)
    lines, following = read_lines(use.reads, run_id, cursor, limit, level, source, contains)
    return JSONResponse({"data": lines, "pagination": {"limit": limit, "next_cursor": following}})


@router.get("/samples/{sample_id}/logs")
def read_sample_logs(
    use: Use,
    who: System,
    request: Request,
    run_id: Id,
    sample_id: Id,
    limit: Limit = 50,
    cursor: Cursor = 0,
    level: LogLevel | None = None,
    contains: Text100 = "",
) -> JSONResponse:
    """Not kept: a shard's log holds the lines of all its tests."""
    del limit, cursor, level, contains
    _no_offset(request)
    run_within(use, who, run_id)
    message = f"no log is kept of a single sample: read the run's, GET /runs/{run_id}/logs"
    raise Refused(404, "log_not_found", message, resource="log", id=sample_id)


# ---------------------------------------------------------------- artifacts

_TYPES: Sequence[tuple[re.Pattern[str], ArtifactType]] = (
    (re.compile(r"[-_.]expected(\.\w+)?$", re.IGNORECASE), "expected_output"),
    (re.compile(r"[-_.]actual(\.\w+)?$", re.IGNORECASE), "actual_output"),
    (re.compile(r"([-_.]diff(\.\w+)?|\.patch)$", re.IGNORECASE), "diff"),
    (re.compile(r"std(out|err)", re.IGNORECASE), "combined_stdout"),
    (re.compile(r"\.log$", re.IGNORECASE), "build_log"),
    (re.compile(r"^core(\.\d+)?$|\.dmp$"), "coredump"),
)


def artifact_type(artifact: ArtifactRow) -> ArtifactType:
    """What a file is, guessed from its name and content type."""
    for pattern, found in _TYPES:
        if pattern.search(artifact.name):
            return found
    if artifact.content_type.startswith(("text/", "image/", "video/", "audio/")):
        return "sample_output"
    return "binary"


@router.get("/artifacts")
def list_artifacts(use: Use, who: Results, at: Paged, run_id: Id, type: ArtifactType | None = None) -> JSONResponse:
    """The files kept for a run; those that are still to come too."""
    view = run_within(use, who, run_id)
    found = [
        (artifact, test)
        for artifact, test in use.reads.artifacts(run_id, "", MAX_ARTIFACTS).items
        if type in (None, artifact_type(artifact))
    ]
    shown = found[at.offset : at.offset + at.limit]
    return page(list(_artifacts(use, view, shown)), len(found), at)


def _artifacts(use: Services, view: RunView, shown: Sequence[tuple[ArtifactRow, str]]) -> Iterator[dict[str, Any]]:
    uuids = {test: case_uuid(view.project_uuid, test) for _, test in shown if test}
    cases = use.reads.cases_of(uuids.values())
    files = use.reads.file_numbers(view.run.project_id, {case.file for case in cases.values()})
    for artifact, test in shown:
        case = cases.get(uuids.get(test, ""))
        yield {
            "artifact_id": artifact.id,
            "run_id": view.run.id,
            "sample_id": files.get(case.file) if case else None,
            "type": artifact_type(artifact),
            "filename": artifact.name[:255] or artifact.id,
            "content_type": artifact.content_type[:100] or "application/octet-stream",
            "size_bytes": artifact.size if artifact.stored else None,
            "storage_status": "ok" if artifact.stored else "missing",
            "download_url": f"{use.url}/resit/v1/artifacts/{artifact.id}" if artifact.stored else None,
        }
