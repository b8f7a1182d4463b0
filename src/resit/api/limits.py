"""Limits at the door, before anything is read into memory."""

import asyncio
import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

READ_OFF_BYTES = 64 * 1024 * 1024
READ_OFF_SECONDS = 5.0


class BodyLimit:
    """Refuse bodies over ``limit`` bytes with 413, whether they say their length or not; uploads have their own."""

    def __init__(self, app: ASGIApp, limit: int, free: str) -> None:
        self._app, self._limit, self._free = app, limit, free

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"].startswith(self._free):
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 18 or int(length) > self._limit:
            await _read_off(receive, True)
            await _refuse(send, self._limit)
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
                await _refuse(send, self._limit)
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
            await _refuse(send, self._limit)


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


async def _refuse(send: Send, limit: int) -> None:
    body = json.dumps(
        {
            "type": "about:blank",
            "title": "Content Too Large",
            "status": 413,
            "detail": f"the body is larger than {limit} bytes",
            "code": "too_large",
        }
    ).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
