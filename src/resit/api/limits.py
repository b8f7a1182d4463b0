"""Limits at the door, before anything is read into memory."""

import asyncio
import re
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

READ_OFF_BYTES = 64 * 1024 * 1024
READ_OFF_SECONDS = 5.0


class BodyLimit:
    """Refuse bodies over ``limit`` bytes with 413, whether they say their length or not.

    ``free``: a pattern of paths that have limits of their own. ``refuse`` makes the answer.
    """

    def __init__(
        self, app: ASGIApp, limit: int, refuse: Callable[[Request, int], Response], free: str = "(?!)"
    ) -> None:
        self._app, self._limit, self._refuse, self._free = app, limit, refuse, re.compile(free)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or self._free.match(scope["path"]):
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 18 or int(length) > self._limit:
            await _read_off(receive, True)
            await self._send_refusal(scope, send)
            return
        size = 0
        over = more = False

        async def counted() -> Message:
            nonlocal size, over, more
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._limit:
                over, more = True, message.get("more_body", False)
                return {"type": "http.disconnect"}
            return message

        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            if over and not started:
                started = True
                await _read_off(receive, more)
                await self._send_refusal(scope, send)
            elif not over:
                started = True
                await send(message)

        try:
            await self._app(scope, counted, watched)
        except Exception:
            if not over:
                raise
        if over and not started:
            await _read_off(receive, more)
            await self._send_refusal(scope, send)

    async def _send_refusal(self, scope: Scope, send: Send) -> None:
        answer = self._refuse(Request(scope), self._limit)
        answer.headers["connection"] = "close"

        async def silent() -> Message:
            return {"type": "http.disconnect"}

        await answer(scope, silent, send)


async def _read_off(receive: Receive, more: bool) -> None:
    """Read what is still to come and forget it, within limits: a client that is still sending hears no answer."""
    size = 0
    try:
        async with asyncio.timeout(READ_OFF_SECONDS):
            while more and size < READ_OFF_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                more = message["type"] == "http.request" and message.get("more_body", False)
    except TimeoutError:
        return
