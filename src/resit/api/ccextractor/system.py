"""Health and queue."""

import logging
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from resit.api.ccextractor import words
from resit.api.ccextractor.common import Paged, System, page, when
from resit.api.context import Services, Use
from resit.domain.project import Platform
from resit.ports.reads import RunFilter, RunOrder, RunView

log = logging.getLogger(__name__)
router = APIRouter(prefix="/api/v1/system")

Waiting = Literal["queued", "running"]


@router.api_route("/health", methods=["GET", "HEAD"])
def health(use: Use) -> JSONResponse:
    """The state of the service and of what it depends on: degraded while runs can only be looked at."""
    parts = [_database(use), _broker(use)]
    status = "down" if parts[0]["status"] == "down" else "ok"
    if status == "ok" and any(part["status"] != "ok" for part in parts):
        status = "degraded"
    document = {"status": status, "checked_at": when(use.clock.now()), "dependencies": parts}
    return JSONResponse(document, 503 if status == "down" else 200)


def _database(use: Services) -> dict[str, Any]:
    try:
        use.reads.run_seq(0)
    except Exception:
        # Whatever its driver raises: that it does not answer is what is asked for.
        log.exception("the database does not answer")
        return {"name": "database", "status": "down", "message": "it does not answer; the server's log says why"}
    return {"name": "database", "status": "ok", "message": None}


def _broker(use: Services) -> dict[str, Any]:
    try:
        use.signals()
    except RuntimeError:
        return {"name": "broker", "status": "down", "message": "the control plane is not running"}
    return {"name": "broker", "status": "ok", "message": None}


@router.get("/queue")
def queue(
    use: Use, who: System, at: Paged, platform: Platform | None = None, status: Waiting | None = None
) -> JSONResponse:
    """The runs that have not ended, lowest number first; the counts stand where contract and clients look."""

    def which(word: words.RunWord | None) -> RunFilter:
        wanted = (word,) if word else (words.RunWord.QUEUED, words.RunWord.RUNNING)
        kinds = tuple(kind for found in wanted for kind in words.kinds(found))
        return RunFilter(project_id=who.project_id, platform=platform, kinds=kinds)

    def count(word: words.RunWord) -> int:
        return use.reads.runs_slice(which(word), 0, 0).total

    asked = words.RunWord(status) if status else None
    found = use.reads.runs_slice(which(asked), at.offset, at.limit, RunOrder.OLDEST)
    counts = {"queue_depth": count(words.RunWord.QUEUED), "running_count": count(words.RunWord.RUNNING)}
    queued = asked is words.RunWord.QUEUED
    jobs = [_job(view, at.offset + number if queued else None) for number, view in enumerate(found.items, 1)]
    return page(jobs, found.total, at, counts, **counts)


def _job(view: RunView, position: int | None) -> dict[str, Any]:
    run = view.run
    found: dict[str, Any] = {
        "run_id": run.id,
        "status": words.run_word(run.status, run.verdict).value,
        "platform": view.platform.value,
        "queued_at": when(run.created_at),
        "started_at": when(run.planned_at),
    }
    return found if position is None else {**found, "position": position}
