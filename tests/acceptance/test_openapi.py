"""The vendors' OpenAPI files against a running server: whatever is asked, the answer is one that the contract knows."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from black_box import Resit, Suites
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from seeded import Seeded, seed

CONTRACTS = Path(__file__).parents[1] / "contracts"
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
BASE = {"empirical": "", "qatech": "", "ccextractor": "/api/v1"}
SELF_DESTRUCTIVE = {"DELETE /auth/tokens/current", "DELETE /auth/tokens/{token_id}"}
"""Operations that would take the token away with which everything else is asked."""
NOT_SUPPORTED = ("/builds", "/v1/chat", "/v1/remote-tunnels", "/v1/release-checks")
"""Parts of paths of QA.tech that Resit does not have: 404 in the dialect's form (docs/dialects/qatech.md)."""
EXAMPLES = int(os.environ.get("RESIT_EXAMPLES") or 5)
"""Requests of each operation and mode."""


def operations() -> Iterator[tuple[str, Any]]:
    """Each dialect's operations."""
    for name in BASE:
        schema = schemathesis.openapi.from_path(CONTRACTS / f"{name}-openapi.yaml")
        for found in schema.get_all_operations():
            yield name, found.ok()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    server = Resit(tmp_path_factory.mktemp("seeded"))
    try:
        server.start()
        yield seed(server, Suites(tmp_path_factory.mktemp("suites")))
        assert "Traceback" not in server.log(), server.log()
    finally:
        server.close()


@pytest.fixture(scope="module")
def known(world: Seeded) -> dict[str, dict[str, list[Any]]]:
    """For each dialect: values of path parameters that mean something, so that not everything is a 404."""
    runs = list(world.runs.values())
    numbers = [run["id"] for run in runs]
    with world.client() as http:
        environments = http.get("/api/environments/list").json()["data"]["environments"]
        cases = http.get("/api/v2/test-cases", params={"per_page": 100}).json()["data"]["test_cases"]
        snooze = {"test_ids": [cases[0]["id"]], "snooze_until": "2099-01-01T00:00:00.000Z"}
        snoozed = http.post("/api/snoozes", json={**snooze, "snooze_until": _soon()}).json()["data"]["snooze"]
        resource = http.post("/api/resources", json={"name": "a file"}).json()["data"]["resource"]
        hook = http.post("/api/webhooks", json={"url": "https://hooks.test/x", "events": ["test_run.ended"]})
        assert hook.status_code == 200, hook.text
        hooks = http.get("/api/webhooks").json()["data"]["webhooks"]
        short = [run["short_id"] for run in runs]
        status = http.get(f"/v1/run/{short[0]}", params={"testCases": "all"}).json()
        tests = http.get(f"/api/v1/runs/{numbers[0]}/samples").json()["data"]
        applications = http.get("/v1/applications").json()["applications"]
    regression = [test["regression_test_id"] for test in tests]
    samples = [test["sample_id"] for test in tests]
    project = world.project["uuid"]
    return {
        "empirical": {
            "id": [*numbers, *(e["id"] for e in environments), snoozed["id"], resource["id"], hooks[0]["id"]],
            "run_id": numbers,
            "test_case_id": [case["id"] for case in cases],
            "project_slug": [world.project["slug"]],
            "environment_slug": ["default", "slow"],
        },
        "qatech": {
            "shortId": [*short, *(case["shortId"] for case in status["runTestCases"])],
            "projectId": [project],
            "applicationShortId": [a["shortId"] for a in applications],
        },
        "ccextractor": {
            "run_id": numbers,
            "regression_test_id": regression,
            "regression_id": regression,
            "sample_id": samples,
            "output_id": [1, 2],
        },
    }


def allowed(name: str, operation: Any, mode: GenerationMode, case: Any) -> set[int]:
    """Status codes that an operation may answer with though its list forgets them; the study says why."""
    found: set[int] = set()
    if mode is GenerationMode.NEGATIVE:
        # Bad input gets an answer that says so, on every operation (Empirical, study 1.0; QA.tech, A22).
        found.add(400)
    headers = {key.lower() for key in case.headers or {}}
    if name == "empirical" and (headers & {"x-project-id", "x-project-slug"} or "project_id" in (case.query or {})):
        # A project that is not within reach (Empirical, study 2.1).
        found |= {400, 404}
    if operation.label == "POST /v1/mcp":
        # What MCP's transport wants for a notification.
        found.add(202)
    if name == "qatech" and any(part in operation.path for part in NOT_SUPPORTED):
        found.add(404)
    return found


def _soon() -> str:
    from datetime import UTC, datetime, timedelta

    return (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _values(operation: Any, known: dict[str, list[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Known values for the operation's path parameters, as far as there are some."""
    names = [parameter.name for parameter in operation.path_parameters]
    if "v2/test-cases" in operation.path:
        known = {**known, "id": known["test_case_id"]}
    return st.fixed_dictionaries({name: st.sampled_from(known[name]) for name in names if known.get(name)})


FOUND = [(name, operation) for name, operation in operations() if operation.label not in SELF_DESTRUCTIVE]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("name", "operation"), FOUND, ids=[f"{name}: {found.label}" for name, found in FOUND])
def test_every_answer_is_in_the_contract(
    world: Seeded, known: dict[str, dict[str, list[Any]]], name: str, operation: Any, mode: GenerationMode
) -> None:
    headers = {"Authorization": f"Bearer {world.admin if name == 'ccextractor' else world.key}"}
    base = world.resit.url + BASE[name]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def ask(data: Any) -> None:
        fixed = data.draw(_values(operation, known[name])) if data.draw(st.booleans()) else {}
        case = data.draw(operation.as_strategy(mode, path_parameters=fixed or None))
        response = case.call(base_url=base, headers=headers, timeout=30)
        unlisted = response.status_code in allowed(name, operation, mode, case)
        case.validate_response(response, checks=[c for c in CHECKS if not (unlisted and c is status_code_conformance)])

    try:
        ask()
    except Unsatisfiable:
        pytest.skip("there is no way to ask this wrongly")
