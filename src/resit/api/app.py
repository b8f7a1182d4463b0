"""The application: all dialects on one origin."""

from collections.abc import Callable, Set
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp
from swagger_ui_bundle import swagger_ui_path

from resit import __version__
from resit.api.ccextractor import app as ccextractor
from resit.api.context import Services
from resit.api.empirical import app as empirical
from resit.api.faces import Faces
from resit.api.limits import BodyLimit
from resit.api.native import (
    badges,
    errors,
    events,
    fleet,
    insights,
    people,
    reports,
    retention,
    routes,
    schedules,
    upkeep,
    uploads,
    watching,
)
from resit.api.observe import Observed
from resit.api.origins import ContentOrigin, Origins
from resit.api.qatech import app as qatech
from resit.api.report_pages import router as report_pages

DOCS = "/resit/v1/docs"
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    services: Services,
    lifespan: Lifespan | None = None,
    page: ASGIApp | None = None,
    pages: Set[str] = frozenset(),
) -> FastAPI:
    """The ASGI application over ``services``. ``page``: the web page, for paths that begin with one of ``pages``."""
    app = FastAPI(
        title="Resit",
        version=__version__,
        summary="Trigger, execute, account for every planned test, run again.",
        openapi_url="/resit/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.services = services
    app.add_middleware(BodyLimit, limit=services.settings.max_body, refuse=errors.too_large, free=uploads.PREFIX)
    vendors = [("empirical", empirical.app), ("qatech", qatech.app), ("ccextractor", ccextractor.app)]
    dialects = [(name, make(services)) for name, make in vendors]
    for _, dialect in dialects:
        # One state, so that there is one place where the services are.
        dialect.state = app.state
    root = urlsplit(services.url).path.rstrip("/")
    app.add_middleware(Faces, dialects=dialects, root=root, page=page, pages=pages)
    app.add_middleware(ContentOrigin, origins=Origins.of(services.url, services.settings.content_url))
    app.add_middleware(Observed)
    errors.install(app)
    for part in (
        routes,
        upkeep,
        schedules,
        fleet,
        badges,
        insights,
        people,
        events,
        reports,
        retention,
        uploads,
        watching,
    ):
        app.include_router(part.router)
    app.include_router(report_pages)

    @app.get(DOCS, include_in_schema=False)
    def docs(request: Request) -> HTMLResponse:  # pyright: ignore[reportUnusedFunction] # registered above
        """The OpenAPI page, from our own origin."""
        base = f"{DOCS}/assets"
        return get_swagger_ui_html(
            openapi_url=str(request.app.openapi_url),
            title="Resit API",
            swagger_js_url=f"{base}/swagger-ui-bundle.js",
            swagger_css_url=f"{base}/swagger-ui.css",
            swagger_favicon_url=f"{base}/favicon-32x32.png",
        )

    @app.get("/", include_in_schema=False)
    def home() -> RedirectResponse:  # pyright: ignore[reportUnusedFunction] # registered above
        """Where there is no page, the API tells what can be done."""
        return RedirectResponse(DOCS)

    app.mount(f"{DOCS}/assets", StaticFiles(directory=Path(swagger_ui_path)), name="swagger")
    return app
