"""For those who watch a server: whether it is alive and ready, its metrics, and what the doctor finds."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel

from resit.api.context import Services, Use, Who, bearer
from resit.control.context import Watching
from resit.control.health import Checked
from resit.control.watch import samples
from resit.domain import doctor
from resit.domain.access import Scope
from resit.domain.doctor import Finding, Level
from resit.domain.errors import Forbidden, Unavailable

router = APIRouter()


class FindingOut(BaseModel):
    """What a check came to. `advice`: what to do about it; empty when all is well."""

    name: str
    level: Level
    words: str
    advice: str


class Examination(BaseModel):
    """All findings. `level`: the worst of them. `time`: the server's clock, in seconds since the epoch."""

    level: Level
    version: str
    url: str
    time: float
    findings: list[FindingOut]


@router.get("/healthz", include_in_schema=False)
async def healthz() -> PlainTextResponse:
    """The process lives and answers; nothing else is asked."""
    return PlainTextResponse("ok\n", headers={"Cache-Control": "no-store"})


@router.get("/readyz", include_in_schema=False)
async def readyz(use: Use) -> JSONResponse:
    """Whether it can do its work, part by part; 503 when one can't, and when the server is about to end."""
    found = await _watching(use).health.look()
    ready = all(checked.ok for checked in found)
    body = {"status": "ready" if ready else "not ready", "checks": [_said(checked) for checked in found]}
    headers = {"Cache-Control": "no-store", **({} if ready else {"Retry-After": "2"})}
    return JSONResponse(body, 200 if ready else 503, headers)


def _said(checked: Checked) -> dict[str, Any]:
    said = {"name": checked.name, "ok": checked.ok, "ms": checked.ms}
    return said if checked.ok else {**said, "words": checked.words}


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request, use: Use) -> Response:
    """For Prometheus: with a token that has `system:read` and is bound to no project, unless anybody may read them."""
    if not use.settings.metrics_open:
        await asyncio.to_thread(_may_watch, use, bearer(request))
    watching = _watching(use)
    look = await watching.watch.look()
    page, media = await asyncio.to_thread(watching.page, list(samples(look)), request.headers.get("accept", ""))
    return Response(page, media_type=media, headers={"Cache-Control": "no-store"})


def _may_watch(use: Services, secret: str) -> None:
    who = use.access.authenticate(secret)
    who.need(Scope.SYSTEM_READ)
    if who.project_id is not None:
        raise Forbidden("this token is bound to one project: metrics are about all of them")


@router.get("/resit/v1/doctor", tags=["system"])
async def examine(
    use: Use,
    who: Who,
    integrity: Annotated[bool, Query(description="Have the database check itself, which reads all of it")] = False,
) -> Examination:
    """What is wrong with this installation, and what to do. For an administrator of everything. It takes seconds."""
    watching = _watching(use)
    look = await watching.watch.look()
    found = await asyncio.to_thread(watching.doctor.examine, who, look, integrity=integrity)
    return Examination(
        level=doctor.worst(found),
        version=watching.version,
        url=use.url,
        time=use.clock.now(),
        findings=_out(found),
    )


def _out(found: Sequence[Finding]) -> list[FindingOut]:
    return [FindingOut(name=f.name, level=f.level, words=f.words, advice=f.advice) for f in found]


def _watching(use: Services) -> Watching:
    if use.watching is None:
        raise Unavailable("the control plane is just starting")
    return use.watching
