"""Which paths are Empirical's, and the application that answers them."""

import re

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from resit.api.context import Services
from resit.api.dialect import Refusals, create

_OWN = re.compile(r"/api(/.*)?|/v1/trigger/?", re.DOTALL)


def owns(path: str) -> bool:
    """``/v1/trigger``, and what the others leave of ``/api/...``."""
    return _OWN.fullmatch(path) is not None


def app(services: Services) -> FastAPI:
    """The application."""

    def say(status: int, message: str) -> JSONResponse:
        return JSONResponse({"data": None, "error": {"message": message}}, status)

    return create(
        services,
        Refusals(
            domain=lambda _, error: say(500, error.message),
            malformed=lambda _, faults: say(400, faults[0].message),
            http=lambda _, status, words: say(status, words),
            broken=lambda _: say(500, "the server failed to answer"),
        ),
    )
