"""The same questions over the Model Context Protocol: JSON-RPC 2.0 in one POST, without a session (study 1.12)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from fastapi import APIRouter, Response
from pydantic import Field

from resit import __version__
from resit.api.context import Services, Use, Who
from resit.api.dialect import Malformed, Raw, load, parse
from resit.api.qatech.cases import list_cases, post_case
from resit.api.qatech.catalog import list_applications
from resit.api.qatech.errors import Answer, message_of, message_of_faults
from resit.api.qatech.runs import read_run, rerun_run, start_run
from resit.api.qatech.schemas import Asked, Name
from resit.api.qatech.scope import MAX_OFFSET, MAX_PAGE, Paging
from resit.domain.access import Principal, Scope
from resit.domain.errors import Forbidden, ResitError

router = APIRouter()
PROTOCOL = "2025-06-18"
_PARSE, _REQUEST, _METHOD, _PARAMS = -32700, -32600, -32601, -32602
_TEXT = {"type": "string"}
_UUIDS = {"type": "array", "items": {"type": "string", "format": "uuid"}}
_PROJECT = {"projectShortId": {**_TEXT, "description": "Needed with a token that is bound to no project"}}


class _ProjectArgs(Asked):
    project_short_id: Name | None = None


class _CasesArgs(_ProjectArgs):
    application_short_id: Name | None = None
    labels: str = Field(default="", max_length=20_000)
    is_enabled: bool | None = None
    limit: int = Field(default=20, ge=1)
    offset: int = Field(default=0, ge=0, le=MAX_OFFSET)


class _RunArgs(_ProjectArgs):
    short_id: Name
    test_cases: Literal["failed", "all"] | None = None


class _RerunArgs(Asked):
    short_id: Name


Arguments = Mapping[str, Any]


def _applications(use: Services, who: Principal, arguments: Arguments) -> dict[str, Any]:
    return list_applications(use, who, parse(_ProjectArgs, arguments).project_short_id)


def _cases(use: Services, who: Principal, arguments: Arguments) -> dict[str, Any]:
    asked = parse(_CasesArgs, arguments)
    return list_cases(
        use,
        who,
        Paging(min(asked.limit, MAX_PAGE), asked.offset),
        project=asked.project_short_id,
        application=asked.application_short_id,
        labels=asked.labels,
        enabled=asked.is_enabled,
    )


def _run(use: Services, who: Principal, arguments: Arguments) -> dict[str, Any]:
    asked = parse(_RunArgs, arguments)
    return read_run(use, who, asked.short_id, asked.test_cases, asked.project_short_id)


def _rerun(use: Services, who: Principal, arguments: Arguments) -> dict[str, Any]:
    return rerun_run(use, who, parse(_RerunArgs, arguments).short_id, arguments)


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that can be called. ``writes``: hidden from tokens that may not."""

    description: str
    call: Callable[[Services, Principal, Arguments], dict[str, Any]]
    properties: dict[str, Any]
    required: tuple[str, ...] = ()
    writes: bool = False

    def shown(self, name: str) -> dict[str, Any]:
        """The tool in a list of tools."""
        schema: dict[str, Any] = {"type": "object", "properties": {**self.properties, **_PROJECT}}
        if self.required:
            schema["required"] = list(self.required)
        hints = {"readOnlyHint": not self.writes, "destructiveHint": False}
        return {"name": name, "description": self.description, "inputSchema": schema, "annotations": hints}


_WHICH = {"type": "string", "enum": ["failed", "all"], "description": "Which tests to show; absent: none"}
TOOLS: dict[str, Tool] = {
    "list_applications": Tool("The applications of a project.", _applications, {}),
    "list_test_cases": Tool(
        "The test cases of a project; their ids are what start_run and rerun_run take.",
        _cases,
        {
            "applicationShortId": _TEXT,
            "labels": {**_TEXT, "description": "Separated by commas"},
            "isEnabled": {"type": "boolean"},
            "limit": {"type": "integer", "minimum": 1},
            "offset": {"type": "integer", "minimum": 0},
        },
    ),
    "get_run": Tool("How a run stands, and its tests.", _run, {"shortId": _TEXT, "testCases": _WHICH}, ("shortId",)),
    "start_run": Tool(
        "Start a run of a test plan, of chosen test cases, or of the default.",
        start_run,
        {"testPlanShortId": _TEXT, "testCaseIds": _UUIDS},
        writes=True,
    ),
    "rerun_run": Tool(
        "Run the tests of a run again as a new run: all, what did not pass, or chosen ones.",
        _rerun,
        {"shortId": _TEXT, "failedOnly": {"type": "boolean"}, "projectTestCaseIds": _UUIDS},
        ("shortId",),
        writes=True,
    ),
    "create_test_case": Tool(
        "Write a test case down, as a draft.",
        post_case,
        {"name": _TEXT, "goal": _TEXT, "applicationShortId": _TEXT, "expectedResult": _TEXT},
        ("name", "goal", "applicationShortId"),
        writes=True,
    ),
}


class _Wrong(Exception):
    """A request that is answered with an error of JSON-RPC."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@router.post("/v1/mcp")
def post_mcp(use: Use, who: Who, body: Raw) -> Response:
    """One request. A notification gets 202 and no body."""
    try:
        message = load(body)
    except Malformed as error:
        return _error(None, _PARSE, message_of_faults(error.faults), 400)
    if isinstance(message, list):
        return _error(None, _REQUEST, "batches are not supported: send one request at a time", 400)
    if not isinstance(message, dict):
        return _error(None, _REQUEST, "a request is a JSON object", 400)
    asked = cast("dict[str, Any]", message)
    id, method = asked.get("id"), asked.get("method")
    if isinstance(id, bool) or not isinstance(id, (str, int, float, type(None))):
        return _error(None, _REQUEST, "an id is a text or a number", 400)
    if asked.get("jsonrpc") != "2.0" or not isinstance(method, str):
        return _error(id, _REQUEST, 'a request has "jsonrpc": "2.0" and a method', 400)
    if "id" not in asked:
        return Response(status_code=202)
    params = asked.get("params")
    if not isinstance(params, (dict, type(None))):
        return _error(id, _PARAMS, "params is a JSON object", 200)
    try:
        result = _result(use, who, method, cast("dict[str, Any]", params or {}))
    except _Wrong as error:
        return _error(id, error.code, error.message, 200)
    return Answer({"jsonrpc": "2.0", "id": id, "result": result})


def _error(id: Any, code: int, message: str, status: int) -> Response:
    return Answer({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}, status)


def _result(use: Services, who: Principal, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    match method:
        case "initialize":
            return {
                "protocolVersion": PROTOCOL,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "qatech", "version": __version__},
            }
        case "ping":
            return {}
        case "tools/list":
            return {"tools": [tool.shown(name) for name, tool in _within(who).items()]}
        case "tools/call":
            return _called(use, who, params)
        case _:
            raise _Wrong(_METHOD, f"there is no method {method[:80]!r}")


def _within(who: Principal) -> dict[str, Tool]:
    """The tools that a token may call."""
    try:
        who.need(Scope.RUNS_WRITE)
    except Forbidden:
        return {name: tool for name, tool in TOOLS.items() if not tool.writes}
    return TOOLS


def _called(use: Services, who: Principal, params: Mapping[str, Any]) -> dict[str, Any]:
    """What a tool says; what it refuses is for whoever asked, so it is an answer too."""
    name: object = params.get("name")
    arguments: object = params.get("arguments") or {}
    tool = _within(who).get(name) if isinstance(name, str) else None
    if tool is None:
        raise _Wrong(_PARAMS, f"there is no tool {str(name)[:80]!r} for this token")
    if not isinstance(arguments, dict):
        raise _Wrong(_PARAMS, "arguments is a JSON object")
    try:
        found = tool.call(use, who, cast("Arguments", arguments))
    except ResitError as error:
        return _refused(message_of(error))
    except Malformed as error:
        return _refused(message_of_faults(error.faults))
    return {"content": [{"type": "text", "text": json.dumps(found)}], "structuredContent": found, "isError": False}


def _refused(message: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": message}], "isError": True}
