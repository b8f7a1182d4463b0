"""Where reports may run their scripts, and what else is there (nothing)."""

import pytest
from starlette.testclient import TestClient

from resit.api.app import create_app
from resit.api.origins import Origins
from resit.testing.world import World


@pytest.mark.parametrize(
    ("main", "content", "found"),
    [
        ("http://127.0.0.1:4000", "", "http://localhost:4000"),
        ("http://localhost:4000/", "", "http://127.0.0.1:4000"),
        ("https://localhost", "", "https://127.0.0.1"),
        ("http://[::1]:4000", "", "http://localhost:4000"),
        ("http://ci.lan:4000", "", ""),
        ("https://ci.example.org/resit", "https://content.example.org/", "https://content.example.org"),
        ("http://127.0.0.1:4000", "https://content.example.org", "https://content.example.org"),
    ],
)
def test_the_content_origin(main: str, content: str, found: str) -> None:
    assert Origins.of(main, content).content == found


@pytest.mark.parametrize(
    ("host", "content"),
    [
        ("content.example.org", True),
        ("CONTENT.example.org.", True),
        ("content.example.org:443", True),
        ("content.example.org:80", False),
        ("ci.example.org", False),
        ("evil.content.example.org", False),
        ("content.example.org@ci.example.org", False),
        ("", False),
        ("content.example.org:x", False),
        ("[", False),
    ],
)
def test_by_the_host_that_was_asked(host: str, content: bool) -> None:
    assert Origins.of("https://ci.example.org", "https://content.example.org").serves_content(host) is content


def test_who_came_by_another_name_is_not_sent_to_this_machine() -> None:
    origins = Origins.of("http://127.0.0.1:4000", "")
    assert origins.leads_on("127.0.0.1:4000")
    assert not origins.leads_on("192.168.1.5:4000")
    assert not origins.leads_on("127.0.0.1:4001")


def client(world: World, url: str, base: str, **settings: str) -> TestClient:
    from dataclasses import replace

    services = replace(world.services(**settings), url=url)
    return TestClient(create_app(services), base_url=base, follow_redirects=False)


def test_a_content_origin_serves_nothing_else(world: World) -> None:
    asked = client(world, "https://ci.test", "https://content.test", content_url="https://content.test")
    for path in ("/", "/resit/v1/docs", "/resit/v1/projects", "/healthz", "/api/runs", "/reports", "/openapi.json"):
        answer = asked.get(path)
        assert (answer.status_code, answer.text) == (404, "Here are reports of test runs, and nothing else.\n"), path
    assert asked.post("/reports/x/index.html").status_code == 404
    answer = asked.get("/reports/x/index.html")
    assert (answer.status_code, "No report here" in answer.text) == (404, True)
    assert "set-cookie" not in answer.headers


def test_the_other_name_of_this_machine_is_for_programs_as_before(world: World) -> None:
    asked = client(world, "http://127.0.0.1:4000", "http://localhost:4000")
    assert asked.get("/healthz").status_code == 200
    assert asked.get("/resit/v1/projects").status_code == 401
    to = asked.get("/resit/v1/docs?x=1", headers={"Sec-Fetch-Mode": "navigate"})
    assert (to.status_code, to.headers["location"]) == (307, "http://127.0.0.1:4000/resit/v1/docs?x=1")
    for mode in ("cors", "no-cors", "same-origin", "websocket"):
        assert asked.get("/resit/v1/projects", headers={"Sec-Fetch-Mode": mode}).status_code == 404
    assert asked.post("/resit/v1/projects", headers={"Sec-Fetch-Mode": "navigate"}).status_code == 404
