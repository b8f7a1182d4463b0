"""The page as an application of its own: its routes, its errors in words, its static files."""

import logging
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from resit.control.context import Services
from resit.domain import errors
from resit.web import catalog, elsewhere, live, people, run, runs, schedules, snoozes, webhooks
from resit.web import files as stored
from resit.web.door import Visitor, visitor
from resit.web.pages import page

log = logging.getLogger(__name__)
STATUS: dict[type[errors.ResitError], int] = {
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.Suspended: 403,
    errors.QuotaExceeded: 402,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.AlreadyExists: 409,
    errors.RunStillOpen: 409,
    errors.RunNotCarriedThrough: 409,
    errors.RequestReused: 409,
    errors.TooLarge: 413,
    errors.RateLimited: 429,
    errors.Unavailable: 503,
    errors.NoRoom: 507,
}
TITLES = {
    401: "Sign in first",
    403: "This is not for you",
    404: "There is nothing here",
    409: "That does not go now",
    503: "Not just now",
}


class _Static(StaticFiles):
    """Names have a fingerprint behind them, so that a file can be kept for ever."""

    async def get_response(self, path: str, scope: object) -> Response:  # type: ignore[override]
        """See Starlette."""
        answer = await super().get_response(path, scope)  # type: ignore[arg-type]
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer


PATHS = frozenset({
    "", "runs", "start", "projects", "environments", "compare", "workers", "pools", "settings", "account", "sign-in",
    "sign-out", "link", "files", "static", "p",
})  # fmt: skip
"""The first parts of the page's paths; all others are the APIs'."""


def create_web(services: Services) -> FastAPI:
    """The application over ``services``."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.services = services
    for part in (people, runs, live, stored, catalog, schedules, snoozes, webhooks, elsewhere, run):
        app.include_router(part.router)
    app.mount("/static", _Static(directory=Path(str(files("resit.web").joinpath("static")))), name="static")
    app.add_exception_handler(errors.ResitError, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_exception_handler(Exception, _broken)
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    return app


def _seen(request: Request) -> Visitor | None:
    try:
        return visitor(request)
    except errors.ResitError:
        return None


def _say(request: Request, status: int, words: str) -> Response:
    title = TITLES.get(status, "That did not work" if status < 500 else "Something broke")
    said = f"{words[:1].upper()}{words[1:]}{'' if words.endswith('.') else '.'}"
    return page(request, request.app.state.services, "error.html", _seen(request), status, title=title, words=said)


def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, errors.ResitError):
        raise error
    if isinstance(error, errors.Unauthenticated) and request.method == "GET" and "x-resit-part" not in request.headers:
        use: Services = request.app.state.services
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        root = urlsplit(use.url).path.rstrip("/")
        return RedirectResponse(f"{root}/sign-in?{urlencode({'next': wanted})}", 303, {"Cache-Control": "no-store"})
    return _say(request, STATUS.get(type(error), 400), error.message)


def _malformed(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    faults = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors()[:3])
    return _say(request, 400, f"this address can't be understood ({faults})")


def _unknown(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = "no page has this address" if status == 404 else "this page takes no such request"
    return _say(request, status, words)


def _broken(request: Request, error: Exception) -> Response:
    log.error("a page broke", exc_info=error)
    return _say(request, 500, "the server's log says what broke; the tests go on")
