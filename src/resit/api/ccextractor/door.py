"""The door of this API: who comes in, how often, and the headers that every answer has (study 2.3 to 2.5).

A middleware, because answers that routes have no part in (405, 413, 429, 500) count and carry the headers as well. In
this order: authenticate, count (also what failed to authenticate, by its address then), refuse.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resit.api.ccextractor import errors
from resit.api.context import Services, bearer
from resit.domain.access import Principal
from resit.domain.errors import ResitError, Unauthenticated
from resit.domain.rates import Rate, Standing

MINUTE = 60.0
TOKENS = Rate(5, 900.0)
"""Tokens that one address may ask for; it slows down who guesses passwords, so no setting turns it off."""
HEALTH = 600
"""Looks at the health of one address in a minute: load balancers look often."""
_READS = ("GET", "HEAD", "OPTIONS")
_TOKENS = ("POST", "/api/v1/auth/tokens")
_HEALTH = "/api/v1/system/health"
_VISIT = "resit.ccextractor"


@dataclass(frozen=True, slots=True)
class Visit:
    """What the door found out: who comes, where they stand in their window, and the answer if they stay outside."""

    who: Principal | None = None
    standing: Standing | None = None
    refusal: Response | None = None


def principal_of(request: Request) -> Principal:
    """Who came in through the door. Raises :class:`Unauthenticated`."""
    visit: Visit | None = request.scope.get(_VISIT)
    if visit is None or visit.who is None:
        raise Unauthenticated(errors.UNAUTHORIZED)
    return visit.who


class Door:
    """See the module. ``routes`` are the paths that are known: an unknown one is nobody's and counts for nobody."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self._app, self._routes = app, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        found = self._match(scope)
        if found is not Match.NONE:
            scope[_VISIT] = await run_in_threadpool(_enter, Request(scope), found is Match.FULL)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                put_headers(scope, MutableHeaders(scope=message))
            await send(message)

        visit: Visit | None = scope.get(_VISIT)
        app = self._app if visit is None or visit.refusal is None else visit.refusal
        await app(scope, receive, with_headers)

    def _match(self, scope: Scope) -> Match:
        best = Match.NONE
        for route in self._routes:
            found, _ = route.matches(scope)
            if found is Match.FULL:
                return found
            if found is Match.PARTIAL:
                best = found
        return best


def _enter(request: Request, allowed: bool) -> Visit:
    """Authenticate and count. ``allowed``: the path knows the method; if not, that is what the answer tells."""
    use = cast("Services", request.app.state.services)
    door = (request.method, cast("str", request.scope["path"]))
    public = door == _TOKENS or door[1] == _HEALTH or not allowed
    who: Principal | None = None
    refusal: Response | None = None
    if not public:
        try:
            who = use.access.authenticate(bearer(request))
        except ResitError as error:
            refusal = errors.refusal(error)
    key, rate = _counter(use, request, door, who)
    now = use.clock.now()
    if not rate.limit:
        return Visit(who, None, refusal)
    standing = use.rates.hit(key, rate, now)
    if not standing.allowed:
        refusal = errors.too_many(standing.retry_after(now), rate.limit, rate.window)
    return Visit(who, standing, refusal)


def _counter(use: Services, request: Request, door: tuple[str, str], who: Principal | None) -> tuple[str, Rate]:
    """What a request counts against: reads and writes apart, by token, or by address where there is no good one."""
    address = request.client.host if request.client else ""
    if door == _TOKENS:
        return f"ccextractor/tokens/{address}", TOKENS
    reads = use.settings.ccextractor_reads
    if door[1] == _HEALTH:
        return f"ccextractor/health/{address}", Rate(max(HEALTH, reads) if reads else 0, MINUTE)
    whose = f"token {who.token_id}" if who else f"address {address}"
    if request.method in _READS:
        return f"ccextractor/reads/{whose}", Rate(reads, MINUTE)
    return f"ccextractor/writes/{whose}", Rate(use.settings.ccextractor_writes, MINUTE)


def put_headers(scope: Scope, headers: MutableHeaders) -> None:
    """The headers of every answer: how far the caller may go on, and what a browser may do with it."""
    visit: Visit | None = scope.get(_VISIT)
    if visit and visit.standing:
        headers["X-RateLimit-Limit"] = str(visit.standing.limit)
        headers["X-RateLimit-Remaining"] = str(visit.standing.remaining)
        headers["X-RateLimit-Reset"] = str(math.ceil(visit.standing.reset_at))
    headers["Content-Security-Policy"] = "default-src 'none'"
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    if scope.get("scheme") == "https" or _public_url(scope).startswith("https://"):
        headers["Strict-Transport-Security"] = "max-age=31536000"


def _public_url(scope: Scope) -> str:
    app: Any = scope.get("app")
    return cast("Services", app.state.services).url if app else ""
