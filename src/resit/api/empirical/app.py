"""Which paths are Empirical's, and the application that answers them."""

import re

from fastapi import FastAPI

from resit.api.context import Services
from resit.api.dialect import create
from resit.api.empirical import analytics, badges, cases, environments, extras, resources, runs, snoozes
from resit.api.empirical.errors import REFUSALS

_OWN = re.compile(r"/api(/.*)?|/v1/trigger/?", re.DOTALL)


def owns(path: str) -> bool:
    """``/v1/trigger``, and what the others leave of ``/api/...``."""
    return _OWN.fullmatch(path) is not None


def app(services: Services) -> FastAPI:
    """The application."""
    made = create(services, REFUSALS, resources.CONTENT)
    for part in (runs, cases, environments, snoozes, analytics, resources, badges, extras):
        made.include_router(part.router)
    return made
