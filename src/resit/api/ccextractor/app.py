"""Which paths are the Sample Platform's, and the application that answers them."""

import re

from fastapi import FastAPI, Request
from starlette.responses import Response

from resit.api.ccextractor import auth, catalogue, diagnostics, errors, results, runs, system
from resit.api.ccextractor.door import Door, put_headers
from resit.api.context import Services
from resit.api.dialect import create

_OWN = re.compile(r"/api/v1(/(?!analytics(/|$)).*)?", re.DOTALL)


def owns(path: str) -> bool:
    """``/api/v1/...`` but Empirical's analytics."""
    return _OWN.fullmatch(path) is not None


def app(services: Services) -> FastAPI:
    """The application."""
    made = create(services, errors.REFUSALS)
    errors.install(made)

    def broken(request: Request, _error: Exception) -> Response:
        # Sent from outside the door, so it brings the door's headers with it.
        answer = errors.broken()
        put_headers(request.scope, answer.headers)
        return answer

    made.add_exception_handler(Exception, broken)
    parts = (auth, runs, results, diagnostics, catalogue, system)
    for part in parts:
        made.include_router(part.router)
    made.add_middleware(Door, routes=[route for part in parts for route in part.router.routes])
    return made
