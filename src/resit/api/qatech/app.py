"""Which paths are QA.tech's, and the application that answers them."""

import re

from fastapi import FastAPI

from resit.api.context import Services
from resit.api.dialect import create
from resit.api.qatech import badges, cases, catalog, differences, legacy, mcp, runs
from resit.api.qatech.errors import REFUSALS

_OWN = re.compile(r"/v1(/(?!trigger/?$).*)?|/run(/.*)?|/api/projects/[^/]+/(runs|test-cases)(/.*)?", re.DOTALL)


def owns(path: str) -> bool:
    """``/v1/...`` but Empirical's trigger, ``/run/...`` and the older paths under a project."""
    return _OWN.fullmatch(path) is not None


def app(services: Services) -> FastAPI:
    """The application."""
    made = create(services, REFUSALS)
    for part in (runs, legacy, cases, catalog, badges, mcp, differences):
        made.include_router(part.router)
    return made
