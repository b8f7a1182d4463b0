"""Domain errors and malformed requests as problem+json (RFC 9457), with a ``code`` for programs."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from resit.domain import errors
from resit.telemetry.requests import current

STATUS: dict[type[errors.ResitError], HTTPStatus] = {
    errors.InvalidInput: HTTPStatus.BAD_REQUEST,
    errors.NothingToRun: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.Suspended: HTTPStatus.FORBIDDEN,
    errors.QuotaExceeded: HTTPStatus.PAYMENT_REQUIRED,
    errors.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.AlreadyExists: HTTPStatus.CONFLICT,
    errors.RunStillOpen: HTTPStatus.CONFLICT,
    errors.RunNotCarriedThrough: HTTPStatus.CONFLICT,
    errors.RequestReused: HTTPStatus.CONFLICT,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.NoRoom: HTTPStatus.INSUFFICIENT_STORAGE,
}


def problem(status: int, code: str, detail: str, /, **more: Any) -> JSONResponse:
    """An answer that says what is wrong. What ``more`` says under a name of the form itself is left out."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, "code": code}
    headers: dict[str, str] = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INSUFFICIENT_STORAGE):
        headers["Retry-After"] = "2"
    members = {name: value for name, value in more.items() if name not in body}
    return JSONResponse(body | members, status, headers, media_type="application/problem+json")


def refused(_request: Request, error: Exception) -> JSONResponse:
    """A domain error."""
    if not isinstance(error, errors.ResitError):
        raise error
    more: dict[str, Any] = dict(error.details)
    if error.field:
        more["field"] = error.field
    return problem(STATUS[type(error)], error.code, error.message, **more)


def malformed(_request: Request, error: Exception) -> JSONResponse:
    """A request that is not of the documented form: the first fault in words, all of them as a list."""
    if not isinstance(error, RequestValidationError):
        raise error
    faults = [
        {"field": ".".join(str(part) for part in fault["loc"] if part != "body"), "message": str(fault["msg"])}
        for fault in error.errors()
    ]
    if any(fault["type"] == "json_invalid" for fault in error.errors()):
        return problem(HTTPStatus.BAD_REQUEST, "invalid_input", f"the body is not JSON ({_where(error)})")
    first = faults[0] if faults else {"field": "", "message": "malformed request"}
    detail = f"{first['field']}: {first['message']}" if first["field"] else first["message"]
    return problem(HTTPStatus.BAD_REQUEST, "invalid_input", detail, field=first["field"], errors=faults[:20])


def _where(error: RequestValidationError) -> str:
    """What a JSON parser said, and at which character."""
    fault = error.errors()[0]
    return f"{fault.get('ctx', {}).get('error', 'malformed')} at character {fault['loc'][-1]}"


def http(_request: Request, error: Exception) -> JSONResponse:
    """What the framework refuses by itself: unknown paths and methods."""
    if not isinstance(error, HTTPException):
        raise error
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    answer = problem(error.status_code, code, str(error.detail))
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


def too_large(_request: Request, limit: int) -> JSONResponse:
    """A body over the limit."""
    return problem(413, "too_large", f"the body is larger than {limit} bytes")


def broken(_request: Request, _error: Exception) -> JSONResponse:
    """A fault of ours; its traceback is in the server's log and nowhere else."""
    asked = current()
    about = {"request": asked.id} if asked else {}
    answer = problem(500, "internal", "the server failed to answer; its log says why", **about)
    # Nobody else puts it on: this is made outside of all that could.
    if asked:
        answer.headers["X-Request-Id"] = asked.id
    return answer


def install(app: FastAPI) -> None:
    """Answer all errors of ``app`` in this form."""
    app.add_exception_handler(errors.ResitError, refused)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, broken)
