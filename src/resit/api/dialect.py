"""What the vendors' dialects share: reading a body, and refusing in a form of one's own whatever is refused."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple, TypeVar, cast

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from resit.api.context import Services
from resit.api.limits import BodyLimit
from resit.domain.errors import ResitError

M = TypeVar("M", bound=BaseModel)
MAX_DEPTH = 64
"""Levels of a JSON body."""


class Fault(NamedTuple):
    """What is wrong with one part of a request; ``field`` is empty for the whole of it."""

    field: str
    message: str


class Malformed(Exception):
    """A request that is not of the documented form."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(f"{field}: {words}" if field else words for field, words in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Refusals:
    """How a dialect says no. Every way to be refused ends in one of these."""

    domain: Callable[[Request, ResitError], Response]
    """An error of the core."""
    malformed: Callable[[Request, Sequence[Fault]], Response]
    """A request that is not of the documented form."""
    http: Callable[[Request, int, str], Response]
    """What the framework refuses by itself: 404, 405, 413 and the like."""
    broken: Callable[[Request], Response]
    """A fault of ours; its traceback is in the server's log and nowhere else."""


def create(services: Services, refusals: Refusals, free: str = "(?!)") -> FastAPI:
    """An application that answers every refusal in the dialect's form; its routes are still to be added.

    ``free``: a pattern of paths whose bodies have a limit of their own.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.services = services

    def domain(request: Request, error: Exception) -> Response:
        if not isinstance(error, ResitError):
            raise error
        return refusals.domain(request, error)

    def malformed(request: Request, error: Exception) -> Response:
        if isinstance(error, Malformed):
            return refusals.malformed(request, error.faults)
        if not isinstance(error, RequestValidationError):
            raise error
        return refusals.malformed(request, faults_of(error.errors()))

    def http(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        answer = refusals.http(request, error.status_code, str(error.detail))
        for name, value in (error.headers or {}).items():
            answer.headers[name] = value
        return answer

    def broken(request: Request, _error: Exception) -> Response:
        return refusals.broken(request)

    app.add_exception_handler(ResitError, domain)
    app.add_exception_handler(Malformed, malformed)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, broken)

    def too_large(request: Request, limit: int) -> Response:
        return refusals.http(request, 413, f"the body is larger than {limit} bytes")

    app.add_middleware(BodyLimit, limit=services.settings.max_body, refuse=too_large, free=free)
    return app


def faults_of(errors: Sequence[Any]) -> list[Fault]:
    """The faults that Pydantic found, without the place where the framework looked."""
    places = ("body", "query", "path", "header")
    return [
        Fault(".".join(str(part) for part in error["loc"] if part not in places), str(error["msg"]))
        for error in errors[:20]
    ]


async def raw_body(request: Request) -> bytes:
    """The body as it came; routes are plain functions and can't wait for it themselves."""
    return await request.body()


Raw = Annotated[bytes, Depends(raw_body)]


def load(body: bytes) -> object:
    """The JSON of a body; None for an empty one. Raises :class:`Malformed`."""
    if not body.strip():
        return None
    try:
        found = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Malformed(Fault("", f"the body is not JSON: {error}"[:300])) from error
    if _depth(found) > MAX_DEPTH:
        raise Malformed(Fault("", f"the body is nested more than {MAX_DEPTH} levels deep"))
    return found


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _depth(value: Any) -> int:
    level: list[Any] = [value]
    found = 0
    while level and found <= MAX_DEPTH:
        found += 1
        level = [inner for outer in level for inner in _inside(outer)]
    return found


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("list[Any]", value) if isinstance(value, list) else ()


def parse(model: type[M], value: object) -> M:
    """``value`` (what :func:`load` gave) as a model; nothing at all stands for ``{}``. Raises :class:`Malformed`."""
    try:
        return model.model_validate({} if value is None else value)
    except ValidationError as error:
        raise Malformed(*faults_of(error.errors(include_url=False))) from error


def iso(at: float, digits: str = "milliseconds") -> str:
    """A time as ISO 8601 in UTC with ``Z``, to milliseconds or ``seconds``."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec=digits).replace("+00:00", "Z")
