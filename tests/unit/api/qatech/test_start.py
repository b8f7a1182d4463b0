"""A run is started (study 1.1, 2.7 to 2.10, and the resolutions of section 4)."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from resit.domain.organization import Organization
from resit.domain.run import Build, Via
from resit.domain.test_plan import TestPlan
from resit.testing.factories import ADMIN, planned, uuid_of
from resit.testing.world import World

Refused = Callable[..., str]
PlanOf = Callable[..., TestPlan]


@pytest.fixture
def listed(world: World, shop: TestClient) -> TestClient:
    """A client of a suite of three tests that was listed before: run 1 is over."""
    tests = [planned("a", tags=("smoke",)), planned("b"), planned("c")]
    world.carry_out(world.plan(world.trigger(), tests))
    return shop


@pytest.mark.parametrize("body", [None, b"", b"{}", b'{"trigger": null, "testPlanShortId": null}', b'{"unknown": [1]}'])
def test_no_body_starts_everything(world: World, listed: TestClient, body: bytes | None) -> None:
    answer = listed.post("/v1/run", content=body)
    assert answer.status_code == 200
    run = world.run(2)
    short = world.ids.short(2)
    assert answer.json() == {
        "success": True,
        "run": {
            "id": run.uuid,
            "shortId": short,
            "url": f"http://resit.test/p/shop/results/{short}",
            "testCount": 3,
            "testPlan": None,
        },
    }
    assert (run.via, run.actor, run.build) == (Via.API, "", Build())
    assert world.signals.told == 1


GIT = {
    "actor": "octo",
    "branch": "refs/heads/main",
    "commitHash": "0123456789abcdef0123456789abcdef01234567",
    "commitMessage": "Mend it",
    "repository": "acme/shop",
}


def test_what_git_says_is_kept_with_github_alone(world: World, listed: TestClient) -> None:
    """Study 2.8, checklist 9."""
    listed.post("/v1/run", json={"trigger": "GITHUB", **GIT})
    listed.post("/v1/run", json={"trigger": "API", **GIT})
    listed.post("/v1/run", json=GIT)
    kept = world.run(2)
    commit = GIT["commitHash"]
    built = Build(branch="refs/heads/main", commit=commit, repository="acme/shop", message="Mend it")
    assert (kept.via, kept.actor, kept.build, kept.branch) == (Via.GITHUB, "octo", built, "")
    for id in (3, 4):
        dropped = world.run(id)
        assert (dropped.via, dropped.actor, dropped.build) == (Via.API, "", Build())


def test_a_long_message_of_a_commit_is_cut(world: World, listed: TestClient) -> None:
    assert listed.post("/v1/run", json={"trigger": "GITHUB", "commitMessage": "x" * 10_000}).status_code == 200
    assert len(world.run(2).build.message) == 2000


@pytest.mark.parametrize("spelling", ["pln_{}", "pln-some-slug_{}", "pln-some_slug_{}", "{}", " {} "])
def test_a_plan_in_every_spelling(world: World, listed: TestClient, plan_of: PlanOf, spelling: str) -> None:
    """Study A15."""
    plan = plan_of(tags=["smoke"])
    short = world.ids.short(plan.id)
    for name in (short, str(plan.id)):
        run = listed.post("/v1/run", json={"testPlanShortId": spelling.format(name)}).json()["run"]
        assert run["testPlan"] == {"name": "Smoke", "shortId": f"pln_{short}"}
        assert run["testCount"] == 1
    assert [world.run(id).test_plan_id for id in (2, 3)] == [plan.id] * 2


def test_the_default_plan(world: World, listed: TestClient, plan_of: PlanOf, case_of: Callable[[str], str]) -> None:
    """Study A5: taken when nothing else is named."""
    plan_of("Other")
    plan = plan_of("Nightly", tests=["a", "b"], default=True)
    run = listed.post("/v1/run").json()["run"]
    assert (run["testPlan"]["name"], run["testCount"]) == ("Nightly", 2)
    chosen = listed.post("/v1/run", json={"testCaseIds": [case_of("c")]}).json()["run"]
    assert (chosen["testPlan"], chosen["testCount"]) == (None, 1)
    assert [world.run(id).test_plan_id for id in (2, 3)] == [plan.id, None]


def test_a_plan_brings_its_environment(world: World, listed: TestClient, plan_of: PlanOf) -> None:
    staging = world.environment()
    plan = plan_of(environment="staging")
    body: dict[str, Any] = {"testPlanShortId": world.ids.short(plan.id)}
    listed.post("/v1/run", json=body)
    app = f"app_{world.ids.short(plan.project_id)}"
    listed.post(
        "/v1/run", json={**body, "applications": [{"applicationShortId": app, "environment": {"url": "http://x"}}]}
    )
    assert [world.run(id).environment_id for id in (2, 3)] == [staging.id] * 2
    assert world.run(3).build.url == "http://x"


def test_chosen_test_cases(world: World, listed: TestClient, case_of: Callable[[str], str]) -> None:
    answer = listed.post("/v1/run", json={"testCaseIds": [case_of("a"), case_of("c").upper(), case_of("a")]})
    assert answer.json()["run"]["testCount"] == 2
    run = world.plan(world.run(2), [planned("a"), planned("b"), planned("c")])
    assert set(world.outcomes(run)) == {"a", "c"}


def test_a_chosen_test_that_the_suite_has_no_more_is_counted(
    world: World, listed: TestClient, case_of: Callable[[str], str]
) -> None:
    world.carry_out(world.plan(world.trigger(), [planned("a"), planned("b")]))
    answer = listed.post("/v1/run", json={"testCaseIds": [case_of("a"), case_of("c")]})
    assert answer.json()["run"]["testCount"] == 2
    run = world.plan(world.run(3), [planned("a"), planned("b")])
    assert world.outcomes(run) == {"a": None, "c": "not_found"}


def _app(world: World, name: str = "app_{}") -> str:
    return name.format(world.ids.short(1))


@pytest.mark.parametrize("name", ["app_{}", "app-web_{}", "{}"])
@pytest.mark.parametrize("form", ["list", "map"])
def test_an_address_for_the_application(world: World, listed: TestClient, name: str, form: str) -> None:
    """Study A20: as a list or as a map."""
    said = {"environment": {"url": "https://preview.example.com/x", "name": "PR-7"}}
    app = _app(world, name)
    applications: Any = {app: said} if form == "map" else [{"applicationShortId": app, **said}]
    assert listed.post("/v1/run", json={"applications": applications}).status_code == 200
    run = world.run(2)
    assert run.build.url == "https://preview.example.com/x"
    assert run.metadata == {"preview": "PR-7"}


@pytest.mark.parametrize("key", ["shortId", "short_id"])
def test_a_saved_environment(world: World, listed: TestClient, key: str) -> None:
    staging = world.environment()
    said = {"environment": {key: f"env_{world.ids.short(staging.id)}"}}
    listed.post("/v1/run", json={"applications": {_app(world): said}})
    assert world.run(2).environment_id == staging.id


def test_parameters_reach_the_tests(world: World, listed: TestClient) -> None:
    said = {"configs": {"Login": {"user": "é"}}, "configsByEnvironment": {uuid_of("e"): {"x_y": {}}}, "more": [None]}
    assert listed.post("/v1/run", json={"parameters": said}).status_code == 200
    assert json.loads(world.run(2).variables["QATECH_PARAMETERS"]) == said
    listed.post("/v1/run", json={"parameters": {}})
    assert not world.run(3).variables


LIES = "00000000-0000-4000-8000-000000000000"
REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"testPlanShortId": "pln_nothing"}, 404, "no such test plan 'pln_nothing'"),
    ({"testPlanShortId": "\ud800"}, 400, "testPlanShortId"),
    ({"testPlanShortId": "x" * 500}, 404, "no such test plan"),
    ({"testPlanShortId": ""}, 404, "no such test plan"),
    ({"testPlanShortId": 1}, 400, "testPlanShortId"),
    ({"testPlanShortId": "pln_x", "testCaseIds": [LIES]}, 400, "exclude each other"),
    ({"testCaseIds": []}, 400, "no tests"),
    ({"testCaseIds": ["a"]}, 400, "'a' is no UUID"),
    ({"testCaseIds": [LIES]}, 404, LIES),
    ({"trigger": "MANUAL"}, 400, "API or GITHUB"),
    ({"trigger": 1}, 400, "trigger"),
    ({"branch": 1}, 400, "branch"),
    ({"trigger": "GITHUB", "branch": "x" * 2001}, 400, "branch"),
    ({"trigger": "GITHUB", "branch": "\ud800"}, 400, "branch"),
    ({"trigger": "GITHUB", "actor": "a\0"}, 400, "actor"),
    ({"notifications": []}, 400, "empty"),
    ({"notifications": [{"type": "slack", "channel": "C1"}]}, 400, "Slack is not set up"),
    ({"notifications": {}}, 400, "notifications"),
    ({"applications": [{"applicationShortId": "app_nothing"}]}, 404, "no application 'app_nothing'"),
    ({"applications": [{}]}, 400, "applicationShortId"),
    ({"applications": [1]}, 400, "JSON object"),
    ({"applications": "x"}, 400, "applications"),
    ({"applications": {"x": 1}}, 400, "no JSON object"),
    ({"applications": [{"applicationShortId": "APP"}, {"applicationShortId": "APP"}]}, 400, "named twice"),
    ({"applications": {"APP": {"environment": {}}}}, 400, "url or a shortId"),
    ({"applications": {"APP": {"environment": {"name": "x"}}}}, 400, "url or a shortId"),
    ({"applications": {"APP": {"environment": "x"}}}, 400, "JSON object"),
    ({"applications": {"APP": {"environment": {"url": "x"}}}}, 400, "http://"),
    ({"applications": {"APP": {"environment": {"url": "javascript://x"}}}}, 400, "http://"),
    ({"applications": {"APP": {"environment": {"url": "http://"}}}}, 400, "http://"),
    ({"applications": {"APP": {"environment": {"url": "http:///path"}}}}, 400, "http://"),
    ({"applications": {"APP": {"environment": {"url": "http://["}}}}, 400, "http://"),
    ({"applications": {"APP": {"environment": {"url": "http://x\0"}}}}, 400, "build.url"),
    ({"applications": {"APP": {"environment": {"url": "http://\ud800"}}}}, 400, "environment.url"),
    ({"applications": {"APP": {"environment": {"shortId": "env_nothing"}}}}, 404, "no environment"),
    ({"applications": {"APP": {"environment": {"applicationBuildShortId": "bld_x"}}}}, 404, "not supported"),
    ({"applications": {"APP": {"devicePresetShortId": "preset_x"}}}, 404, "not supported"),
    ({"parameters": []}, 400, "parameters"),
    ({"parameters": {"configs": []}}, 400, "configs"),
    ({"parameters": {"configsByEnvironment": {"x": 1}}}, 400, "configsByEnvironment"),
    ({"parameters": {"configs": {"x": "y" * 40_000}}}, 400, "QATECH_PARAMETERS"),
    ({"projectShortId": "proj_nothing"}, 403, "does not reach"),
]


@pytest.mark.parametrize("at", range(len(REFUSED)))
def test_what_is_refused(world: World, listed: TestClient, refused: Refused, at: int) -> None:
    body, status, words = REFUSED[at]
    content = json.dumps(body).replace("APP", _app(world)).encode()
    refused(listed.post("/v1/run", content=content), status, words)
    with world.store.read() as tx:
        assert tx.runs.get(2) is None
    assert world.signals.told == 0


def test_a_run_of_no_test(world: World, listed: TestClient, refused: Refused, plan_of: PlanOf) -> None:
    """Study A27: known before it starts, for a suite that was listed."""
    plan = plan_of(tags=["nothing has this"])
    refused(listed.post("/v1/run", json={"testPlanShortId": world.ids.short(plan.id)}), 400, "no tests to run")
    with world.store.write() as tx:
        tx.organization.save(Organization(monthly_runs=1))
    refused(listed.post("/v1/run", json={"testPlanShortId": world.ids.short(plan.id)}), 402)
    with world.store.read() as tx:
        assert tx.runs.get(2) is None


def test_a_suite_that_was_never_listed(world: World, shop: TestClient) -> None:
    run = shop.post("/v1/run").json()["run"]
    assert run["testCount"] == 0
    world.plan(world.run(1), [planned("a")])
    assert len(shop.get(f"/v1/run/{run['shortId']}?testCases=all").json()["runTestCases"]) == 1


def test_a_draft_is_not_started(world: World, listed: TestClient, refused: Refused) -> None:
    draft = world.cases.add_draft(ADMIN, "shop", name="x", goal="y")
    refused(listed.post("/v1/run", json={"testCaseIds": [draft.uuid]}), 400, "draft")


def test_used_up_and_suspended(world: World, listed: TestClient, refused: Refused) -> None:
    with world.store.write() as tx:
        tx.organization.save(Organization(monthly_runs=1))
    refused(listed.post("/v1/run"), 402, "used up")
    refused(listed.post("/v1/run", json={"testPlanShortId": "pln_x"}), 404)
    with world.store.write() as tx:
        tx.organization.save(Organization(suspended=True))
    refused(listed.post("/v1/run"), 403, "suspended")


def test_a_key_that_may_only_read(listed: TestClient, refused: Refused, token: Callable[..., str]) -> None:
    reading = {"Authorization": token(scopes=["runs:read", "results:read"])}
    refused(listed.post("/v1/run", content=b"{", headers=reading), 403, "runs:write")
    assert listed.get("/v1/run/runb", headers=reading).status_code == 200


def test_a_key_that_may_only_write(world: World, listed: TestClient, token: Callable[..., str]) -> None:
    writing = {"Authorization": token(scopes=["runs:write"])}
    assert listed.post("/v1/run", headers=writing).json()["run"]["testCount"] == 3
    assert listed.post("/v1/run/runb", headers=writing).json()["run"]["testCount"] == 3


def test_a_key_of_all_projects(world: World, listed: TestClient, refused: Refused, token: Callable[..., str]) -> None:
    """Study 2.1, checklist 12."""
    of_all = {"Authorization": token(project=None)}
    own = world.ids.short(1)
    refused(listed.post("/v1/run", headers=of_all), 400, "projectShortId")
    refused(listed.post("/v1/run", json={"projectShortId": "proj_nothing"}, headers=of_all), 404)
    for name in (f"proj_{own}", f"proj-shop_{own}", own):
        answer = listed.post("/v1/run", json={"projectShortId": name}, headers=of_all)
        assert answer.status_code == 200
        # the action polls without naming the project
        assert listed.get(f"/run/{answer.json()['run']['shortId']}", headers=of_all).status_code == 200


def test_every_request_makes_a_run(world: World, listed: TestClient) -> None:
    """Study A26."""
    made = {listed.post("/v1/run", json={}).json()["run"]["id"] for _ in range(3)}
    assert made == {world.run(id).uuid for id in (2, 3, 4)}
