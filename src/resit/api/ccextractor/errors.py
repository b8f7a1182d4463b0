"""The Sample Platform's refusals: ``{code, message, details}``, with the codes of study 2.5."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from resit.api.ccextractor.words import run_word
from resit.api.dialect import Fault, Refusals
from resit.domain import errors
from resit.domain.status import RunStatus

MAX_MESSAGE = 500
ANSWERS: dict[type[errors.ResitError], tuple[int, str]] = {
    errors.InvalidInput: (400, "validation_error"),
    errors.NothingToRun: (422, "unprocessable"),
    errors.Unauthenticated: (401, "unauthorized"),
    errors.Forbidden: (403, "forbidden"),
    errors.Suspended: (403, "forbidden"),
    errors.QuotaExceeded: (403, "forbidden"),
    errors.RateLimited: (429, "rate_limited"),
    errors.NotFound: (404, "not_found"),
    errors.Conflict: (409, "conflict"),
    errors.AlreadyExists: (409, "conflict"),
    errors.RunStillOpen: (422, "unprocessable"),
    errors.RunNotCarriedThrough: (422, "unprocessable"),
    errors.RequestReused: (409, "conflict"),
    errors.TooLarge: (413, "validation_error"),
    errors.Unavailable: (503, "internal_error"),
    errors.NoRoom: (503, "internal_error"),
}
"""Status and code of every refusal of the core."""
UNAUTHORIZED = "the bearer token is missing, malformed, unknown, expired or revoked"
"""The one text of every failed authentication (study 2.1)."""


class Refused(Exception):
    """A refusal that only this API knows."""

    def __init__(self, status: int, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.details = status, code, message, details


def unprocessable(message: str, **details: Any) -> Refused:
    """A request that is well-formed and cannot be done."""
    return Refused(422, "unprocessable", message, **details)


def envelope(status: int, code: str, message: str, details: Mapping[str, Any] | None = None) -> JSONResponse:
    """The answer that says no; ``details`` is an object in any case."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    body = {"code": code, "message": _short(message), "details": dict(details or {})}
    return JSONResponse(body, status, headers)


def _short(message: str) -> str:
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"


def refusal(error: errors.ResitError) -> JSONResponse:
    """An error of the core."""
    status, code = ANSWERS[type(error)]
    if status == 401:
        return envelope(status, code, UNAUTHORIZED)
    answer = envelope(status, code, error.message, _details(error))
    if isinstance(error, errors.RateLimited | errors.Unavailable):
        answer.headers["Retry-After"] = str(error.details.get("retry_after", 2))
    return answer


def _details(error: errors.ResitError) -> dict[str, Any]:
    """What an error tells programs, under the names of the contract and of the server (study, section 5, item 19)."""
    found: dict[str, Any] = dict(error.details)
    if error.field:
        found["fields"] = {error.field: _short(error.message)}
    scope = found.get("required_scope")
    if scope is not None:
        found |= {"required_scopes": [scope], "missing_scopes": [scope]}
    if isinstance(error, errors.RunStillOpen) and "status" in found:
        found["status"] = run_word(RunStatus(found["status"]), None).value
    identity = found.get("id")
    if isinstance(identity, str) and identity.isascii() and identity.isdigit() and len(identity) < 19:
        found["id"] = int(identity)
    return found


def malformed(faults: Sequence[Fault]) -> JSONResponse:
    """A request that is not of the documented form: the first fault in words, all of them by field."""
    fields: dict[str, str] = {}
    for fault in faults:
        fields.setdefault(fault.field[:100] or "body", _short(fault.message))
    first = faults[0] if faults else Fault("", "malformed request")
    words = f"{first.field[:100]}: {first.message}" if first.field else first.message
    return envelope(400, "validation_error", words, {"fields": fields})


def http(status: int, words: str) -> JSONResponse:
    """What the framework refuses by itself."""
    match status:
        case 404:
            return envelope(404, "not_found", "there is no such path in this API")
        case 405:
            return envelope(405, "method_not_allowed", "this path knows other methods: see the header Allow")
        case _ if status >= 500:
            return envelope(status, "internal_error", words)
        case _:
            return envelope(status, "validation_error", words)


def too_many(retry_after: int, limit: int, window: float) -> JSONResponse:
    """The window of a rate limit is used up."""
    words = f"more than {limit} requests in {window:.0f} seconds: try again in {retry_after} seconds"
    details = {"retry_after": retry_after, "limit": limit, "window": f"{window:.0f}s"}
    answer = envelope(429, "rate_limited", words, details)
    answer.headers["Retry-After"] = str(retry_after)
    return answer


def broken() -> JSONResponse:
    """A fault of ours; its traceback is in the server's log and nowhere else."""
    return envelope(500, "internal_error", "the server failed to answer; its log says why")


REFUSALS = Refusals(
    domain=lambda _, error: refusal(error),
    malformed=lambda _, faults: malformed(faults),
    http=lambda _, status, words: http(status, words),
    broken=lambda _: broken(),
)


def install(app: FastAPI) -> None:
    """Answer this API's own refusals too."""

    def refused(_request: Request, error: Exception) -> Response:
        if not isinstance(error, Refused):
            raise error
        return envelope(error.status, error.code, error.message, error.details)

    app.add_exception_handler(Refused, refused)
