"""Triggering over the vendor's API: the seeds' exchanges, what real clients were seen to send, scope, concurrency."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from resit.domain import wire
from resit.domain.admission import OnConflict
from resit.domain.run import Run, Via
from resit.domain.selection import Selection
from resit.domain.status import SelectionKind
from resit.testing.factories import planned
from resit.testing.world import World

Refused = Callable[..., str]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
SHA = "2222222222222222222222222222222222222222"
AGENT = {"User-Agent": "@empiricalrun/dispatch-action", "Content-Type": "application/json"}

SEED = {
    "environment": "staging",
    "build": {
        "url": "https://preview.acme.test",
        "branch": "feat/login",
        "commit": SHA,
        "commit_url": f"https://github.com/acme/web/commit/{SHA}",
        "version": "1.2.3",
    },
    "metadata": {"ticket": "ACME-1", "attempt": 2, "ratio": 0.5},
    "environment_variables_overrides": [{"name": "FOO", "value": "bar"}],
    "tags": ["@smoke", "@critical"],
    "project_id": 1,
    "send_notifications": False,
    "total_shards": 2,
    "github_actor": "octocat",
}
"""Every member of the seed's body that goes with ``build`` and without a source."""

PUSH: dict[str, Any] = {
    "origin": {"owner": "acme", "name": "web"},
    "build": {"commit": SHA, "branch": "main", "commit_url": f"https://github.com/acme/web/commit/{SHA}"},
    "environment": "production",
    "github_actor": "bob",
    "metadata": {"version": "1.2.3", "pr_number": 42, "empty": 0},
    "environment_variables_overrides": [
        {"name": "BUILD_URL", "value": "https://staging.acme.test:8443/x"},
        {"name": "FOO", "value": "a:b"},
    ],
}
"""What the older action was seen to send for a push (study 3.1, first body)."""
PULL: dict[str, Any] = {
    **PUSH,
    "build": {**PUSH["build"], "url": "https://pr-7.acme.test", "branch": "feat/login"},
    "github_actor": "alice",
}
DEPLOYMENT: dict[str, Any] = {**PUSH, "build": {"commit": SHA, "commit_url": PUSH["build"]["commit_url"]}}
NEWER: dict[str, Any] = {
    **{name: value for name, value in PUSH.items() if name != "origin"},
    "concurrency": {"group": "deploy", "on_conflict": "cancel"},
}
"""The newer action's body (study 3.2)."""


def is_created(document: Any, run: Run) -> None:
    """``CreateTestRunResponse``: the seed's members with their types, and the one that the newest client reads."""
    assert set(document) == {"data"}
    assert set(document["data"]) == {"trigger", "test_run"}
    assert document["data"]["trigger"] == {"success": True}
    shown = document["data"]["test_run"]
    assert set(shown) == {"id", "state", "test_run_branch", "created_at", "project_id"}
    assert shown["id"] == run.id
    assert type(shown["id"]) is int
    assert shown["state"] in ("pending", "queued")
    assert isinstance(shown["test_run_branch"], str)
    assert shown["test_run_branch"]
    assert TIME.fullmatch(shown["created_at"])
    assert shown["project_id"] == run.project_id


def test_the_seeds_trigger(shop: TestClient, world: World) -> None:
    world.environment()
    told = world.signals.told
    answer = shop.put("/api/test-runs", json=SEED)
    assert answer.status_code == 200
    run = world.run(1)
    is_created(answer.json(), run)
    assert world.signals.told > told, "dispatch is told that there is something to send"
    build = SEED["build"]
    assert isinstance(build, dict)
    assert {name: getattr(run.build, name) for name in build} == build
    assert run.metadata == SEED["metadata"]
    assert isinstance(run.metadata["attempt"], int)
    assert run.variables == {"FOO": "bar"}
    assert run.selection == Selection(SelectionKind.CHOSEN, (), ("@smoke", "@critical"), lenient=True)
    assert (run.notify, run.shards, run.actor, run.via) == (False, 2, "octocat", Via.API)
    assert run.environment_id == 2


def test_the_least_that_can_be_sent(shop: TestClient, world: World) -> None:
    answer = shop.put("/api/test-runs", json={"environment": "default"})
    is_created(answer.json(), world.run(1))
    run = world.run(1)
    assert run.selection == Selection()
    assert run.notify


def test_members_that_nobody_knows_are_ignored(shop: TestClient, world: World) -> None:
    body = {"environment": "default", "build": {"commit": "c", "pierre": 1}, "lorem": {"ipsum": [1, 2]}, "origin": None}
    assert shop.put("/api/test-runs", json=body).status_code == 200
    assert world.run(1).build.commit == "c"


def test_the_branch_of_the_test_repository(shop: TestClient, world: World) -> None:
    answer = shop.put("/api/test-runs", json={"environment": "default", "branch": "feat/tests", "build": {}})
    assert answer.json()["data"]["test_run"]["test_run_branch"] == "feat/tests"
    assert world.run(1).branch == "feat/tests"


def listed(world: World, run: int, branch: str) -> None:
    """A worker lists the suite of a branch."""
    world.settle()
    said = {"run": run, "claim": "planner"}
    facts = {"framework": "pytest 9", "lanes": 1, "shares_process": False, "dispatch_cost": 1.0, "approximate": False}
    test = wire.test_to_wire(planned("t.py::a"))
    dropped = world.report(
        {**said, "what": "plan.started"},
        {**said, "what": "plan.tests", "number": 0, "tests": [test]},
        {**said, "what": "plan.ended", "parts": 1, "facts": facts, "commit": "c0ffee", "branch": branch},
    )
    assert not dropped


@pytest.mark.parametrize("taken", ["feat/login", "develop"])
def test_the_branch_of_the_build_is_preferred(shop: TestClient, world: World, taken: str) -> None:
    body = {"environment": "default", "build": {"branch": "feat/login"}}
    made = shop.put("/api/test-runs", json=body).json()["data"]["test_run"]
    assert made["test_run_branch"] == "main", "nobody knows yet"
    assert world.work.spec("default", made["id"])["source"]["prefer"] == "feat/login"
    unplanned = shop.post(f"/api/test-runs/{made['id']}/re-run").json()["data"]["test_run"]["id"]
    assert world.run(unplanned).prefer_branch == "feat/login"
    listed(world, made["id"], taken)
    shown = shop.get(f"/api/test-runs/{made['id']}").json()["data"]["test_run"]["testRun"]
    assert (shown["test_run_branch"], shown["build_branch"]) == (taken, "feat/login")
    assert shop.get(f"/api/test-runs?branch={taken}").json()["pagination"]["total"] == 1
    # a re-run stays on the branch that was taken
    again = shop.post(f"/api/test-runs/{made['id']}/re-run").json()["data"]["test_run"]
    assert again["test_run_branch"] == taken
    assert "prefer" not in world.work.spec("default", again["id"])["source"]


def test_only_a_run_that_had_a_choice_takes_the_workers_word_for_its_branch(shop: TestClient, world: World) -> None:
    made = shop.put("/api/test-runs", json={"environment": "default", "branch": "feat/x"}).json()["data"]["test_run"]
    assert "prefer" not in world.work.spec("default", made["id"])["source"]
    listed(world, made["id"], "other")
    assert world.run(made["id"]).branch == "feat/x"


@pytest.mark.parametrize("build", [{}, {"branch": ""}, {"url": "", "commit": ""}, {"unknown": "x"}])
def test_an_empty_build_counts_as_absent(shop: TestClient, build: dict[str, str]) -> None:
    body = {"environment": "default", "branch": "feat/tests", "build": build}
    assert shop.put("/api/test-runs", json=body).status_code == 200


def test_environments_are_compared_in_lower_case(shop: TestClient, world: World) -> None:
    world.environment()
    assert shop.put("/api/test-runs", json={"environment": " Staging "}).status_code == 200
    assert world.run(1).environment_id == 2


def test_an_unknown_environment_is_told_which_there_are(shop: TestClient, world: World, refused: Refused) -> None:
    world.environment()
    refused(shop.put("/api/test-runs", json={"environment": "prod"}), 400, "prod", "default", "staging")


def test_a_disabled_environment_is_unknown_and_says_so(shop: TestClient, world: World, refused: Refused) -> None:
    id = world.environment().id
    assert shop.patch(f"/api/environments/{id}", json={"is_disabled": True}).status_code == 200
    refused(shop.put("/api/test-runs", json={"environment": "staging"}), 400, "disabled")


def test_of_a_name_that_comes_twice_the_last_value_counts(shop: TestClient, world: World) -> None:
    pairs = [{"name": "A", "value": "1"}, {"name": "B", "value": ""}, {"name": "A", "value": "2"}]
    shop.put("/api/test-runs", json={"environment": "default", "environment_variables_overrides": pairs})
    assert world.run(1).variables == {"A": "2", "B": ""}


def test_the_build_url_reaches_the_tests_unless_it_is_overridden(shop: TestClient, world: World) -> None:
    build = {"url": "https://build.test"}
    override = [{"name": "BUILD_URL", "value": "https://override.test"}]
    shop.put("/api/test-runs", json={"environment": "default", "build": build})
    body = {"environment": "default", "build": build, "environment_variables_overrides": override}
    shop.put("/api/test-runs", json=body)
    found = [world.work.spec("default", id)["variables"] for id in (1, 2)]
    assert [variables["BUILD_URL"] for variables in found] == ["https://build.test", "https://override.test"]
    assert [variables["ENV_SLUG"] for variables in found] == ["default", "default"]


# ---------------------------------------------------------------- real clients


@pytest.mark.parametrize("body", [PUSH, PULL, DEPLOYMENT], ids=["push", "pull_request", "deployment"])
def test_what_the_older_action_sends(shop: TestClient, world: World, body: dict[str, Any]) -> None:
    world.environment(slug="production")
    answer = shop.post("/v1/trigger", json=body, headers=AGENT)
    assert answer.status_code == 200
    run = world.run(1)
    is_created(answer.json(), run)
    assert run.build.commit == SHA
    assert run.build.branch == body["build"].get("branch", "")
    assert run.metadata == {"version": "1.2.3", "pr_number": 42, "empty": 0}
    assert run.variables == {"BUILD_URL": "https://staging.acme.test:8443/x", "FOO": "a:b"}
    assert run.actor == body["github_actor"]


def test_the_older_action_without_a_key(anyone: TestClient, refused: Refused) -> None:
    refused(anyone.post("/v1/trigger", json=PULL, headers=AGENT), 401)


def test_the_older_action_with_a_platform_in_place_of_an_environment(shop: TestClient, world: World) -> None:
    world.environment(slug="web")
    body = {**PUSH, "environment": "", "platform": "Web"}
    assert shop.post("/v1/trigger", json=body).status_code == 200
    assert world.run(1).environment_id == 2


def test_the_older_path_takes_all_that_the_newer_one_takes(shop: TestClient, world: World) -> None:
    world.environment()
    assert shop.post("/v1/trigger", json=SEED).status_code == 200
    assert shop.put("/api/test-runs", json=SEED).status_code == 200
    old, new = world.run(1), world.run(2)
    for name in ("environment_id", "build", "metadata", "variables", "selection", "shards", "notify", "actor"):
        assert getattr(old, name) == getattr(new, name), name


def test_the_older_action_without_an_environment(shop: TestClient, world: World, refused: Refused) -> None:
    refused(shop.post("/v1/trigger", json={**PUSH, "environment": ""}), 400, "environment", "default")
    with world.store.read() as tx:
        assert tx.runs.get(1) is None


def test_what_the_newer_action_sends_and_reads(shop: TestClient, world: World) -> None:
    world.environment(slug="production")
    answer = shop.put("/api/test-runs", json=NEWER, headers=AGENT)
    is_created(answer.json(), world.run(1))
    assert world.run(1).group == "deploy"
    project = shop.get(f"/api/projects/{answer.json()['data']['test_run']['project_id']}", headers=AGENT)
    assert project.status_code == 200
    assert project.json() == {"data": {"id": 1, "name": "shop", "slug": "shop", "repo_name": "local/shop"}}


def test_what_the_merge_action_sends(shop: TestClient) -> None:
    body = {"base_branch": "main", "head_branch": "feat/login"}
    answer = shop.post("/api/projects/merge-branches", json=body, headers={"User-Agent": "node"})
    assert answer.status_code == 200
    assert set(answer.json()) == {"data"}
    assert "feat/login" in answer.json()["data"]["message"]


# ---------------------------------------------------------------- scope


def trigger(client: TestClient, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.put("/api/test-runs", json={"environment": "default"}, headers=named)


def test_a_key_is_bound_to_its_project(shop: TestClient, world: World, refused: Refused) -> None:
    world.project("other")
    assert trigger(shop).status_code == 200
    assert trigger(shop, x_project_id="1").status_code == 200
    assert trigger(shop, x_project_slug="shop").status_code == 200
    refused(trigger(shop, x_project_id="2"), 404)
    refused(trigger(shop, x_project_slug="other"), 404)
    refused(trigger(shop, x_project_id="999"), 404)
    refused(trigger(shop, x_project_id="1", x_project_slug="other"), 404)
    for text in ("x", "-1", "0", "1.5", "1e3", "9" * 39):
        refused(trigger(shop, x_project_id=text), 400)


def test_a_token_that_is_bound_to_none_names_its_project(api: TestClient, world: World, refused: Refused) -> None:
    world.project("other")
    refused(trigger(api), 400, "x-project-id")
    refused(api.get("/api/test-runs"), 400, "x-project-id")
    refused(api.get("/api/test-runs?project_id=1"), 400, "x-project-id")
    assert trigger(api, x_project_id="2").json()["data"]["test_run"]["project_id"] == 2
    assert trigger(api, x_project_slug="other").json()["data"]["test_run"]["project_id"] == 2
    refused(trigger(api, x_project_id="999"), 404)
    refused(trigger(api, x_project_slug="nowhere"), 404)


def test_a_body_can_only_repeat_the_scope(shop: TestClient, world: World, refused: Refused) -> None:
    world.project("other")
    assert shop.put("/api/test-runs", json={"environment": "default", "project_id": 1}).status_code == 200
    refused(shop.put("/api/test-runs", json={"environment": "default", "project_id": 2}), 400, "project_id")


def test_what_belongs_to_others_does_not_exist(
    shop: TestClient, world: World, token: Callable[..., str], refused: Refused
) -> None:
    run = world.planned("a")
    world.carry_out(run)
    case = shop.get("/api/v2/test-cases").json()["data"]["test_cases"][0]["id"]
    until = "2023-12-01T00:00:00.000Z"
    snooze = shop.post("/api/snoozes", json={"test_ids": [case], "snooze_until": until}).json()["data"]["snooze"]["id"]
    resource = shop.post("/api/resources", json={"name": "x"}).json()["data"]["resource"]["id"]
    hook = shop.post("/api/webhooks", json={"url": "https://x.test", "events": ["test_run.queued"]})
    webhook = hook.json()["data"]["webhook"]["id"]
    world.project("other")
    shop.headers["Authorization"] = token(project="other", scopes=["admin"])
    for method, path, body in [
        ("GET", f"/api/test-runs/{run.id}", None),
        ("GET", f"/api/test-runs/{run.id}/status", None),
        ("GET", f"/api/test-runs/{run.id}/artifacts", None),
        ("GET", f"/api/v2/test-runs/{run.id}/cases", None),
        ("POST", f"/api/test-runs/{run.id}/cancel", {}),
        ("POST", f"/api/test-runs/{run.id}/re-run", {}),
        ("PUT", "/api/test-runs", {"environment": "default", "rerun_source_id": run.id}),
        ("PATCH", "/api/environments/1", {"name": "x"}),
        ("GET", f"/api/snoozes/{snooze}", None),
        ("PATCH", f"/api/snoozes/{snooze}", {"expire_now": True}),
        ("GET", f"/api/resources/{resource}", None),
        ("PATCH", f"/api/resources/{resource}", {"name": "y"}),
        ("DELETE", f"/api/resources/{resource}", None),
        ("GET", "/api/projects/1", None),
        ("POST", f"/api/webhooks/{webhook}/test", None),
        ("DELETE", f"/api/webhooks/{webhook}", None),
        ("DELETE", "/api/api-keys/1", None),
    ]:
        refused(shop.request(method, path, json=body), 404)
    refused(shop.get(f"/api/v2/test-cases/{case}"), 403)
    refused(shop.patch(f"/api/v2/test-cases/{case}", json={"tags": []}), 403)
    for path, name in [("snoozes?status=all", "snoozes"), ("resources", "resources"), ("webhooks", "webhooks")]:
        assert shop.get(f"/api/{path}").json()["data"][name] == []
    assert shop.get("/api/test-runs").json()["data"]["test_runs"]["items"] == []
    assert shop.get(f"/api/test-runs?id={run.id}").json()["pagination"]["total"] == 0


def test_a_run_is_reached_without_a_scope(api: TestClient, world: World) -> None:
    run = world.planned("a")
    assert api.get(f"/api/test-runs/{run.id}").status_code == 200
    assert api.post(f"/api/test-runs/{run.id}/re-run").status_code == 200


# ---------------------------------------------------------------- which tests, and when


def test_named_tests_run_and_unknown_ones_are_ignored(shop: TestClient, world: World) -> None:
    world.planned("t.py::a", "t.py::b")
    cases = {case["name"]: case["id"] for case in shop.get("/api/v2/test-cases").json()["data"]["test_cases"]}
    unknown = "0" * 20 + "-" + "1" * 20
    ids = [cases["b"], unknown]
    made = shop.put("/api/test-runs", json={"environment": "default", "test_case_ids": ids}).json()["data"]["test_run"]
    run = world.plan(world.run(made["id"]), [planned("t.py::a"), planned("t.py::b")])
    world.carry_out(run)
    whole = shop.get(f"/api/test-runs/{run.id}").json()["data"]["test_run"]
    assert [row["pw_test_id"] for row in whole["flattenedSummaryDetails"]] == [cases["b"]]
    assert whole["testRun"]["test_case_ids"] == ids
    status = shop.get(f"/api/test-runs/{whole['testRun']['run_id']}/status").json()["data"]
    assert (status["test_case_ids"], status["state"], status["id"]) == (ids, "ended", run.id)


def test_a_run_of_unknown_tests_alone_is_an_error_with_no_tests(shop: TestClient, world: World) -> None:
    body = {"environment": "default", "test_case_ids": ["0" * 20 + "-" + "1" * 20]}
    made = shop.put("/api/test-runs", json=body).json()["data"]["test_run"]
    assert made["state"] == "queued"
    world.plan(world.run(made["id"]), [planned("a")])
    whole = shop.get(f"/api/test-runs/{made['id']}").json()["data"]["test_run"]
    assert (whole["testRun"]["state"], whole["testRun"]["total_count"]) == ("error", 0)
    assert whole["testRun"]["error_code"] == "run_failed_with_error"
    assert whole["flattenedSummaryDetails"] == []
    assert shop.get(f"/api/v2/test-runs/{made['id']}/cases?per_page=200").json()["data"] == []


def test_tags_and_named_tests_are_both_meant(shop: TestClient, world: World) -> None:
    tests = [planned("a", tags=("smoke",)), planned("b"), planned("c", tags=("smoke",))]
    world.plan(world.trigger(), tests)
    cases = {case["name"]: case["id"] for case in shop.get("/api/v2/test-cases").json()["data"]["test_cases"]}
    body = {"environment": "default", "test_case_ids": [cases["a"], cases["b"]], "tags": ["@smoke"]}
    made = shop.put("/api/test-runs", json=body).json()["data"]["test_run"]
    assert set(world.outcomes(world.plan(world.run(made["id"]), tests))) == {"a"}


def group(on_conflict: OnConflict) -> dict[str, Any]:
    return {"environment": "default", "concurrency": {"group": "deploy", "on_conflict": on_conflict.value}}


def test_a_run_cancels_the_earlier_one_of_its_group(shop: TestClient, world: World) -> None:
    shop.put("/api/test-runs", json=group(OnConflict.CANCEL))
    made = shop.put("/api/test-runs", json=group(OnConflict.CANCEL)).json()["data"]["test_run"]
    assert made["state"] == "queued"
    first, second = (shop.get(f"/api/test-runs/{id}").json()["data"]["test_run"]["testRun"] for id in (1, 2))
    assert (first["state"], first["superseded_by_test_run_id"]) == ("cancelled", 2)
    assert (second["state"], second["superseded_by_test_run_id"]) == ("queued", None)


def test_a_run_waits_for_the_earlier_one_of_its_group(shop: TestClient, world: World) -> None:
    shop.put("/api/test-runs", json=group(OnConflict.WAIT))
    assert shop.put("/api/test-runs", json=group(OnConflict.WAIT)).json()["data"]["test_run"]["state"] == "pending"
    assert shop.get("/api/test-runs?state=pending").json()["pagination"]["total"] == 1
    shop.post("/api/test-runs/1/cancel")
    assert shop.get("/api/test-runs/2/status").json()["data"]["state"] == "queued"


# ---------------------------------------------------------------- re-runs by trigger


def test_a_trigger_with_a_source_is_a_rerun(shop: TestClient, world: World, red: Run) -> None:
    body = {"environment": "default", "rerun_source_id": red.id, "rerun_only_failed": True, "build": {"commit": "new"}}
    before = world.dump(red)
    made = shop.put("/api/test-runs", json=body).json()
    run = world.run(red.id + 1)
    is_created(made, run)
    world.settle()
    assert set(world.outcomes(run)) == {"tests/cart.spec.ts::a"}
    assert run.build.commit == "new"
    shown = shop.get(f"/api/test-runs/{run.id}").json()["data"]["test_run"]["testRun"]
    assert (shown["rerun_source_id"], shown["rerun_only_failed"]) == (red.id, True)
    assert world.dump(red) == before


def test_chosen_tests_of_a_source(shop: TestClient, world: World, red: Run, refused: Refused) -> None:
    cases = {case["name"]: case["id"] for case in shop.get("/api/v2/test-cases").json()["data"]["test_cases"]}
    unknown = "0" * 20 + "-" + "1" * 20
    body = {"environment": "default", "rerun_source_id": red.id, "test_case_ids": [cases["b"], unknown]}
    made = shop.put("/api/test-runs", json=body).json()["data"]["test_run"]
    world.settle()
    assert set(world.outcomes(world.run(made["id"]))) == {"tests/cart.spec.ts::b"}
    shown = shop.get(f"/api/test-runs/{made['id']}").json()["data"]["test_run"]["testRun"]
    assert shown["test_case_ids"] == [cases["b"]]
    refused(shop.put("/api/test-runs", json={**body, "test_case_ids": [unknown]}), 400)


def test_a_source_that_is_not_there(shop: TestClient, world: World, refused: Refused) -> None:
    world.project("other")
    other = world.trigger("other")
    for id in (999, other.id, 2**52 + 3):
        refused(shop.put("/api/test-runs", json={"environment": "default", "rerun_source_id": id}), 404)


def test_the_sources_setting_for_notifications_stays_unless_another_is_said(
    shop: TestClient, world: World, red: Run
) -> None:
    body = {"environment": "default", "send_notifications": False}
    first = shop.put("/api/test-runs", json=body).json()["data"]["test_run"]["id"]
    again = {"environment": "default", "rerun_source_id": first}
    assert [
        world.run(shop.put("/api/test-runs", json=sent).json()["data"]["test_run"]["id"]).notify
        for sent in (again, {**again, "send_notifications": True}, {**again, "rerun_source_id": red.id})
    ] == [False, True, True]
