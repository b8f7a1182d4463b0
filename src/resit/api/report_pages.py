"""Reports of runs, served file by file out of the one file that they are stored as. See ``api.origins``."""

import asyncio
import hashlib
import html
import mimetypes
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import cast
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from resit.api.context import Services, Use
from resit.api.files import wanted
from resit.api.origins import Origins
from resit.domain.errors import InvalidInput, NotFound
from resit.domain.report import Report
from resit.ports import artifact_key
from resit.services.packed import ENTRY, LOCAL_HEADER, Packed, data_offset, is_artifact, read

router = APIRouter(prefix="/reports", include_in_schema=False)
STAYED = "stayed"
"""In the query of an address that we have sent somebody on to: lest a proxy that changes hosts makes a circle of it."""
SANDBOX = "sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox allow-downloads allow-modals"
WORDS = "default-src 'none'; style-src 'unsafe-inline'"
"""Of pages of our own: no script at all."""
SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # A sandboxed page has no origin of its own: without this it could not read its own files. Who has the address has
    # the right.
    "Access-Control-Allow-Origin": "*",
}
SHIM = b"""<!DOCTYPE html><script>
for (const name of ['localStorage', 'sessionStorage']) {
  try { window[name].length; } catch {
    const kept = new Map();
    Object.defineProperty(window, name, { value: {
      get length() { return kept.size; }, key: n => [...kept.keys()][n] ?? null, clear: () => kept.clear(),
      getItem: key => kept.get(`${key}`) ?? null, setItem: (key, value) => { kept.set(`${key}`, `${value}`); },
      removeItem: key => { kept.delete(`${key}`); },
    } });
  }
}
</script>
"""
"""Comes before the first page of a report in a sandbox, where the storage of browsers throws; Playwright's page asks
for it before it shows anything. The page's own doctype after it is passed over."""
KEPT = 16
"""Reports whose tables of contents are kept in memory."""
TRACE = "trace/"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".webm": "video/webm",
    ".wasm": "application/wasm",
    ".zip": "application/zip",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".log": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where bytes of a report are stored: from ``start``, ``size`` of them."""

    key: str
    start: int
    size: int


class Contents:
    """The tables of contents of the reports that were asked for last."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Packed] = OrderedDict()

    async def of(self, use: Services, report: Report) -> Packed:
        """Those of a report. Raises :class:`NotFound`, :class:`InvalidInput`."""
        if (found := self._known.get(report.key)) is None:
            found = await asyncio.to_thread(_contents, use, report)
            self._known[report.key] = found
        self._known.move_to_end(report.key)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return found


def _contents(use: Services, report: Report) -> Packed:
    with use.artifacts.reader(report.key) as file:
        return read(file, report.size)


_CONTENTS = Contents()


@router.get("/{capability}")
@router.get("/{capability}/")
def begin(capability: str) -> Response:
    """A report's first page."""
    return RedirectResponse(
        f"/reports/{quote(capability, safe='=')}/{ENTRY}", 307, {**SAFE, "Cache-Control": "no-store"}
    )


@router.api_route("/{capability}/{path:path}", methods=["GET", "HEAD"])
async def page(use: Use, request: Request, capability: str, path: str) -> Response:
    """A file of a report. The capability is the only right that is needed."""
    origins = Origins.of(use.url, use.settings.content_url)
    host = request.headers.get("host", "")
    free = origins.serves_content(host)
    if not free and origins.leads_on(host) and STAYED not in request.query_params:
        mark = f"{request.url.query}&{STAYED}" if request.url.query else STAYED
        to = f"{origins.content}/reports/{quote(capability, safe='=')}/{quote(path)}?{mark}"
        return RedirectResponse(to, 307, {**SAFE, "Cache-Control": "no-store"})
    try:
        report = await asyncio.to_thread(use.html.opened, capability)
        contents = await _CONTENTS.of(use, report)
        if not (free and origins.trusted) and path.startswith(TRACE) and path.endswith(".html"):
            return _no_viewer(use, capability, contents, request.url.query)
        return await _file(use, request, report, contents, path, free=free)
    except (NotFound, InvalidInput) as error:
        if isinstance(error, NotFound) and "not stored" in error.message:
            await asyncio.to_thread(_look_for, use, capability)
        return _sorry(error.message)


async def _file(
    use: Services, request: Request, report: Report, contents: Packed, path: str, *, free: bool
) -> Response:
    place = await _place(use, report, contents, path)
    before = b"" if free or path != ENTRY else SHIM
    etag = f'"{hashlib.sha256(f"{place.key} {path} {len(before)}".encode()).hexdigest()[:32]}"'
    headers = {
        **SAFE,
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        "Content-Type": _type(path),
    }
    if not free:
        headers["Content-Security-Policy"] = SANDBOX
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    piece = wanted(request.headers.get("range", ""), place.size)
    if before or request.headers.get("if-range", etag) != etag:
        piece = None
    start, end, status = 0, place.size, 200
    if piece == (0, 0):
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{place.size}"})
    if piece is not None:
        start, end, status = *piece, 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{place.size}"
    headers["Content-Length"] = str(end - start + len(before))
    if start == end or request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    pieces = cast("AsyncGenerator[bytes]", use.artifacts.open(place.key, place.start + start, place.start + end))
    first = before + await anext(pieces, b"")
    return StreamingResponse(_from(first, pieces), status, headers)


async def _from(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece


async def _place(use: Services, report: Report, contents: Packed, path: str) -> _Place:
    """Where a file is: in the report's own file, or an artifact of its run. Raises :class:`NotFound`."""
    if entry := contents.files.get(path):
        header = b"".join([
            piece async for piece in use.artifacts.open(report.key, entry.header, entry.header + LOCAL_HEADER)
        ])  # fmt: skip
        return _Place(report.key, data_offset(header, entry), entry.size)
    id = contents.elsewhere.get(path, "")
    if not is_artifact(id):
        raise NotFound("there is no such file in the report")
    # Of the run of the report, whatever the report says.
    found = await use.artifacts.find(artifact_key(report.run_id, id))
    if found is None:
        raise NotFound("the file of this result is gone")
    return _Place(found.key, 0, found.size)


def _type(path: str) -> str:
    suffix = PurePosixPath(path).suffix.lower()
    return _TYPES.get(suffix) or mimetypes.guess_type(f"x{suffix}")[0] or "application/octet-stream"


def _look_for(use: Services, capability: str) -> None:
    """Note that the file of a report is gone, if it is."""
    report = use.html.opened(capability)
    try:
        use.artifacts.reader(report.key).close()
    except NotFound:
        use.html.gone(report.run_id)


def _page(title: str, body: str, status: int) -> HTMLResponse:
    style = "body{font:16px/1.5 system-ui,sans-serif;max-width:42em;margin:4em auto;padding:0 1em}code{background:#eee}"
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{style}</style>'
        f"<h1>{title}</h1>{body}</html>"
    )
    return HTMLResponse(text, status, {**SAFE, "Content-Security-Policy": WORDS, "Cache-Control": "no-store"})


def _sorry(words: str) -> Response:
    said = html.escape(words[0].upper() + words[1:])
    return _page(
        "No report here",
        f"<p>{said}.</p><p>Addresses of reports are good for 12 hours: ask for a new link, for example by "
        "<code>resit report RUN</code>.</p>",
        404,
    )


def _no_viewer(use: Services, capability: str, contents: Packed, query: str) -> Response:
    """In place of the trace viewer, which needs a service worker: nothing in a sandbox has one."""
    files: list[str] = []
    for said in parse_qs(query).get("trace", []):
        name = f"data/{PurePosixPath(urlsplit(said).path).name}"
        if name in contents.elsewhere or name in contents.files:
            files.append(name)
    base = f"{use.url}/reports/{quote(capability, safe='=')}"
    links = "".join(
        f'<li><a href="../{quote(name)}" download>Download the trace</a><br>'
        f"<code>npx playwright show-trace {html.escape(f'{base}/{quote(name)}')}</code></li>"
        for name in files
    )
    return _page(
        "The trace viewer does not run here",
        "<p>It needs a service worker, and browsers allow none to a page that was put into a sandbox. This server does "
        "that because scripts of tests must not run where its own pages do.</p>"
        + (f"<p>The trace can be read all the same:</p><ul>{links}</ul>" if links else "")
        + "<p>For the operator: with <code>resit serve --content-url https://ANOTHER-NAME</code>, a second host name "
        "for this server, over https, traces open in the browser.</p>",
        200,
    )
