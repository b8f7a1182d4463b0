"""What moves: the cells of a run's grid, and its changes as they come."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.responses import Response

from resit.control.context import Services
from resit.control.following import follow
from resit.domain.access import Scope
from resit.web.door import Seen, Use, Visitor
from resit.web.pages import HEADERS, LETTERS, name_of
from resit.web.run import head_text, view_of
from resit.web.shown import state_of

router = APIRouter()
NAMES = 200


@router.get("/runs/{run}/cells")
def cells(use: Use, seen: Seen, run: str) -> Response:
    """A letter for each test, in their order, and how new it is."""
    view = view_of(use, seen.who, run, Scope.RESULTS_READ)
    found = use.reads.cells(view.run.id)
    return JSONResponse({"seq": view.run.seq, "cells": "".join(LETTERS[state] for _, state in found)}, headers=HEADERS)


@router.get("/runs/{run}/names")
def names(use: Use, seen: Seen, run: str, at: Annotated[list[int], Query(max_length=NAMES)]) -> Response:
    """What the tests at some places are called, and how they stand: for who points at a cell."""
    view = view_of(use, seen.who, run, Scope.RESULTS_READ)
    found = use.reads.rows_of(view.run.id, at)
    said = {
        str(ordinal): {
            "name": name_of(row.test),
            "file": row.test.file,
            "state": state_of(row.row).replace("_", " "),
            "reason": row.row.reason[:200],
            "seconds": round(row.row.duration, 3),
        }
        for ordinal, row in found.items()
    }
    return JSONResponse(said, headers=HEADERS)


@router.get("/runs/{run}/live")
def live(
    request: Request,
    use: Use,
    seen: Seen,
    run: str,
    since: Annotated[int, Query(ge=-1, le=2**53)] = -1,
    last: Annotated[str, Header(alias="Last-Event-ID", max_length=30)] = "",
) -> StreamingResponse:
    """Events ``cells`` and ``head`` for a page that is open, then ``end``."""
    view = view_of(use, seen.who, run, Scope.RESULTS_READ)
    begin = int(last) if last.isascii() and last.isdigit() else since
    headers = {**HEADERS, "X-Accel-Buffering": "no"}
    return StreamingResponse(
        _stream(request, use, seen, view.run.id, begin), media_type="text/event-stream", headers=headers
    )


async def _stream(request: Request, use: Services, seen: Visitor, run: int, since: int) -> AsyncIterator[str]:
    async with aclosing(follow(use, run, since)) as following:
        async for step in following:
            if step is None:
                yield ": still here\n\n"
                continue
            said, open_ = await asyncio.to_thread(_changes, request, use, seen, run, step[0])
            yield f"id: {step[1]}\nevent: change\ndata: {json.dumps(said)}\n\n"
            if not open_:
                yield f"id: {step[1]}\nevent: end\ndata: {{}}\n\n"
                return


def _changes(request: Request, use: Services, seen: Visitor, run: int, since: int) -> tuple[dict[str, object], bool]:
    """The cells that have changed, as ``[place, letter]``, and the head as it is now."""
    view = use.reads.run(run)
    if view is None:
        return {}, False
    found = [[ordinal, LETTERS[state]] for ordinal, state in use.reads.cells(run, since)]
    head, legend = head_text(request, use, seen, view)
    counts = view.run.counts
    said: dict[str, object] = {
        "cells": found,
        "total": counts.total,
        "head": head,
        "legend": legend,
        "red": counts.red + counts.flaky,
        "open": view.run.status.open,
    }
    return said, view.run.status.open
