"""Each request: its id, what it is about in the log, how long it took. The outermost layer, for all dialects."""

import logging
import time
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resit.ports.telemetry import Counted, Measured, Telemetry
from resit.telemetry import bind
from resit.telemetry.requests import Asked, begin, current, request_id, traceparent

log = logging.getLogger("resit.access")
HEADER = "X-Request-Id"
NO_ROUTE = "(none)"
"""The route of a path that leads nowhere: what people try is no label."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_WATCHERS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines: their answers are logged when they are bad."""
_GONE = 499
"""The client went before there was an answer; nginx has made it a custom."""


class Observed:
    """ASGI middleware. The application's services say who counts, and whether requests are logged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        asked = Asked(request_id(headers.get(HEADER, "")), traceparent(headers.get("traceparent", "")))
        # Not undone: the task ends with the request, and what is said of a failed one comes after us.
        begin(asked)
        bind(request=asked.id)
        began = time.perf_counter()
        status, first = _GONE, 0.0

        async def noted(message: Message) -> None:
            nonlocal status, first
            if message["type"] == "http.response.start":
                status = message["status"]
                answer = MutableHeaders(scope=message)
                answer.setdefault(HEADER, asked.id)
                if answer.get("content-type", "").startswith("text/event-stream"):
                    # How long somebody looks on says nothing of us.
                    first = time.perf_counter() - began
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception:
            status = 500
            raise
        finally:
            took = first or time.perf_counter() - began
            use: Any = scope["app"].state.services
            _tell(use.telemetry, asked, scope["method"], status, took)
            if use.settings.access_log and (asked.route not in _WATCHERS or status >= 400):
                _log(asked, scope["method"], status, took)


def note(name: str, scope: Mapping[str, Any]) -> None:
    """What has become of the request: the dialect that had it (empty: ours), and the route that was found."""
    asked = current()
    if asked is None:
        return
    asked.dialect = name or "native"
    asked.route = getattr(scope.get("route"), "path", "") or ("(files)" if "endpoint" in scope else "")
    run = str(scope.get("path_params", {}).get("run", ""))
    if run.isascii() and run.isdigit() and len(run) < 19:
        asked.run = int(run)


def _tell(telemetry: Telemetry, asked: Asked, method: str, status: int, took: float) -> None:
    where = {
        "dialect": asked.dialect or "native",
        "method": method if method in _METHODS else "OTHER",
        "route": asked.route or NO_ROUTE,
    }
    telemetry.count(Counted.HTTP_REQUESTS, **where, status=str(status))
    telemetry.observe(Measured.HTTP_SECONDS, took, **where)


def _log(asked: Asked, method: str, status: int, took: float) -> None:
    ms = round(took * 1000, 1)
    said = {
        "method": method if method in _METHODS else "OTHER",
        "route": asked.route or NO_ROUTE,
        "status": status,
        "ms": ms,
        "dialect": asked.dialect or "native",
        "token": asked.token,
    }
    words = "%s %s %s in %s ms (%s%s)"
    by = f", {asked.token}" if asked.token else ""
    about = {"http": said, "run": asked.run}
    log.info(words, said["method"], said["route"], status, ms, said["dialect"], by, extra=about)
