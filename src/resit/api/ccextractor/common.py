"""What the routes of this API share: reading numbers, pages and bodies, and asking for scopes and roles."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator

from resit.api.ccextractor.door import principal_of
from resit.api.ccextractor.errors import Refused
from resit.api.ccextractor.words import MAX_ID
from resit.api.context import Services
from resit.api.dialect import Fault, Malformed, iso, load, parse
from resit.domain.access import Principal, Role, Scope
from resit.domain.errors import NotFound
from resit.ports.reads import RunView

M = TypeVar("M", bound=BaseModel)
_DIGITS = re.compile(r"-?[0-9]{1,18}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:[Zz]|[+-]\d\d:\d\d)?)?", re.ASCII)
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")


def whole(value: object) -> object:
    """An integer as a path or query writes it; frameworks read ``1.0`` and ``+1`` as well."""
    if isinstance(value, str):
        if not _DIGITS.fullmatch(value):
            raise ValueError("not an integer")
        return int(value)
    return value


def flag(value: object) -> object:
    """A boolean as a query writes it (study 1.6)."""
    if isinstance(value, str):
        if value.lower() not in (*_TRUE, *_FALSE):
            raise ValueError("one of true, 1, yes, false, 0, no")
        return value.lower() in _TRUE
    return value


_Whole = BeforeValidator(whole)
Id = Annotated[int, _Whole, Path(ge=1, le=MAX_ID)]
IdFilter = Annotated[int | None, _Whole, Query(ge=1, le=MAX_ID)]
Limit = Annotated[int, _Whole, Query(ge=1, le=100)]
Offset = Annotated[int, _Whole, Query(ge=0, le=MAX_ID)]
Cursor = Annotated[int, _Whole, Query(ge=0, le=10_000_000)]
Flag = Annotated[bool, BeforeValidator(flag), Query()]
Text50 = Annotated[str, Query(max_length=50)]
Text100 = Annotated[str, Query(max_length=100)]
When = Annotated[str, Query(max_length=40)]


@dataclass(frozen=True, slots=True)
class Place:
    """Which piece of a list is asked for."""

    limit: int
    offset: int


async def _place(request: Request, limit: Limit = 50, offset: Offset = 0) -> Place:
    if "cursor" in request.query_params:
        raise Malformed(Fault("cursor", "this list is paged by limit and offset"))
    return Place(limit, offset)


Paged = Annotated[Place, Depends(_place)]


def page(
    items: Sequence[Any], total: int, at: Place, meta: Mapping[str, Any] | None = None, **more: Any
) -> JSONResponse:
    """A page of a list, with ``meta`` beside it as the clients of the real server read it."""
    following = at.offset + len(items)
    pagination = {
        "limit": at.limit,
        "offset": at.offset,
        "total": total,
        "next_offset": following if items and following < total else None,
    }
    return JSONResponse({"data": list(items), "pagination": pagination, "meta": dict(meta or {}), **more})


def gate(scope: Scope | None = None, *roles: Role) -> Any:
    """A parameter that is who asks, with a role and a scope. The role is asked for first (study 2.2)."""

    async def check(request: Request) -> Principal:
        who = principal_of(request)
        if roles:
            who.need_role(*roles)
        if scope is not None:
            who.need(scope)
        return who

    return Depends(check)


Anyone = Annotated[Principal, gate()]
Reader = Annotated[Principal, gate(Scope.RUNS_READ)]
Results = Annotated[Principal, gate(Scope.RESULTS_READ)]
System = Annotated[Principal, gate(Scope.SYSTEM_READ)]
Writer = Annotated[Principal, gate(Scope.RUNS_WRITE, Role.ADMIN, Role.TESTER, Role.CONTRIBUTOR)]
Editor = Annotated[Principal, gate(Scope.RUNS_WRITE, Role.ADMIN, Role.CONTRIBUTOR)]
Approver = Annotated[Principal, gate(Scope.BASELINES_WRITE, Role.ADMIN)]
Manager = Annotated[Principal, gate(Scope.TOKENS_MANAGE, Role.ADMIN)]


def body(request: Request, raw: bytes, model: type[M], optional: bool = False) -> M:
    """The body as a model. Raises :class:`Refused` (415) and :class:`Malformed`.

    An ``optional`` one may be left out, and then has no content type either.
    """
    if optional and not raw.strip():
        return parse(model, None)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        said = f"it came as {kind[:100]!r}" if kind else "it came without one"
        raise Refused(415, "validation_error", f"the body's content type is application/json, and {said}")
    found = load(raw)
    if not isinstance(found, dict):
        raise Malformed(Fault("", "the body is a JSON object"))
    return parse(model, cast("object", found))


def run_within(use: Services, who: Principal, run_id: int) -> RunView:
    """A run within reach. Raises :class:`NotFound`, in the same words whether it exists elsewhere or not."""
    found = use.reads.run(run_id)
    if found is None or not who.reaches(found.run.project_id):
        raise NotFound(f"no run {run_id}", resource="run", id=run_id)
    return found


def when(at: float | None) -> str | None:
    """A time in whole seconds, ending in Z."""
    return None if at is None else iso(at, "seconds")


def window(after: str, before: str) -> tuple[float | None, float | None]:
    """The filters ``created_after`` and ``created_before``, both inclusive. Raises :class:`Malformed`."""
    start, end = _seconds(after, "created_after"), _seconds(before, "created_before")
    if start is not None and end is not None and start > end:
        raise Malformed(Fault("created_after", "later than created_before"))
    # Times are told in whole seconds, so all of the last one is meant.
    return start, None if end is None else end + 0.999999


def _seconds(text: str, field: str) -> float | None:
    if not text:
        return None
    # A plus sign that was not escaped comes as a blank.
    text = re.sub(r" (\d\d:\d\d)$", r"+\1", text) if text.count(":") > 2 else text
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        found = datetime.fromisoformat(text.upper())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise Malformed(Fault(field, "not a time: write it like 2026-01-31T12:00:00Z")) from error
