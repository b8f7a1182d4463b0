"""A worker's uploads over HTTP, under the right of its attempt."""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import httpx

log = logging.getLogger(__name__)
TRIES_SECONDS = (0.2, 0.5, 1, 2, 5, 10, 15, 15, 15, 30, 30)
"""Waits between tries while the server is away: about two minutes in all."""
NO_ROOM_TRIES = 7
"""After so many tries, about half a minute, a file is given up for which the server has no room."""
FULL_SECONDS = 60.0
"""How long other files are tried only once after that: a run with many of them must come to its end, too."""
PIECE = 256 * 1024


class HttpUploads:
    """See ``resit.ports.Uploads``. Keeps its connections; a handful of uploads at a time."""

    def __init__(self, trust: ssl.SSLContext | None = None) -> None:
        """``trust``: which servers are the right ones; None: those that machines trust."""
        # trust_env off: the way to our own server does not lead through somebody's proxy.
        self._client = httpx.AsyncClient(timeout=60, trust_env=False, verify=True if trust is None else trust)
        self._at_once = asyncio.Semaphore(8)
        self._full_until = 0.0

    async def send(
        self, url: str, token: str, artifact: str, path: Path, *, name: str = "", content_type: str = ""
    ) -> bool:
        """Upload a file; False when it can't be taken. Waits while the server is away."""
        words = {"Authorization": f"Bearer {token}", "Resit-Name": quote(name[:200], safe="")}
        if content_type.isascii() and content_type.isprintable():
            words["Content-Type"] = content_type[:300]
        async with self._at_once:
            for number, wait in enumerate((*TRIES_SECONDS, None), 1):
                try:
                    answer = await self._client.put(
                        f"{url}/{artifact}",
                        content=_pieces(path),
                        headers={**words, "Content-Length": str(path.stat().st_size)},
                    )
                except FileNotFoundError:
                    log.warning("an attachment is gone before its upload: %s", path.name)
                    return False
                except httpx.HTTPError as error:
                    log.info("upload of %s waits: %r", artifact, error)
                else:
                    if answer.status_code < 300:
                        return True
                    if answer.status_code < 500:
                        log.warning("upload of %s was refused: %s", artifact, answer.status_code)
                        return False
                    if answer.status_code == 507 and self._hopeless(number):
                        log.warning("upload of %s was given up: the server has no room for it", artifact)
                        return False
                if wait is not None:
                    await asyncio.sleep(wait)
        return False

    async def fetch(self, url: str, token: str, to: Path, limit: int) -> bool:
        """Download a file; False when there is nothing for us. Waits while the server is away."""
        async with self._at_once:
            for wait in (*TRIES_SECONDS, None):
                try:
                    async with self._client.stream("GET", url, headers={"Authorization": f"Bearer {token}"}) as answer:
                        if answer.status_code < 300:
                            return await _saved(answer, to, limit)
                        if answer.status_code < 500:
                            log.warning("%s was refused: %s", url, answer.status_code)
                            return False
                except httpx.HTTPError as error:
                    log.info("%s waits: %r", url, error)
                if wait is not None:
                    await asyncio.sleep(wait)
        return False

    def _hopeless(self, tries: int) -> bool:
        now = time.monotonic()
        if tries >= NO_ROOM_TRIES:
            self._full_until = now + FULL_SECONDS
        return now < self._full_until

    async def ready(self, server: str) -> bool:
        """Whether the server is there and can do its work."""
        try:
            return (await self._client.get(f"{server}/readyz", timeout=5)).status_code == 200
        except httpx.HTTPError:
            return False

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece


async def _saved(answer: httpx.Response, to: Path, limit: int) -> bool:
    size = 0
    with to.open("wb") as file:
        async for piece in answer.aiter_bytes(PIECE):
            size += len(piece)
            if size > limit:
                return False
            await asyncio.to_thread(file.write, piece)
    return True
