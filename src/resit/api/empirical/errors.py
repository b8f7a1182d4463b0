"""Every refusal as ``{"data": null, "error": {"message": ...}}`` (Empirical, seed and study 1.0)."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import Request
from fastapi.responses import JSONResponse

from resit.api.dialect import Fault, Refusals
from resit.domain import errors

STATUS: dict[type[errors.ResitError], HTTPStatus] = {
    errors.InvalidInput: HTTPStatus.BAD_REQUEST,
    errors.NothingToRun: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.Suspended: HTTPStatus.FORBIDDEN,
    errors.QuotaExceeded: HTTPStatus.PAYMENT_REQUIRED,
    errors.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.BAD_REQUEST,
    errors.AlreadyExists: HTTPStatus.BAD_REQUEST,
    errors.RunStillOpen: HTTPStatus.BAD_REQUEST,
    errors.RunNotCarriedThrough: HTTPStatus.BAD_REQUEST,
    errors.RequestReused: HTTPStatus.BAD_REQUEST,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.NoRoom: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The documents know no 409 and no 422: what a state does not allow is a 400 there (study 1.0 and 2.5)."""


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The envelope of a refusal."""
    words = message.encode("utf-8", "replace").decode()
    return JSONResponse({"data": None, "error": {"message": words}}, status, dict(headers or {}))


def _domain(_request: Request, error: errors.ResitError) -> JSONResponse:
    headers: dict[str, str] = {}
    match error:
        case errors.Unauthenticated():
            headers["WWW-Authenticate"] = "Bearer"
        case errors.Unavailable():
            headers["Retry-After"] = "2"
        case errors.RateLimited():
            headers["Retry-After"] = str(error.details.get("retry_after", 1))
        case _:
            pass
    return refusal(STATUS[type(error)], error.message, headers)


def _malformed(_request: Request, faults: Sequence[Fault]) -> JSONResponse:
    words = [f"{fault.field}: {fault.message}" if fault.field else fault.message for fault in faults]
    return refusal(HTTPStatus.BAD_REQUEST, "; ".join(words)[:2000] or "the request is malformed")


def _http(request: Request, status: int, words: str) -> JSONResponse:
    # Not request.url: it can't be made of a Host that is none.
    path = str(request.scope["path"])[:200]
    match status:
        case HTTPStatus.NOT_FOUND:
            words = f"there is nothing at {path}"
        case HTTPStatus.METHOD_NOT_ALLOWED:
            words = f"{path} does not take {request.method[:20]}"
        case _:
            pass
    return refusal(status, words)


def _broken(_request: Request) -> JSONResponse:
    return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed to answer; its log says why")


REFUSALS = Refusals(domain=_domain, malformed=_malformed, http=_http, broken=_broken)
