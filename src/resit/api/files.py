"""Sending stored files: always as a download, because what users and their tests wrote must not run on our origin."""

import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from email.utils import formatdate
from typing import cast
from urllib.parse import quote

from fastapi.responses import RedirectResponse, Response, StreamingResponse
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from resit.api.context import Services
from resit.domain.errors import NotFound
from resit.ports import StoredFile

LINK_SECONDS = 300.0
"""How long an address of the store lives that somebody is sent on to."""
SAFE = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}
_CONTENT_TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}(; ?[\w.+-]{1,40}=[\w.+-]{1,100})?", re.ASCII)
_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.ASCII)


def download(use: Services, key: str, name: str, content_type: str = "") -> Response:
    """The stored file under a name; a content type that is none becomes bytes. Not there: :class:`NotFound`.

    Where the operator allows it and the store has addresses of its own, whoever asks is sent on to one.
    """
    return _Download(use, key, name, content_type)


class _Download(Response):
    """Looks for the file when it is sent: then that it is not there can still be told."""

    def __init__(self, use: Services, key: str, name: str, content_type: str) -> None:
        kind = content_type if _CONTENT_TYPE.fullmatch(content_type) else "application/octet-stream"
        super().__init__(media_type=kind, headers={**SAFE, "Content-Disposition": disposition(name)})
        self._use, self._key = use, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Raises :class:`NotFound`, :class:`Unavailable` before anything is sent."""
        artifacts = self._use.artifacts
        found = await artifacts.find(self._key)
        if found is None:
            raise NotFound("the file is not stored (yet)")
        if self._use.settings.artifact_redirects and (link := await artifacts.link(self._key, LINK_SECONDS)):
            await RedirectResponse(link, 307, {"Cache-Control": "no-store"})(scope, receive, send)
            return
        answer = await self._answer(found, Headers(scope=scope))
        await answer(scope, receive, send)

    async def _answer(self, found: StoredFile, asked: Mapping[str, str]) -> Response:
        headers = {name: value for name, value in self.headers.items() if name != "content-length"}
        headers |= {
            "Accept-Ranges": "bytes",
            "ETag": _etag(found),
            "Last-Modified": formatdate(found.modified, usegmt=True),
        }
        piece = wanted(asked.get("range", ""), found.size)
        if asked.get("if-range", headers["ETag"]) not in (headers["ETag"], headers["Last-Modified"]):
            piece = None
        if piece is None:
            start, end, status = 0, found.size, 200
        elif piece == (0, 0):
            return Response(status_code=416, headers={**SAFE, "Content-Range": f"bytes */{found.size}"})
        else:
            start, end, status = *piece, 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.size}"
        headers["Content-Length"] = str(end - start)
        pieces = cast("AsyncGenerator[bytes]", self._use.artifacts.open(self._key, start, end))
        first = await anext(pieces, b"")
        return StreamingResponse(_from(first, pieces), status, headers)


async def _from(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece


def disposition(name: str) -> str:
    """The header of a download called ``name``."""
    plain = quote(name, safe="")
    return f'attachment; filename="{name}"' if plain == name else f"attachment; filename*=utf-8''{plain}"


def wanted(header: str, size: int) -> tuple[int, int] | None:
    """The piece that a ``Range`` asks for: its first byte, and the one after its last. (0, 0): there is no such piece.

    None: all of it, also for what is no range of ours or asks for several pieces (RFC 9110 allows either).
    """
    match = _RANGE.fullmatch(header)
    if match is None or match[1] == match[2] == "":
        return None
    if not match[1]:
        start, end = max(size - int(match[2]), 0), size
    else:
        start, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < start:
            return None
    return (start, end) if start < end else (0, 0)


def _etag(found: StoredFile) -> str:
    return f'"{hashlib.sha256(f"{found.key} {found.size} {found.modified}".encode()).hexdigest()[:32]}"'
