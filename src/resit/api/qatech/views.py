"""Runs and their tests as QA.tech's API shows them; the order of members is the documents'."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from resit.api.context import Services
from resit.api.dialect import iso
from resit.api.qatech import words
from resit.api.qatech.scope import plan_name, results_url
from resit.domain.access import Principal
from resit.domain.ids import case_uuid, row_uuid
from resit.domain.ledger import Row
from resit.domain.run import Run
from resit.domain.test_plan import TestPlan
from resit.ports import Ledgered, StoredResult
from resit.ports.reads import LedgerFilter, RunView
from resit.services.links import LINK_SECONDS, sign_artifact
from resit.services.requests import MAX_TESTS

CLASSIFICATION = "POSITIVE"
"""Our tests say that something works; QA.tech has ones that say that something does not."""


def started(use: Services, project: str, run: Run, tests: int) -> dict[str, Any]:
    """A run that was just made (seed)."""
    short = use.ids.short(run.id)
    return {"id": run.uuid, "shortId": short, "url": results_url(use, project, short), "testCount": tests}


def plan(use: Services, found: TestPlan | None, *, legacy: bool) -> dict[str, Any] | None:
    """The test plan of a run; the older API has its short id under two names (study A7)."""
    if found is None:
        return None
    short = plan_name(use.ids, found)
    return {"name": found.name, "shortId": short, **({"short_id": short} if legacy else {})}


def status(use: Services, view: RunView) -> dict[str, Any]:
    """How a run stands."""
    said, result = words.of_run(view.run.status, view.run.verdict)
    return {"id": view.run.uuid, "shortId": use.ids.short(view.run.id), "status": said, "result": result}


def run_tests(use: Services, who: Principal, view: RunView, states: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """The tests of a run, or those in some states. Before the run has its plan: the tests that are foreseen."""
    return [run_test(use, view, item) for item in ledger(use, who, view, LedgerFilter(states=states))]


def ledger(
    use: Services, who: Principal, view: RunView, which: LedgerFilter, limit: int = 2 * MAX_TESTS
) -> Sequence[Ledgered]:
    """Rows of a run's ledger, or of what it will be."""
    run = view.run
    if run.counts.total or not run.status.open:
        return use.reads.ledger_slice(run.id, which, 0, limit).items
    if which.states:
        return ()
    foreseen = list(enumerate(use.runs.foreseen(who, run.id)))
    return [
        Ledgered(test, Row(ordinal, test.id), case_uuid(view.project_uuid, test.id))
        for ordinal, test in foreseen[which.after + 1 :][:limit]
    ]


def run_test(use: Services, view: RunView, item: Ledgered) -> dict[str, Any]:
    """One test in one run. ``projectTestCaseId`` is ours: so a list can be fed to a rerun (study A9)."""
    said, result = words.of_test(item.row)
    return {
        "id": row_uuid(view.run.uuid, item.test.id),
        "shortId": use.ids.short_of(view.run.id, item.row.ordinal + 1),
        "name": item.test.title,
        "status": said,
        "result": result,
        "resultTitle": words.title(item.row),
        "evaluationThought": None if words.title(item.row) is None else item.row.reason or None,
        "promptGoal": None,
        "promptExamples": None,
        "projectTestCaseId": item.case_uuid,
    }


def detail(use: Services, view: RunView, item: Ledgered, results: Sequence[StoredResult]) -> dict[str, Any]:
    """One test in one run, with its times and files (study 1.8)."""
    found = run_test(use, view, item)
    counted = [result for result in results if result.counted]
    began = min((result.found.started_at for result in counted), default=0.0) or None
    ended = max((result.found.started_at + result.found.duration for result in counted), default=0.0) or None
    if not item.row.final:
        ended = None
    return {
        **found,
        "errorCode": words.error_code(item.row.outcome),
        "classification": CLASSIFICATION,
        "runShortId": use.ids.short(view.run.id),
        "startedAt": _when(began),
        "completedAt": _when(ended),
        "durationMs": None if began is None or ended is None else _milliseconds(ended - began),
        "url": f"{use.url}/p/{view.project}/results/test/{found['shortId']}",
        "screenshotUrl": file_url(use, view, counted, "image/"),
        "recordingUrl": file_url(use, view, counted, "video/"),
    }


def steps(use: Services, view: RunView, results: Sequence[StoredResult]) -> list[dict[str, Any]]:
    """The trace of a test: one step for each of its tries, because Resit sees no smaller ones."""
    return [_step(use, view, index, result) for index, result in enumerate(results)]


def _step(use: Services, view: RunView, index: int, result: StoredResult) -> dict[str, Any]:
    found = result.found
    failure = found.failures[0] if found.failures else None
    known = bool(found.started_at)
    return {
        "index": index,
        "startedAt": _when(found.started_at or None),
        "endedAt": _when(found.started_at + found.duration if known else None),
        "durationMs": _milliseconds(found.duration) if known else None,
        "reasoning": failure.message if failure else None,
        "toolCalls": [],
        "toolResult": (failure.stack or None) if failure else None,
        "screenshotUrl": file_url(use, view, [result], "image/"),
    }


def file_url(use: Services, view: RunView, results: Sequence[StoredResult], kind: str) -> str | None:
    """A link to the first stored file of a kind among results. It opens without a token, for an hour."""
    wanted = [file.id for result in results for file in result.found.attachments if file.content_type.startswith(kind)]
    if not wanted:
        return None
    with use.store.read() as tx:
        stored = (found.id for found in map(tx.results.artifact, wanted) if found and found.stored)
        id = next(stored, None)
    if id is None:
        return None
    expires = int(use.clock.now() + LINK_SECONDS)
    query = urlencode({"exp": expires, "sig": sign_artifact(use.signer, id, expires)})
    return f"{use.url}/v1/artifacts/{id}/content?{query}"


def _when(at: float | None) -> str | None:
    return None if at is None else iso(at)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
