"""Who may do what, and in which order a request is judged (study 2.2, 2.3); every refusal has the envelope."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from resit.domain.access import Role, Scope
from resit.testing.world import World

S = Scope
WRITERS = (Role.ADMIN, Role.CONTRIBUTOR, Role.TESTER)
EDITORS = (Role.ADMIN, Role.CONTRIBUTOR)
OUT = "/runs/9/samples/9/regression-tests/9/outputs/9"
OPERATIONS: list[tuple[str, str, Scope | None, tuple[Role, ...]]] = [
    ("GET", "/auth/me", None, tuple(Role)),
    ("GET", "/auth/tokens", S.TOKENS_MANAGE, (Role.ADMIN,)),
    ("DELETE", "/auth/tokens/99", None, tuple(Role)),
    ("GET", "/runs", S.RUNS_READ, tuple(Role)),
    ("POST", "/runs", S.RUNS_WRITE, WRITERS),
    ("GET", "/runs/9", S.RUNS_READ, tuple(Role)),
    ("GET", "/runs/9/summary", S.RUNS_READ, tuple(Role)),
    ("GET", "/runs/9/progress", S.RUNS_READ, tuple(Role)),
    ("GET", "/runs/9/config", S.RUNS_READ, tuple(Role)),
    ("POST", "/runs/9/retry", S.RUNS_WRITE, WRITERS),
    ("POST", "/runs/9/restart", S.RUNS_WRITE, WRITERS),
    ("POST", "/runs/9/cancel", S.RUNS_WRITE, WRITERS),
    ("GET", "/runs/9/samples", S.RUNS_READ, tuple(Role)),
    ("GET", "/runs/9/samples/9", S.RUNS_READ, tuple(Role)),
    ("GET", f"{OUT}/expected", S.RESULTS_READ, tuple(Role)),
    ("GET", f"{OUT}/actual", S.RESULTS_READ, tuple(Role)),
    ("GET", f"{OUT}/diff", S.RESULTS_READ, tuple(Role)),
    ("POST", "/runs/9/samples/9/baseline-approval", S.BASELINES_WRITE, (Role.ADMIN,)),
    ("GET", "/runs/9/errors", S.RESULTS_READ, tuple(Role)),
    ("GET", "/runs/9/infrastructure-errors", S.SYSTEM_READ, tuple(Role)),
    ("GET", "/runs/9/error-summary", S.RESULTS_READ, tuple(Role)),
    ("GET", "/runs/9/logs", S.SYSTEM_READ, tuple(Role)),
    ("GET", "/runs/9/samples/9/logs", S.SYSTEM_READ, tuple(Role)),
    ("GET", "/runs/9/artifacts", S.RESULTS_READ, tuple(Role)),
    ("GET", "/regression-tests", S.RUNS_READ, tuple(Role)),
    ("POST", "/regression-tests", S.RUNS_WRITE, EDITORS),
    ("GET", "/regression-tests/9", S.RUNS_READ, tuple(Role)),
    ("PATCH", "/regression-tests/9", S.RUNS_WRITE, EDITORS),
    ("DELETE", "/regression-tests/9", S.RUNS_WRITE, EDITORS),
    ("GET", "/samples", S.RUNS_READ, tuple(Role)),
    ("GET", "/samples/9", S.RUNS_READ, tuple(Role)),
    ("GET", "/samples/9/history", S.RUNS_READ, tuple(Role)),
    ("GET", "/system/queue", S.SYSTEM_READ, tuple(Role)),
]
BY_PASSWORD = tuple(scope for scope in Scope if scope is not S.ADMIN)


def envelope(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, (answer.request.url, answer.text)
    document = answer.json()
    assert set(document) == {"code", "message", "details"}
    assert document["code"] == code
    assert 0 < len(document["message"]) <= 500
    assert isinstance(document["details"], dict)
    return document


def test_the_table_has_every_operation_of_the_contract(cc: Any) -> None:
    path = Path(__file__).parents[3] / "contracts" / "ccextractor-openapi.yaml"
    said: set[tuple[str, str]] = set()
    for name, item in yaml.safe_load(path.read_text())["paths"].items():
        shape = "/".join("9" if part.startswith("{") else part for part in name.split("/"))
        for method, operation in item.items():
            if method in ("get", "post", "patch", "put", "delete"):
                said.add((method.upper(), shape))
                asked = operation.get("x-required-scope")
                roles = operation.get("x-required-roles")
                mine = next(
                    (o for o in OPERATIONS if (o[0], o[1].replace("/99", "/9")) == (method.upper(), shape)), None
                )
                if mine:
                    assert (asked or None) == (mine[2].value if mine[2] else None), shape
                    assert set(roles or [role.value for role in Role]) == {role.value for role in mine[3]}, shape
    public = {("POST", "/auth/tokens"), ("GET", "/system/health"), ("DELETE", "/auth/tokens/current")}
    assert said == {(method, path.replace("/99", "/9")) for method, path, *_ in OPERATIONS} | public


@pytest.mark.parametrize(("method", "path", "scope", "roles"), OPERATIONS, ids=[f"{o[0]} {o[1]}" for o in OPERATIONS])
def test_roles_and_scopes(
    person: Callable[..., Any],
    bearing: Callable[[str], Any],
    token: Callable[..., str],
    method: str,
    path: str,
    scope: Scope | None,
    roles: tuple[Role, ...],
) -> None:
    envelope(bearing("").ask(method, path), 401, "unauthorized")
    others = [s.value for s in BY_PASSWORD if s is not scope]
    if scope:
        # the role is asked for first
        lacking = bearing(token(scopes=others)) if Role.CONTRIBUTOR in roles else person(Role.ADMIN, *map(S, others))
        details = envelope(lacking.ask(method, path), 403, "forbidden")["details"]
        assert details["required_scope"] == scope.value
        assert details["required_scopes"] == details["missing_scopes"] == [scope.value]
        assert details["token_scopes"] == sorted(others)
    for role in Role:
        if role is not Role.ADMIN and scope in (S.BASELINES_WRITE, S.TOKENS_MANAGE):
            continue  # nobody else gets that scope by password
        answer = person(role, *([scope] if scope else [])).ask(method, path)
        if role in roles:
            assert answer.status_code not in (401, 403), answer.text
        else:
            details = envelope(answer, 403, "forbidden")["details"]
            assert details == {"required_roles": details["required_roles"], "user_role": role.value}
            assert set(details["required_roles"]) == {r.value for r in roles}


def test_the_order(
    person: Callable[..., Any], bearing: Callable[[str], Any], token: Callable[..., str], red: int
) -> None:
    """Each request has all faults from its step on; the first one is told."""
    text = {"content": b"{", "headers": {"Content-Type": "text/plain"}}
    malformed = {"content": b"{", "headers": {"Content-Type": "application/json"}}
    cc = bearing(token())
    envelope(bearing("").ask("POST", "/runs/x/retry", **text), 401, "unauthorized")
    user = person(Role.USER, S.RUNS_READ)
    assert "user_role" in envelope(user.ask("POST", "/runs/x/retry", **text), 403, "forbidden")["details"]
    reader = bearing(token(scopes=["runs:read"]))
    assert "missing_scopes" in envelope(reader.ask("POST", "/runs/x/retry", **text), 403, "forbidden")["details"]
    assert envelope(cc.ask("POST", "/runs/x/retry", **text), 400, "validation_error")["details"]["fields"].keys() == {
        "run_id"
    }
    envelope(cc.ask("POST", "/runs/99/retry", **text), 415, "validation_error")
    envelope(cc.ask("POST", "/runs/99/retry", **malformed), 400, "validation_error")
    run = {"repository": "o/n", "commit_sha": "a" * 40, "platform": "linux", "regression_test_ids": [99]}
    envelope(cc.ask("POST", "/runs", json={**run, "platform": "mac"}), 400, "validation_error")
    assert envelope(cc.ask("POST", "/runs", json=run), 403, "forbidden")["details"]["owner_required"] == "o"
    envelope(cc.ask("POST", "/runs/99/retry"), 404, "not_found")
    run["repository"] = "local/shop"
    assert envelope(cc.ask("POST", "/runs", json=run), 422, "unprocessable")["details"] == {"inactive_ids": [99]}


IDS = ["0", "-1", "2147483648", "x", "1.0", "1e3", "%201", "+1", "9" * 400, "1_0", "%D9%A3", "%00", "01x"]
WITH_IDS = sorted({path for method, path, *_ in OPERATIONS if method == "GET" and "/9" in path})


@pytest.mark.parametrize("path", WITH_IDS)
def test_a_path_id_that_is_none_is_400(admin: Any, path: str) -> None:
    parts = path.split("/")
    places = [at for at, part in enumerate(parts) if part == "9"]
    for at, id in product(places, IDS):
        odd = "/".join([*parts[:at], id, *parts[at + 1 :]])
        envelope(admin.ask("GET", odd), 400, "validation_error")


@pytest.mark.parametrize("path", WITH_IDS)
def test_what_is_not_there_is_404(admin: Any, path: str) -> None:
    details = envelope(admin.ask("GET", path), 404, "not_found")["details"]
    assert details["id"] == 9
    assert details["resource"] in ("run", "regression_test", "sample")


def test_other_projects_are_not_there(
    world: World, bearing: Callable[[str], Any], token: Callable[..., str], red: int
) -> None:
    world.project("other")
    other = bearing(token(project="other"))
    for path in ("", "/summary", "/config", "/progress", "/samples", "/samples/1", "/errors", "/error-summary",
                 "/infrastructure-errors", "/logs", "/artifacts"):  # fmt: skip
        envelope(other.ask("GET", f"/runs/{red}{path}"), 404, "not_found")
    for action in ("retry", "cancel", "restart"):
        envelope(other.ask("POST", f"/runs/{red}/{action}"), 404, "not_found")
    for path in ("/samples/1", "/samples/1/history", "/regression-tests/1"):
        envelope(other.ask("GET", path), 404, "not_found")
    for path in ("/runs", "/samples", "/regression-tests", "/system/queue"):
        assert other.get(path)["pagination"]["total"] == 0
    run = {"repository": "local/shop", "commit_sha": "a" * 40, "platform": "linux"}
    envelope(other.ask("POST", "/runs", json=run), 403, "forbidden")


QUERIES = [
    "/runs?limit=0", "/runs?limit=101", "/runs?limit=x", "/runs?limit=", "/runs?offset=-1", "/runs?offset=2147483648",
    "/runs?cursor=1", "/runs?offset=0&cursor=1", "/runs?status=done", "/runs?status=", "/runs?platform=mac",
    "/runs?commit_sha=abc", "/runs?repository=shop", "/runs?repository=a/b/c", "/runs?sort=status",
    "/runs?branch=" + "x" * 101, "/runs?ccx_version=0.94", "/runs?created_after=yesterday",
    "/runs?created_after=2026-13-01T00:00:00Z", "/runs?created_before=12345",
    "/runs?created_after=2026-01-02T00:00:00Z&created_before=2026-01-01T00:00:00Z",
    "/runs/1/progress?status=done", "/runs/1/samples?status=lost", "/runs/1/samples?name=" + "x" * 101,
    "/runs/1/samples?tag=" + "x" * 51, "/runs/1/errors?type=diff", "/runs/1/errors?severity=bad",
    "/runs/1/errors?sample_id=0", "/runs/1/infrastructure-errors?type=test_failure",
    "/runs/1/infrastructure-errors?include_stack=maybe", "/runs/1/error-summary?group_by=file",
    "/runs/1/logs?cursor=-1", "/runs/1/logs?cursor=10000001", "/runs/1/logs?level=bad", "/runs/1/logs?offset=1",
    "/runs/1/logs?source=x", "/runs/1/logs?contains=" + "x" * 101, "/runs/1/samples/1/logs?limit=0",
    "/runs/1/artifacts?type=x", "/regression-tests?active=maybe", "/regression-tests?sample_id=x",
    "/samples?status=x", "/samples?sha256=abc", "/samples?extension=.py", "/samples/1/history?status=skipped",
    "/samples/1/history?regression_test_id=99", "/system/queue?status=pass", "/system/queue?platform=x",
    "/auth/tokens?all=x",
]  # fmt: skip


@pytest.mark.parametrize("path", QUERIES)
def test_queries_that_do_not_fit(admin: Any, red: int, path: str) -> None:
    document = envelope(admin.ask("GET", path), 400, "validation_error")
    assert document["details"]["fields"]
    assert all(isinstance(text, str) and text for text in document["details"]["fields"].values())


RUN = {"repository": "local/shop", "commit_sha": "a" * 40, "platform": "linux"}
BODIES: list[dict[str, Any]] = [
    {},
    {**RUN, "repository": "shop"},
    {**RUN, "repository": "a/" + "b" * 100},
    {**RUN, "commit_sha": "abc"},
    {**RUN, "commit_sha": "a" * 40 + "\n"},
    {**RUN, "platform": "mac"},
    {**RUN, "branch": "-x y"},
    {**RUN, "branch": "a//b"},
    {**RUN, "branch": None},
    {**RUN, "pull_request": 0},
    {**RUN, "pull_request": "7"},
    {**RUN, "pull_request": True},
    {**RUN, "pull_request": 2**31},
    {**RUN, "regression_test_ids": []},
    {**RUN, "regression_test_ids": None},
    {**RUN, "regression_test_ids": [1, 1]},
    {**RUN, "regression_test_ids": [0]},
    {**RUN, "regression_test_ids": ["1"]},
    {**RUN, "regression_test_ids": list(range(1, 502))},
    {**RUN, "environment_id": "x"},
    {name: value for name, value in RUN.items() if name != "commit_sha"},
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_runs_that_do_not_fit(cc: Any, red: int, body: dict[str, Any]) -> None:
    document = envelope(cc.ask("POST", "/runs", json=body), 400, "validation_error")
    assert document["details"]["fields"]
    assert cc.get("/runs")["pagination"]["total"] == 1


def test_a_required_body_must_be_there_and_json(cc: Any, http: Any) -> None:
    envelope(cc.ask("POST", "/runs"), 415, "validation_error")
    envelope(
        cc.ask("POST", "/runs", content=b"", headers={"Content-Type": "application/json"}), 400, "validation_error"
    )
    envelope(cc.ask("POST", "/runs", content=b"x" * 3_000_000), 413, "validation_error")
    answer = cc.ask("PUT", "/runs/1/retry")
    assert "POST" in answer.headers["allow"]
    envelope(answer, 405, "method_not_allowed")
