"""Test cases, projects, applications, environments and addresses (study 1.6, 1.7, 1.9, 1.11)."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from resit.api.qatech.catalog import addresses
from resit.testing.factories import ADMIN, planned
from resit.testing.world import World

Refused = Callable[..., str]


@pytest.fixture
def listed(world: World, shop: TestClient) -> TestClient:
    """A client of a suite whose first listing had one test more than its second."""
    first = [planned("t.py::a", tags=("@smoke", "slow")), planned("t.py::b", tags=("smoke",)), planned("t.py::c")]
    world.plan(world.trigger(), first)
    world.plan(world.trigger(), first[:2])
    world.cases.add_draft(ADMIN, "shop", name="Log in", goal="One can log in")
    return shop


def names(client: TestClient, **query: Any) -> list[str]:
    """The names of the test cases that a query finds."""
    answer = client.get("/v1/test-cases", params=query)
    assert answer.status_code == 200, answer.text
    return [case["name"] for case in answer.json()["testCases"]]


def test_the_list_of_test_cases(world: World, listed: TestClient, case_of: Callable[[str], str]) -> None:
    document = listed.get("/v1/test-cases").json()
    assert list(document) == ["testCases", "total", "limit", "offset"]
    assert (document["total"], document["limit"], document["offset"]) == (4, 20, 0)
    assert document["testCases"][0] == {
        "id": case_of("t.py::a"),
        "name": "a",
        "isEnabled": True,
        "labels": ["@smoke", "slow"],
        "classification": "POSITIVE",
        "applicationShortId": f"app_{world.ids.short(1)}",
        "applicationName": "shop",
        "goal": None,
        "createdAt": "2023-11-14T22:13:20.000Z",
    }
    draft = document["testCases"][3]
    assert (draft["name"], draft["isEnabled"], draft["goal"]) == ("Log in", False, "One can log in")


def test_what_narrows_the_list(world: World, listed: TestClient) -> None:
    assert names(listed) == ["a", "b", "c", "Log in"]
    assert names(listed, isEnabled="true") == ["a", "b"]
    assert names(listed, isEnabled="false") == ["c", "Log in"]
    assert names(listed, labels="smoke") == ["a", "b"]
    assert names(listed, labels="slow, other") == ["a"]
    assert names(listed, labels=",,") == ["a", "b", "c", "Log in"]
    assert names(listed, limit=2, offset=1) == ["b", "c"]
    assert names(listed, offset=10**15) == []
    own = world.ids.short(1)
    assert len(names(listed, applicationShortId=f"app_{own}", projectShortId=f"proj_{own}")) == 4


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"isEnabled": "perhaps"}, 400),
        ({"limit": "0"}, 400),
        ({"offset": "-1"}, 400),
        ({"offset": str(10**30)}, 400),
        ({"labels": ",".join(["x"] * 101)}, 400),
        ({"labels": "x" * 20_001}, 400),
        ({"applicationShortId": "app_nothing"}, 404),
        ({"projectShortId": "proj_nothing"}, 403),
    ],
)
def test_lists_that_make_no_sense(listed: TestClient, refused: Refused, query: dict[str, str], status: int) -> None:
    refused(listed.get("/v1/test-cases", params=query), status)


def test_a_test_case_is_written_down(world: World, shop: TestClient) -> None:
    app = f"app_{world.ids.short(1)}"
    body = {"name": "Log in", "goal": "One can log in", "applicationShortId": app, "expectedResult": "A greeting"}
    answer = shop.post("/v1/test-cases", json=body)
    assert answer.status_code == 200
    case = shop.get("/v1/test-cases").json()["testCases"][0]
    url = f"http://resit.test/p/shop/test-cases/{case['id']}"
    assert answer.json() == {"success": True, "testCase": {"id": case["id"], "name": "Log in", "url": url}}
    assert case["goal"] == "One can log in\n\nExpected result: A greeting"
    assert case["isEnabled"] is False


LIES = "00000000-0000-4000-8000-000000000000"
WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"name": ""}, 400, "name"),
    ({"name": " "}, 400, "name"),
    ({"name": "x" * 81}, 400, "name"),
    ({"name": "a\0"}, 400, "name"),
    ({"name": None}, 400, "name"),
    ({"goal": ""}, 400, "goal"),
    ({"goal": 1}, 400, "goal"),
    ({"goal": "x" * 20_001}, 400, "goal"),
    ({"applicationShortId": "app_nothing"}, 404, "no application"),
    ({"applicationShortId": None}, 400, "applicationShortId"),
    ({"configShortIds": ["cfg_x"]}, 404, "configurations"),
    ({"scenarioShortId": "scenario_x"}, 404, "scenarios"),
    ({"resumeFromDependencyProjectTestCaseId": LIES}, 400, "dependencies"),
    ({"waitForDependenciesProjectTestCaseIds": [LIES]}, 400, "dependencies"),
    ({"waitForDependenciesProjectTestCaseIds": ["x"]}, 400, "no UUID"),
    ({"projectShortId": "proj_nothing"}, 403, "does not reach"),
]


@pytest.mark.parametrize("at", range(len(WRONG)))
def test_test_cases_that_make_no_sense(world: World, shop: TestClient, refused: Refused, at: int) -> None:
    more, status, words = WRONG[at]
    body = {"name": "x", "goal": "y", "applicationShortId": f"app_{world.ids.short(1)}", **more}
    refused(shop.post("/v1/test-cases", json=body), status, words)
    assert names(shop) == []


def test_who_may(world: World, listed: TestClient, refused: Refused, token: Callable[..., str]) -> None:
    body = {"name": "x", "goal": "y", "applicationShortId": world.ids.short(1)}
    reading = {"Authorization": token(scopes=["runs:read", "results:read"])}
    refused(listed.post("/v1/test-cases", json=body, headers=reading), 403, "runs:write")
    assert len(listed.get("/v1/test-cases", headers=reading).json()["testCases"]) == 4
    runs = {"Authorization": token(scopes=["runs:write"])}
    for path in ("/v1/test-cases", "/v1/projects", "/v1/applications", "/v1/applications/x/environments"):
        refused(listed.get(path, headers=runs), 403)
        refused(listed.get(path, headers={"Authorization": "Bearer x"}), 401)


def test_projects_and_applications(
    world: World, listed: TestClient, refused: Refused, token: Callable[..., str], project_uuid: str
) -> None:
    other = world.project("other", name="The other")
    short, foreign = world.ids.short(1), world.ids.short(other.id)
    own = {"shortId": f"proj_{short}", "name": "shop", "id": project_uuid, "slug": "shop"}
    assert listed.get("/v1/projects").json() == {"projects": [own]}
    application = {"shortId": f"app_{short}", "name": "shop", "kind": "web"}
    assert listed.get("/v1/applications").json() == {"applications": [application]}
    refused(listed.get("/v1/applications", params={"projectShortId": foreign}), 403)
    of_all = {"Authorization": token(project=None)}
    found = listed.get("/v1/projects", headers=of_all).json()["projects"]
    assert [project["name"] for project in found] == ["shop", "The other"]
    refused(listed.get("/v1/applications", headers=of_all), 400, "projectShortId")
    refused(listed.get("/v1/test-cases", headers=of_all), 400, "projectShortId")
    answer = listed.get("/v1/applications", params={"projectShortId": foreign}, headers=of_all)
    assert answer.json()["applications"][0]["shortId"] == f"app_{foreign}"


def test_environments(world: World, listed: TestClient, refused: Refused, token: Callable[..., str]) -> None:
    world.environment(slug="prod", name="The real one", variables={"BASE_URL": "https://shop.example"})
    world.environment(slug="off", disabled=True)
    other = world.project("other")
    short, foreign = world.ids.short(1), world.ids.short(other.id)
    with world.store.read() as tx:
        ids = {e.slug: f"env_{world.ids.short(e.id)}" for e in tx.projects.environments(1)}
    document = listed.get(f"/v1/applications/app_{short}/environments").json()
    assert document == {
        "environments": [
            {"shortId": ids["default"], "name": "default", "url": None, "isProduction": False},
            {"shortId": ids["prod"], "name": "The real one", "url": "https://shop.example", "isProduction": True},
        ]
    }
    for name in (f"app_{foreign}", "app_nothing", "x" * 5000):
        refused(listed.get(f"/v1/applications/{name}/environments"), 404)
    of_all = {"Authorization": token(project=None)}
    where = f"/v1/applications/app_{foreign}/environments"
    assert len(listed.get(where, headers=of_all).json()["environments"]) == 1
    refused(listed.get(where, params={"projectShortId": short}, headers=of_all), 404)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("", []),
        ("http://127.0.0.1:4000", []),
        ("https://192.0.2.7/resit", ["192.0.2.7"]),
        ("http://[2001:db8::1]", ["2001:db8::1"]),
    ],
)
def test_outbound_addresses(world: World, anyone: TestClient, built: FastAPI, url: str, found: list[str]) -> None:
    built.state.services = world.services(url=url)
    assert anyone.get("/v1/outbound-ips").json() == {"ipAddresses": found}


def test_addresses_of_names_that_nobody_knows() -> None:
    for host in ("x" * 300, "a..b", "nothing.invalid"):
        assert addresses(host) == []
