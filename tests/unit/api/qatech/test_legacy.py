"""The older API, as the released GitHub Action speaks it (study 1.4, 1.5, 3.2 to 3.4)."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from resit.domain.organization import Organization
from resit.domain.run import Build, Run, Via
from resit.domain.test_plan import TestPlan
from resit.testing.factories import ADMIN, result, uuid_of
from resit.testing.world import World

Refused = Callable[..., str]
SHA = "0123456789abcdef0123456789abcdef01234567"
# What the action sends (study 3.2): members in its order, headers of its HTTP client.
BODY = {"trigger": "GITHUB", "actor": "octo", "branch": "refs/heads/main", "commitHash": SHA, "repository": "acme/shop"}
HEADERS = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate, br", "User-Agent": "node-fetch"}


def test_the_actions_start(world: World, shop: TestClient, legacy: str) -> None:
    answer = shop.post(f"{legacy}/runs", json=BODY, headers=HEADERS)
    assert answer.status_code == 200
    run, short = world.run(1), world.ids.short(1)
    url = f"http://resit.test/p/shop/results/{short}"
    said = {"id": run.uuid, "shortId": short, "url": url, "testCount": 0, "testPlan": None}
    assert answer.json() == {"success": True, "run": said}
    assert (run.via, run.actor) == (Via.GITHUB, "octo")
    assert run.build == Build(branch="refs/heads/main", commit=SHA, repository="acme/shop")


@pytest.mark.parametrize("base", ["", "/", "/qatech", "/qatech/"])
def test_the_whole_way_of_the_action(world: World, shop: TestClient, legacy: str, base: str) -> None:
    """Start, and poll to the end; the base URL may end with a slash or have the dialect's prefix."""
    root = f"http://resit.test{base}{legacy}/runs"
    run = shop.post(root, json=BODY, headers=HEADERS, follow_redirects=False).json()["run"]
    poll = f"{root}/{run['shortId']}"
    said = shop.get(poll, headers=HEADERS, follow_redirects=False).json()
    ids = {"id": run["id"], "shortId": run["shortId"], "short_id": run["shortId"]}
    assert said == {**ids, "status": "INITIATED", "result": None, "failedTestCases": []}
    world.settle()
    world.carry_out(world.plan(world.run(1), []))
    said = shop.get(poll, headers=HEADERS).json()
    assert (said["status"], said["result"]) == ("ERROR", None)


@pytest.mark.parametrize("base", ["", "//", "/qatech"])
def test_the_newer_action(world: World, shop: TestClient, base: str) -> None:
    """It starts under ``/v1`` and polls without (study 3.2)."""
    app = f"app_{world.ids.short(1)}"
    applications = [{"applicationShortId": app, "environment": {"url": "https://pr-7.example.com"}}]
    root = f"http://resit.test{base}"
    body = {**BODY, "applications": applications, "projectShortId": f"proj_{world.ids.short(1)}"}
    run = shop.post(f"{root}/v1/run", json=body, headers=HEADERS).json()["run"]
    assert run["testPlan"] is None
    said = shop.get(f"{root}/run/{run['shortId']}", headers=HEADERS).json()
    assert (said["status"], said["result"]) == ("INITIATED", None)
    assert world.run(1).build.url == "https://pr-7.example.com"


@pytest.mark.parametrize("key", ["testPlanShortId", "testPlanShortIds"])
def test_a_plan_has_its_short_id_under_both_names(
    world: World, shop: TestClient, legacy: str, plan_of: Callable[..., TestPlan], key: str
) -> None:
    """Study A7; the list is the first version's."""
    plan = plan_of(tags=["smoke"])
    short = world.ids.short(plan.id)
    body = {**BODY, key: [short] if key.endswith("s") else short}
    run = shop.post(f"{legacy}/runs", json=body).json()["run"]
    assert run["testPlan"] == {"name": "Smoke", "shortId": f"pln_{short}", "short_id": f"pln_{short}"}


def test_what_else_it_takes(world: World, shop: TestClient, legacy: str) -> None:
    """Any trigger (study A25), a map of applications, the name of who calls; ``exploratory`` is ignored."""
    app = world.ids.short(1)
    body = {
        "trigger": "NETLIFY",
        "actor": "dropped",
        "integrationName": "Netlify",
        "exploratory": True,
        "exploratoryPrompt": "look around",
        "applications": {app: {"environment": {"url": "https://x.example"}}},
        "testPlanShortIds": [],
    }
    assert shop.post(f"{legacy}/runs", json=body).status_code == 200
    run = world.run(1)
    assert (run.via, run.actor, run.metadata) == (Via.API, "", {"integration": "Netlify"})
    for content in (b"", b"{}", None):
        assert shop.post(f"{legacy}/runs", content=content).status_code == 200


def test_failed_tests_are_listed_when_the_result_is_failed(
    world: World, shop: TestClient, legacy: str, mixed: Run
) -> None:
    said = shop.get(f"{legacy}/runs/{world.ids.short(mixed.id)}").json()
    assert list(said) == ["id", "shortId", "short_id", "status", "result", "failedTestCases"]
    assert (said["status"], said["result"]) == ("COMPLETED", "FAILED")
    assert [(test["name"], test["result"]) for test in said["failedTestCases"]] == [("f", "FAILED")]
    done = world.carry_out(world.planned("a"))
    said = shop.get(f"{legacy}/runs/{world.ids.short(done.id)}").json()
    assert (said["status"], said["result"], said["failedTestCases"]) == ("COMPLETED", "PASSED", [])
    skipped = world.carry_out(world.planned("a"), {"a": [result("a", "skipped")]})
    assert shop.get(f"{legacy}/runs/{world.ids.short(skipped.id)}").json()["result"] == "SKIPPED"
    gone = world.planned("a")
    world.runs.cancel(ADMIN, gone.id)
    said = shop.get(f"{legacy}/runs/{world.ids.short(gone.id)}").json()
    assert (said["status"], said["result"]) == ("CANCELLED", None)


LIES = "00000000-0000-4000-8000-000000000000"
REFUSED: list[tuple[Any, str]] = [
    ([], "JSON object"),
    ({"testPlanShortId": "nothing"}, "no such test plan"),
    ({"testPlanShortIds": ["a", "b"]}, "one test plan"),
    ({"testCaseIds": [LIES]}, LIES),
    ({"notifications": []}, "empty"),
    ({"notifications": [{"type": "slack", "channel": "C"}]}, "Slack is not set up"),
    ({"applications": {"nothing": {}}}, "no application"),
    ({"applications": {"APP": {"devicePresetId": LIES}}}, "not supported"),
    ({"applications": {"APP": {"environment": {"short_id": "x"}}}}, "no environment"),
    ({"applications": {"APP": None}}, "no JSON object"),
    ({"trigger": 1}, "trigger"),
]


@pytest.mark.parametrize("at", range(len(REFUSED)))
def test_what_is_refused(world: World, shop: TestClient, legacy: str, refused: Refused, at: int) -> None:
    """Always 400, where v1 has 404 for some (study A16)."""
    body, words = REFUSED[at]
    if isinstance(body, dict) and "APP" in body.get("applications", {}):
        body = {"applications": {world.ids.short(1): body["applications"]["APP"]}}
    refused(shop.post(f"{legacy}/runs", json=body), 400, words)
    with world.store.read() as tx:
        assert tx.runs.get(1) is None


@pytest.mark.parametrize("header", ["", "Bearer nonsense", "Basic YTpi"])
def test_a_bad_key(world: World, shop: TestClient, legacy: str, mixed: Run, refused: Refused, header: str) -> None:
    """403 to start, 404 to poll, never 401 (study A3)."""
    no = {"Authorization": header}
    answer = shop.post(f"{legacy}/runs", json=BODY, headers=no)
    refused(answer, 403)
    assert answer.json()["statusText"] == "Unknown Error"
    answer = shop.get(f"{legacy}/runs/{world.ids.short(mixed.id)}", headers=no)
    refused(answer, 404)
    assert answer.json()["statusText"] == "Unknown Error"


def test_a_signed_hook_is_not_supported(shop: TestClient, legacy: str, refused: Refused) -> None:
    del shop.headers["Authorization"]
    refused(shop.post(f"{legacy}/runs", json={}, headers={"X-Webhook-Signature": "a.b.c"}), 403, "not supported")


def test_projects_and_runs_that_are_not_there(
    world: World, shop: TestClient, legacy: str, mixed: Run, refused: Refused, token: Callable[..., str]
) -> None:
    other = world.project("other")
    short = world.ids.short(mixed.id)
    for uuid in (other.uuid, uuid_of("nothing"), "shop", "x" * 36, "%00", "x" * 5000):
        answer = shop.post(f"/api/projects/{uuid}/runs", json=BODY)
        refused(answer, 404)
        assert answer.json()["statusText"] == "Unknown Error"
        refused(shop.get(f"/api/projects/{uuid}/runs/{short}"), 404)
    refused(shop.get(f"{legacy}/runs/nothing"), 404)
    of_all = {"Authorization": token(project=None)}
    refused(shop.get(f"/api/projects/{other.uuid}/runs/{short}", headers=of_all), 404)
    assert shop.get(f"{legacy.upper().replace('API/PROJECTS', 'api/projects')}/runs/{short}").status_code == 200


def test_over_quota_and_suspended(world: World, shop: TestClient, legacy: str, mixed: Run, refused: Refused) -> None:
    with world.store.write() as tx:
        tx.organization.save(Organization(monthly_runs=1))
    refused(shop.post(f"{legacy}/runs", json=BODY), 402, "used up")
    with world.store.write() as tx:
        tx.organization.save(Organization(suspended=True))
    for answer in (shop.post(f"{legacy}/runs", json=BODY), shop.get(f"{legacy}/runs/{world.ids.short(mixed.id)}")):
        refused(answer, 403)
        assert answer.json()["statusText"] == "Organization is suspended"


def test_a_test_case_is_written_down(
    world: World, shop: TestClient, legacy: str, project_uuid: str, refused: Refused
) -> None:
    body = {"name": "Log in", "goal": "One can log in", "applicationId": project_uuid.upper()}
    made = shop.post(f"{legacy}/test-cases", json=body).json()
    assert list(made) == ["success", "testCase"]
    assert shop.get("/v1/test-cases").json()["testCases"][0]["id"] == made["testCase"]["id"]
    refused(shop.post(f"{legacy}/test-cases", json={**body, "applicationId": LIES}), 400, "no application")
    refused(shop.post(f"{legacy}/test-cases", json={**body, "applicationId": "x"}), 400, "no UUID")
    refused(shop.post(f"{legacy}/test-cases", json={**body, "configIds": [LIES]}), 400, "configurations")
    refused(shop.post(f"{legacy}/test-cases", json={"name": "x", "goal": "y"}), 400, "applicationId")
    refused(shop.post(f"/api/projects/{LIES}/test-cases", json=body), 404)
    refused(shop.post(f"{legacy}/test-cases", json=body, headers={"Authorization": "Bearer x"}), 403)
