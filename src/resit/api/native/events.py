"""A run's events as SSE: what is newer than what the client has, then the changes as they come, then ``end``."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from resit.api.context import Services, Use, Who
from resit.api.native import schemas
from resit.api.native.routes import runs_out, view_of
from resit.control.signals import changed
from resit.ports.reads import LedgerFilter

router = APIRouter(prefix="/resit/v1")

LOOK_SECONDS = 1.0
"""How often a stream looks by itself: another control plane may have made the change."""
PING_SECONDS = 15.0
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
    signals = use.signals()
    event = signals.watch(run)
    quiet = 0.0
    told = False
    try:
        while not signals.closing:
            seq = await asyncio.to_thread(use.reads.run_seq, run)
            if seq is None:
                return
            if seq > since or not told:
                # Who comes back for no more than the end, or with another run's number, hears how things stand.
                quiet, told = 0.0, True
                pieces, open_ = await asyncio.to_thread(_changes, use, run, since, seq)
                for piece in pieces:
                    yield piece
                since = seq
                if not open_:
                    yield _event("end", None, seq)
                    return
            elif quiet >= PING_SECONDS:
                quiet = 0.0
                yield ": still here\n\n"
            await changed(event, LOOK_SECONDS)
            quiet += LOOK_SECONDS
    finally:
        signals.unwatch(run, event)


def _changes(use: Services, run: int, since: int, seq: int) -> tuple[list[str], bool]:
    """What is newer than ``since``, the run last: who has seen its end has seen all tests before.

    ``seq`` was read before all else. An end that came while the pages were read is told next time, with its tests.
    """
    pieces: list[str] = []
    after: int | None = -1
    while after is not None:
        page = use.reads.ledger(run, LedgerFilter(since=since, after=after), PAGE)
        for item in page.items:
            row = schemas.LedgerRowBrief(**schemas.LedgerRowBrief.values(item))
            pieces.append(_event("test", row, None))
        after = int(page.next) if page.next else None
    view = use.reads.run(run)
    if view is None:
        return pieces, False
    if not view.run.status.open and view.run.seq != seq:
        return pieces, True
    pieces.append(_event("run", runs_out(use, [view])[0], seq))
    return pieces, view.run.status.open


def _event(kind: str, data: BaseModel | None, id: int | None) -> str:
    number = "" if id is None else f"id: {id}\n"
    # ASCII alone: there are clients that take U+2028 and its like for the end of a line.
    text = "{}" if data is None else data.model_dump_json(ensure_ascii=True)
    return f"{number}event: {kind}\ndata: {text}\n\n"
