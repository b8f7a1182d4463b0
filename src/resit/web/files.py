"""Files of tests: pictures and films in place, everything else as a download; logs; reports and traces.

A picture or film is sent as nothing but that: its type is one of a short list, browsers may not guess another, and a
policy forbids it everything. What can hold a script (SVG, HTML) is never shown on our origin.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Annotated, cast
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.responses import Response

from resit.control.context import Services
from resit.domain.access import Scope
from resit.domain.errors import NotFound
from resit.domain.junit import Links
from resit.domain.report import ReportState
from resit.domain.wire import SMALL
from resit.services.packed import ENTRY, read
from resit.services.runs import find_artifact
from resit.web.door import Seen, Use
from resit.web.pages import HEADERS, page
from resit.web.run import show, view_of
from resit.web.shown import Items, kind_of

router = APIRouter()
PAGE = 100
PIECE = 1_000_000
SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, max-age=86400",
}


@router.get("/files/{id}")
async def file(request: Request, use: Use, seen: Seen, id: str) -> Response:
    """A stored file: a picture or film to look at, anything else to download. Films are sent in the pieces wanted."""

    def look() -> tuple[str, str, str]:
        seen.who.need(Scope.RESULTS_READ)
        with use.store.read() as tx:
            found = find_artifact(tx, seen.who, id)
        return found.key, found.name or found.id, found.content_type

    key, name, kind = await asyncio.to_thread(look)
    stored = await use.artifacts.find(key)
    if stored is None:
        raise NotFound("the file is not stored (yet), or not any more")
    headers = {**SAFE, "Accept-Ranges": "bytes"}
    if kind_of(kind) == "file":
        kind = "application/octet-stream"
        headers["Content-Disposition"] = f"attachment; filename*=utf-8''{quote(name, safe='')}"
    start, end, status = 0, stored.size, 200
    asked = request.headers.get("range", "").removeprefix("bytes=").partition("-")
    if request.headers.get("range", "").startswith("bytes=") and asked[0].isdigit() and len(asked[0]) < 16:
        start = min(int(asked[0]), max(stored.size - 1, 0))
        end = min(int(asked[2]) + 1, stored.size) if asked[2].isdigit() and len(asked[2]) < 16 else stored.size
        start, end, status = (start, end, 206) if start < end else (0, stored.size, 200)
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.size}"
    headers["Content-Length"] = str(end - start)
    pieces = cast("AsyncGenerator[bytes]", use.artifacts.open(key, start, end))
    first = await anext(pieces, b"")
    return StreamingResponse(_from(first, pieces), status, headers, media_type=kind)


async def _from(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece


@router.get("/runs/{run}/files")
def run_files(
    request: Request, use: Use, seen: Seen, run: str, after: Annotated[str, Query(max_length=100)] = ""
) -> Response:
    """What the run has left behind."""
    view = view_of(use, seen.who, run, Scope.RESULTS_READ)
    found = use.reads.artifacts(view.run.id, after, PAGE)
    report = use.html.standing(view.run.id)
    words = "the run goes on" if view.run.status.open else "its framework has none"
    if report is not None:
        words = report.words or {"waiting": "it is about to be made", "working": "it is being made"}.get(
            report.state.value, report.state.value
        )
    return show(
        request, use, seen, view, "files", "run_files.html",
        page=Items(found.items, found.next), report=report.state.value if report else "none", report_words=words,
    )  # fmt: skip


@router.get("/runs/{run}/report")
def report(request: Request, use: Use, seen: Seen, run: str) -> Response:
    """To the HTML report of a run, at the place where its scripts can do no harm."""
    view = view_of(use, seen.who, run, Scope.RESULTS_READ)
    return _to_report(request, use, seen, view.run.id, ENTRY)


@router.get("/runs/{run}/trace/{id}")
def trace(request: Request, use: Use, seen: Seen, run: str, id: str) -> Response:
    """To a trace in the viewer that came with the run's report."""
    view = view_of(use, seen.who, run, Scope.RESULTS_READ)
    found = use.html.standing(view.run.id)
    name = ""
    if found is not None and found.state is ReportState.READY:
        with use.artifacts.reader(found.key) as packed:
            elsewhere = read(packed, found.size).elsewhere
        name = next((path for path, artifact in elsewhere.items() if artifact == id), "")
    return _to_report(request, use, seen, view.run.id, f"trace/index.html?trace=../{quote(name)}" if name else "")


def _to_report(request: Request, use: Services, seen: Seen, run: int, path: str) -> Response:
    found = use.html.standing(run)
    if found is None or found.state is not ReportState.READY or not path:
        words = "Traces open in the viewer of the run's HTML report, and that is not there (yet)."
        if found is not None and found.words:
            words += f" It could not be made: {found.words}."
        return page(request, use, "error.html", seen, 404, title="No report (yet)", words=words)
    capability, _ = use.html.sign(run)
    base = f"{use.url.rstrip('/')}/reports/{quote(capability, safe='=')}"
    return RedirectResponse(f"{base}/{path}", 303, HEADERS)


@router.get("/runs/{run}/junit.xml")
def junit(use: Use, seen: Seen, run: str) -> Response:
    """The run as a JUnit file."""
    view = view_of(use, seen.who, run, Scope.RESULTS_READ)
    text = use.reports.junit(view, f"{use.url}/runs/{view.run.id}", Links(f"{use.url}/files/", ""))
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="junit-{view.run.id}.xml"'}
    return StreamingResponse(_encoded(text), headers=headers, media_type="application/xml")


def _encoded(texts: Iterator[str]) -> Iterator[bytes]:
    for text in texts:
        yield text.encode()


@router.get("/runs/{run}/logs")
def logs(
    request: Request, use: Use, seen: Seen, run: str, shard: Annotated[int, Query(ge=-1, le=SMALL)] = -1
) -> Response:
    """What was printed, shard by shard."""
    view = view_of(use, seen.who, run, Scope.RESULTS_READ)
    parts = use.reads.logs(view.run.id)
    chosen = shard if shard >= 0 else next((part.shard for part in parts if part.shard), 0)
    return show(request, use, seen, view, "logs", "run_logs.html", parts=parts, shard=chosen)


@router.get("/runs/{run}/logs/{shard}.txt")
def log(
    use: Use,
    seen: Seen,
    run: str,
    shard: Annotated[int, Path(ge=0, le=SMALL)],
    after: Annotated[int, Query(ge=0, le=SMALL)] = 0,
) -> Response:
    """A piece of a log from a character on; a header says where the next one begins."""
    view = view_of(use, seen.who, run, Scope.RESULTS_READ)
    text = use.reads.log(view.run.id, shard, after, PIECE)
    more = {"X-Resit-Next-Offset": str(after + len(text)), "X-Resit-Open": "yes" if view.run.status.open else ""}
    return PlainTextResponse(text, headers={**HEADERS, **more})
