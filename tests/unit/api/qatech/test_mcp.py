"""The Model Context Protocol in one POST (study 1.12)."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from resit.domain.run import Run
from resit.testing.world import World

Refused = Callable[..., str]
READS = ["list_applications", "list_test_cases", "get_run"]
WRITES = ["start_run", "rerun_run", "create_test_case"]


def ask(client: TestClient, method: str, params: Any = None, id: Any = 1) -> dict[str, Any]:
    """The answer to one request."""
    message = {"jsonrpc": "2.0", "id": id, "method": method} | ({} if params is None else {"params": params})
    answer = client.post("/v1/mcp", json=message)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["jsonrpc"] == "2.0"
    assert document["id"] == id
    return document


def call(client: TestClient, tool: str, /, **arguments: Any) -> dict[str, Any]:
    """What a tool says."""
    result = ask(client, "tools/call", {"name": tool, "arguments": arguments})["result"]
    assert result["isError"] is False, result
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
    return result["structuredContent"]


def test_the_beginning(shop: TestClient) -> None:
    result = ask(shop, "initialize", {"protocolVersion": "2025-06-18", "capabilities": {}}, id="a")["result"]
    assert (result["protocolVersion"], result["serverInfo"]["name"]) == ("2025-06-18", "qatech")
    assert result["capabilities"] == {"tools": {}}
    note = shop.post("/v1/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (note.status_code, note.content) == (202, b"")
    assert ask(shop, "ping")["result"] == {}


def test_the_tools(shop: TestClient, token: Callable[..., str]) -> None:
    tools = ask(shop, "tools/list")["result"]["tools"]
    assert [tool["name"] for tool in tools] == READS + WRITES
    for tool in tools:
        assert tool["description"]
        assert tool["inputSchema"]["type"] == "object"
        assert set(tool["inputSchema"].get("required", ())) <= set(tool["inputSchema"]["properties"])
    shop.headers["Authorization"] = token(scopes=["runs:read", "results:read"])
    assert [tool["name"] for tool in ask(shop, "tools/list")["result"]["tools"]] == READS
    error = ask(shop, "tools/call", {"name": "start_run", "arguments": {}})["error"]
    assert error["code"] == -32602


def test_the_tools_say_what_the_routes_say(world: World, shop: TestClient, mixed: Run) -> None:
    short = world.ids.short(mixed.id)
    assert call(shop, "list_applications") == shop.get("/v1/applications").json()
    assert (
        call(shop, "list_test_cases", limit=3, isEnabled=True) == shop.get("/v1/test-cases?limit=3&isEnabled=1").json()
    )
    assert call(shop, "get_run", shortId=short) == shop.get(f"/v1/run/{short}").json()
    found = call(shop, "get_run", shortId=short, testCases="failed")
    assert found == shop.get(f"/v1/run/{short}?testCases=failed").json()
    ids = [test["projectTestCaseId"] for test in found["runTestCases"]]
    again = call(shop, "rerun_run", shortId=short, projectTestCaseIds=ids)
    assert (again["success"], again["run"]["testCount"]) == (True, 6)
    assert call(shop, "start_run", testCaseIds=ids[:1])["run"]["testCount"] == 1
    app = call(shop, "list_applications")["applications"][0]["shortId"]
    made = call(shop, "create_test_case", name="x", goal="y", applicationShortId=app)
    assert made["testCase"]["name"] == "x"
    assert world.signals.told == 2


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("get_run", {"shortId": "nothing"}, "no run"),
        ("get_run", {}, "shortId"),
        ("get_run", {"shortId": "runb", "testCases": "some"}, "testCases"),
        ("rerun_run", {"shortId": "runb", "failedOnly": True, "projectTestCaseIds": []}, "empty"),
        ("rerun_run", {"failedOnly": True}, "shortId"),
        ("start_run", {"testPlanShortId": "x"}, "no such test plan"),
        ("start_run", {"projectShortId": "x"}, "does not reach"),
        ("list_test_cases", {"limit": 0}, "limit"),
        ("create_test_case", {"name": "x"}, "goal"),
    ],
)
def test_what_a_tool_refuses_is_an_answer(
    shop: TestClient, mixed: Run, name: str, arguments: dict[str, Any], words: str
) -> None:
    result = ask(shop, "tools/call", {"name": name, "arguments": arguments})["result"]
    assert result["isError"] is True
    assert words in result["content"][0]["text"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, -32700),
        (b"", 400, -32600),
        (b"[]", 400, -32600),
        (b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', 400, -32600),
        (b'"ping"', 400, -32600),
        (b'{"id": 1, "method": "ping"}', 400, -32600),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}', 400, -32600),
        (b'{"jsonrpc": "2.0", "id": 1}', 400, -32600),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "ping"}', 400, -32600),
        (b'{"jsonrpc": "2.0", "id": true, "method": "ping"}', 400, -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "pong"}', 200, -32601),
        (b'{"jsonrpc": "2.0", "id": "\\ud800", "method": "\\ud800"}', 200, -32601),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": []}', 200, -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call"}', 200, -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": 1}}', 200, -32602),
        (
            b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_run", "arguments": [1]}}',
            200,
            -32602,
        ),
    ],
)
def test_requests_that_make_no_sense(shop: TestClient, body: bytes, status: int, code: int) -> None:
    answer = shop.post("/v1/mcp", content=body)
    assert answer.status_code == status
    document = answer.json()
    assert set(document) == {"jsonrpc", "id", "error"}
    assert document["error"]["code"] == code
    assert document["error"]["message"]


def test_who_may_come_in(shop: TestClient, refused: Refused) -> None:
    refused(shop.post("/v1/mcp", json={}, headers={"Authorization": "Bearer x"}), 401)
    refused(shop.get("/v1/mcp"), 405)
