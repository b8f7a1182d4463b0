"""A run's events as SSE: what is newer than what the client has, then the changes as they come, then ``end``."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from resit.api.context import Services, Use, Who
from resit.api.native import schemas
from resit.api.native.routes import runs_out, view_of
from resit.control.following import follow
from resit.ports.reads import LedgerFilter

router = APIRouter(prefix="/resit/v1")

PAGE = 500


@router.get("/runs/{run}/events", tags=["runs"], response_class=StreamingResponse)
def events(
    use: Use, who: Who, run: str, last: Annotated[str, Header(alias="Last-Event-ID", max_length=30)] = ""
) -> StreamingResponse:
    """Events `run` and `test` with the newest state of what changed, `end` when the run is over. Resumable."""
    found = view_of(use, who, run)
    since = int(last) if last.isascii() and last.isdigit() else -1
    stream = _stream(use, found.run.id, since)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def _stream(use: Services, run: int, since: int) -> AsyncIterator[str]:
    async with aclosing(follow(use, run, since)) as following:
        async for step in following:
            if step is None:
                yield ": still here\n\n"
                continue
            # Signals name the seq of a change; what is read afterwards may be newer, and is told again then.
            pieces, open_ = await asyncio.to_thread(_changes, use, run, *step)
            for piece in pieces:
                yield piece
            if not open_:
                yield _event("end", "{}", step[1])
                return


def _changes(use: Services, run: int, since: int, seq: int) -> tuple[list[str], bool]:
    """What is newer than ``since``, the run last: who has seen its end has seen all tests before.

    ``seq`` was read before all else. An end that came while the pages were read is told next time, with its tests.
    """
    pieces: list[str] = []
    after: int | None = -1
    while after is not None:
        page = use.reads.ledger(run, LedgerFilter(since=since, after=after), PAGE)
        # Not checked by their model, as others are: there are thousands, for each page that is open.
        rows = (json.dumps(schemas.LedgerRowBrief.values(item)) for item in page.items)
        pieces.extend(_event("test", row, None) for row in rows)
        after = int(page.next) if page.next else None
    view = use.reads.run(run)
    if view is None:
        return pieces, False
    if not view.run.status.open and view.run.seq != seq:
        return pieces, True
    # ASCII alone, here too: there are clients that take U+2028 and its like for the end of a line.
    pieces.append(_event("run", runs_out(use, [view])[0].model_dump_json(ensure_ascii=True), seq))
    return pieces, view.run.status.open


def _event(kind: str, text: str, id: int | None) -> str:
    number = "" if id is None else f"id: {id}\n"
    return f"{number}event: {kind}\ndata: {text}\n\n"
