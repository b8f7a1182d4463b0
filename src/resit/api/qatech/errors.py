"""Every refusal as ``{"message": ...}``, on the older paths with ``statusText`` beside it (study 1.0, A22)."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

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
    errors.RateLimited: HTTPStatus.SERVICE_UNAVAILABLE,
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
"""The documents know no 409, 422 and 429: their clients would not read them (study 1.0, A26)."""
_LEGACY = "/api/projects/"
_NAMED = 20


class Answer(JSONResponse):
    """JSON that any text can be a part of, half characters included."""

    def render(self, content: Any) -> bytes:
        """The bytes of an answer."""
        return json.dumps(content, separators=(",", ":")).encode("ascii")


def refusal(
    request: Request, status: int, message: str, headers: Mapping[str, str] | None = None, said: str = ""
) -> Answer:
    """An answer that says what is wrong. ``said``: the words of QA.tech's older API, where it has some of its own."""
    body = {"message": message}
    if request.url.path.startswith(_LEGACY):
        body = {"statusText": said or message, **body}
    return Answer(body, status, dict(headers or {}))


def _domain(request: Request, error: errors.ResitError) -> Answer:
    status = STATUS[type(error)]
    headers: dict[str, str] = {}
    said = ""
    match error:
        case errors.Unauthenticated():
            if request.url.path.startswith(_LEGACY):
                # There a bad token is a project that is forbidden, or that is not there (study A3).
                status = HTTPStatus.NOT_FOUND if request.method == "GET" else HTTPStatus.FORBIDDEN
                said = "Unknown Error"
            else:
                headers["WWW-Authenticate"] = "Bearer"
        case errors.Suspended():
            said = "Organization is suspended"
        case errors.NotFound() if error.field == "project":
            said = "Unknown Error"
        case errors.Unavailable() | errors.RateLimited():
            headers["Retry-After"] = "2"
        case _:
            pass
    return refusal(request, status, message_of(error), headers, said)


def message_of(error: errors.ResitError) -> str:
    """The words of a domain error; tests that a run does not have are named (study A10)."""
    unknown = cast("Sequence[str]", error.details.get("unknown", ()))
    if len(unknown) < 2:
        return error.message
    more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
    return f"{error.message}: {', '.join(name[:80] for name in unknown[:_NAMED])}{more}"


def message_of_faults(faults: Sequence[Fault]) -> str:
    """What is wrong with a request, in one text."""
    found: list[str] = []
    for fault in faults:
        words = fault.message.removeprefix("Value error, ")
        if "valid dictionary or instance of" in words:
            words = "a JSON object is expected"
        found.append(f"{fault.field}: {words}" if fault.field else words)
    return "; ".join(found)[:2000] or "the request is malformed"


def _malformed(request: Request, faults: Sequence[Fault]) -> Answer:
    return refusal(request, HTTPStatus.BAD_REQUEST, message_of_faults(faults))


def _http(request: Request, status: int, words: str) -> Answer:
    path = request.url.path[:200]
    match status:
        case HTTPStatus.NOT_FOUND:
            words = f"there is nothing at {path}"
        case HTTPStatus.METHOD_NOT_ALLOWED:
            words = f"{path} does not take {request.method[:20]}"
        case _:
            pass
    return refusal(request, status, words)


def _broken(request: Request) -> Answer:
    words = "the server failed to answer; its log says why"
    return refusal(request, HTTPStatus.INTERNAL_SERVER_ERROR, words, said="API Error")


REFUSALS = Refusals(domain=_domain, malformed=_malformed, http=_http, broken=_broken)
