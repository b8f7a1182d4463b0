"""Rows of tables to values of the domain and back. Translation only."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from resit.domain import wire
from resit.domain.access import Scope, Token, TokenKind
from resit.domain.attempt import Attempt, AttemptState
from resit.domain.junit import Outline
from resit.domain.ledger import Counts, Row
from resit.domain.plan import PlannedTest
from resit.domain.project import Environment, Platform, Project
from resit.domain.run import Build, PlanFacts, Problem, Run, Via
from resit.domain.selection import Filters, Selection, Taken
from resit.domain.status import Outcome, RunStatus, SelectionKind, Verdict
from resit.ports import ArtifactRow, Ledgered, StoredResult

COUNTS = (
    "passed", "failed", "flaky", "skipped", "errored", "lost",
    "not_found", "cancelled", "planned", "running", "precluded", "snoozed",
)  # fmt: skip

AnyRow = Mapping[Any, Any]


def dumps(value: object) -> str:
    """JSON as it is kept in the database: compact, characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def loads(text: str, default: Any) -> Any:
    """The reverse of :func:`dumps`; an empty text gives ``default``."""
    return json.loads(text) if text else default


def project(row: AnyRow) -> Project:
    """A project."""
    return Project(**{name: row[name] for name in Project.__dataclass_fields__})


def project_values(value: Project) -> dict[str, Any]:
    """Columns of a project, without its number."""
    return {name: getattr(value, name) for name in Project.__dataclass_fields__ if name != "id"}


def environment(row: AnyRow) -> Environment:
    """An environment, with the names of its secrets alone."""
    return Environment(
        id=row["id"],
        uuid=row["uuid"],
        project_id=row["project_id"],
        slug=row["slug"],
        name=row["name"],
        variables=loads(row["variables"], {}),
        secrets=tuple(loads(row["secret_names"], [])),
        filters=Filters(tuple(loads(row["match"], [])), tuple(loads(row["ignore"], []))),
        pool=row["pool"],
        platform=Platform(row["platform"]),
        disabled=row["disabled"],
        schedule=row["schedule"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def environment_values(value: Environment, sealed: str) -> dict[str, Any]:
    """Columns of an environment, without its number."""
    return {
        "uuid": value.uuid,
        "project_id": value.project_id,
        "slug": value.slug,
        "name": value.name,
        "variables": dumps(dict(value.variables)),
        "secret_names": dumps(list(value.secrets)),
        "sealed": sealed,
        "match": dumps(list(value.filters.match)),
        "ignore": dumps(list(value.filters.ignore)),
        "pool": value.pool,
        "platform": value.platform.value,
        "disabled": value.disabled,
        "schedule": value.schedule,
        "created_at": value.created_at,
        "updated_at": value.updated_at,
    }


def token(row: AnyRow) -> Token:
    """A token."""
    values: dict[str, Any] = {name: row[name] for name in Token.__dataclass_fields__}
    values["scopes"] = tuple(Scope(s) for s in row["scopes"].split())
    values["kind"] = TokenKind(row["kind"])
    return Token(**values)


def token_values(value: Token) -> dict[str, Any]:
    """Columns of a token, without its number."""
    values = {name: getattr(value, name) for name in Token.__dataclass_fields__ if name != "id"}
    return {**values, "scopes": " ".join(s.value for s in value.scopes), "kind": value.kind.value}


def run(row: AnyRow) -> Run:
    """A run."""
    selection = loads(row["selection"], {})
    return Run(
        id=row["id"],
        uuid=row["uuid"],
        project_id=row["project_id"],
        environment_id=row["environment_id"],
        status=RunStatus(row["status"]),
        verdict=Verdict(row["verdict"]) if row["verdict"] else None,
        counts=Counts(**{name: row[name] for name in COUNTS}),
        selection=Selection(
            SelectionKind(selection.get("kind", "all")),
            tuple(selection.get("tests", ())),
            tuple(selection.get("tags", ())),
            selection.get("lenient", False),
            Taken(selection.get("taken", "red")),
        ),
        source_run_id=row["source_run_id"],
        source_gone=row["source_gone"],
        reason=row["reason"],
        branch=row["branch"],
        pinned=row["pinned"],
        prefer_branch=row["prefer_branch"],
        commit=row["commit_sha"],
        build=Build(**loads(row["build"], {})),
        metadata=loads(row["metadata"], {}),
        variables=loads(row["variables"], {}),
        shards=row["shards"],
        total_shards=row["total_shards"],
        pool=row["pool"],
        facts=PlanFacts(**loads(row["facts"], {})),
        problems=tuple(Problem(**problem) for problem in loads(row["problems"], [])),
        triggered_by=row["triggered_by"],
        actor=row["actor"],
        via=Via(row["via"]),
        notify=row["notify"],
        group=row["group"],
        priority=row["priority"],
        max_failures=row["max_failures"],
        target_time=row["target_time"],
        start_at=row["start_at"],
        schedule_id=row["schedule_id"],
        kept=row["kept"],
        trace=row["trace"],
        superseded_by=row["superseded_by"],
        cancelled_by=row["cancelled_by"],
        cancel_reason=row["cancel_reason"],
        test_plan_id=row["test_plan_id"],
        plan_claim=row["plan_claim"],
        plan_attempts=row["plan_attempts"],
        seq=row["seq"],
        deadline=row["deadline"],
        touched_at=row["touched_at"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        planned_at=row["planned_at"],
        finished_at=row["finished_at"],
    )


def run_values(value: Run) -> dict[str, Any]:
    """Columns of a run, without its number."""
    build = {name: getattr(value.build, name) for name in Build.__dataclass_fields__}
    facts = {name: getattr(value.facts, name) for name in PlanFacts.__dataclass_fields__}
    asked = value.selection
    selection = {
        "kind": asked.kind.value,
        "tests": asked.tests,
        "tags": asked.tags,
        "lenient": asked.lenient,
        "taken": asked.taken.value,
    }
    return {
        **{name: getattr(value.counts, name) for name in COUNTS},
        "uuid": value.uuid,
        "project_id": value.project_id,
        "environment_id": value.environment_id,
        "status": value.status.value,
        "verdict": value.verdict.value if value.verdict else None,
        "selection": dumps(selection),
        "source_run_id": value.source_run_id,
        "reason": value.reason,
        "branch": value.branch,
        "pinned": value.pinned,
        "prefer_branch": value.prefer_branch,
        "commit_sha": value.commit,
        "build": dumps({name: text for name, text in build.items() if text}),
        "metadata": dumps(dict(value.metadata)),
        "variables": dumps(dict(value.variables)),
        "shards": value.shards,
        "total_shards": value.total_shards,
        "pool": value.pool,
        "facts": dumps(facts),
        "problems": dumps([{"code": p.code, "message": p.message} for p in value.problems]),
        "triggered_by": value.triggered_by,
        "actor": value.actor,
        "via": value.via.value,
        "notify": value.notify,
        "group": value.group,
        "priority": value.priority,
        "max_failures": value.max_failures,
        "target_time": value.target_time,
        "start_at": value.start_at,
        "schedule_id": value.schedule_id,
        "kept": value.kept,
        "trace": value.trace,
        "superseded_by": value.superseded_by,
        "cancelled_by": value.cancelled_by,
        "cancel_reason": value.cancel_reason,
        "test_plan_id": value.test_plan_id,
        "plan_claim": value.plan_claim,
        "plan_attempts": value.plan_attempts,
        "seq": value.seq,
        "deadline": value.deadline,
        "touched_at": value.touched_at,
        "created_at": value.created_at,
        "started_at": value.started_at,
        "planned_at": value.planned_at,
        "finished_at": value.finished_at,
    }


def test(row: AnyRow) -> PlannedTest:
    """A planned test, from a ledger row."""
    return PlannedTest(
        id=row["test"],
        file=row["file"],
        title_path=tuple(loads(row["title"], [])),
        variant=row["variant"],
        tags=tuple(loads(row["tags"], [])),
        line=row["line"],
        unit=row["unit"],
        apart=row["apart"],
    )


STATE = (
    *("ordinal", "test", "batch", "outcome", "running", "tries", "failed_before"),
    *("precluded", "snoozed", "reason", "duration", "began_at"),
)
"""The columns that :func:`ledger_row` needs."""


def ledger_row(row: AnyRow) -> Row:
    """The account of a planned test, from a ledger row."""
    return Row(
        ordinal=row["ordinal"],
        test=row["test"],
        batch=row["batch"],
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        running=row["running"],
        tries=row["tries"],
        failed_before=row["failed_before"],
        precluded=row["precluded"],
        snoozed=row["snoozed"],
        reason=row["reason"],
        duration=row["duration"],
        began=row["began_at"],
    )


def outline(row: AnyRow) -> Outline:
    """How a test stands, from some columns of its ledger row."""
    outcome = Outcome(row["outcome"]) if row["outcome"] else None
    state = Row(
        ordinal=row["ordinal"],
        test="",
        outcome=outcome,
        running=row["running"],
        precluded=row["precluded"],
        duration=row["duration"],
        began=row["began_at"],
    )
    return Outline(row["file"], row["variant"], state)


def ledger_state(value: Row) -> dict[str, Any]:
    """The columns of a ledger row that change."""
    return {
        "batch": value.batch,
        "outcome": value.outcome.value if value.outcome else None,
        "running": value.running,
        "tries": value.tries,
        "failed_before": value.failed_before,
        "precluded": value.precluded,
        "snoozed": value.snoozed,
        "reason": value.reason,
        "duration": value.duration,
        "began_at": value.began,
    }


def ledger_values(run_id: int, value: Ledgered, seq: int) -> dict[str, Any]:
    """All columns of a new ledger row."""
    return {
        "run_id": run_id,
        "ordinal": value.row.ordinal,
        "case_uuid": value.case_uuid,
        "test": value.test.id,
        "file": value.test.file,
        "title": dumps(list(value.test.title_path)),
        "variant": value.test.variant,
        "tags": dumps(list(value.test.tags)) if value.test.tags else "",
        "line": value.test.line,
        "unit": value.test.unit,
        "apart": value.test.apart,
        "seq": seq,
        **ledger_state(value.row),
    }


def ledgered(row: AnyRow) -> Ledgered:
    """A ledger row with its test."""
    return Ledgered(test(row), ledger_row(row), row["case_uuid"], row["seq"])


def attempt(row: AnyRow) -> Attempt:
    """An attempt."""
    values: dict[str, Any] = {name: row[name] for name in Attempt.__dataclass_fields__}
    values["state"] = AttemptState(row["state"])
    return Attempt(**values)


def attempt_values(value: Attempt) -> dict[str, Any]:
    """Columns of an attempt."""
    values = {name: getattr(value, name) for name in Attempt.__dataclass_fields__}
    return {**values, "state": value.state.value}


def result_values(run_id: int, value: StoredResult) -> dict[str, Any]:
    """Columns of a result; what only a reader of the details wants is JSON."""
    details = wire.details(value.found)
    return {
        "run_id": run_id,
        "ordinal": value.ordinal,
        "attempt": value.attempt,
        "retry": value.found.retry,
        "status": value.found.status.value,
        "final": value.found.final,
        "counted": value.counted,
        "started_at": value.found.started_at,
        "duration": value.found.duration,
        "details": dumps(details) if details else "",
    }


def result(row: AnyRow) -> StoredResult:
    """A result."""
    data = {
        "kind": "result",
        "test": "",
        "status": row["status"],
        "retry": row["retry"],
        "final": row["final"],
        "at": row["started_at"],
        "duration": row["duration"],
        **loads(row["details"], {}),
    }
    found = wire.from_wire(data)
    if not isinstance(found, wire.TestResult):  # pragma: no cover - the kind stands three lines above
        raise TypeError(found)
    return StoredResult(row["ordinal"], row["attempt"], row["counted"], found)


def artifact(row: AnyRow) -> ArtifactRow:
    """An artifact's record."""
    return ArtifactRow(**{name: row[name] for name in ArtifactRow.__dataclass_fields__})


def artifact_values(value: ArtifactRow) -> dict[str, Any]:
    """Columns of an artifact's record."""
    return {name: getattr(value, name) for name in ArtifactRow.__dataclass_fields__}


def parts(texts: Sequence[AnyRow]) -> list[tuple[int, list[PlannedTest]]]:
    """Pieces of a plan."""
    return [(row["number"], [wire.test_from_wire(t) for t in loads(row["tests"], [])]) for row in texts]
