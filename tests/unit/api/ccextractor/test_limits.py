"""Rate limits: counted apart, told in every answer, shared by all processes (study 2.4)."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from resit.api.app import create_app
from resit.domain.access import Role
from resit.testing.factories import ADMIN, NOW
from resit.testing.world import World

HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


@pytest.fixture
def limits() -> dict[str, int]:
    return {"ccextractor_reads": 6, "ccextractor_writes": 2}


def told(answer: Any) -> tuple[int, ...]:
    return tuple(int(answer.headers[name]) for name in HEADERS)


def test_the_request_after_the_last_is_refused_with_all_four_headers(cc: Any, world: World) -> None:
    for left in (5, 4, 3, 2, 1, 0):
        answer = cc.ask("GET", "/runs")
        assert (answer.status_code, told(answer)) == (200, (6, left, int(NOW) + 60))
        world.clock.turn(1)
    refused = cc.ask("GET", "/runs")
    assert refused.status_code == 429
    assert told(refused) == (6, 0, int(NOW) + 60)
    assert refused.headers["Retry-After"] == "54"
    assert refused.json()["code"] == "rate_limited"
    assert refused.json()["details"] == {"retry_after": 54, "limit": 6, "window": "60s"}
    world.clock.turn(54)
    assert told(cc.ask("GET", "/runs")) == (6, 5, int(NOW) + 120)


def test_the_stated_limits(http: TestClient, world: World, bearing: Any, token: Any) -> None:
    http.app.state.services = world.services()  # type: ignore[attr-defined]
    one = bearing(token())
    assert [one.ask("GET", "/auth/me").status_code for _ in range(121)] == [200] * 120 + [429]
    assert [one.ask("POST", "/runs/9/retry").status_code for _ in range(21)] == [404] * 20 + [429]


def test_reads_do_not_count_against_writes_nor_one_token_against_another(
    cc: Any, bearing: Callable[[str], Any], token: Callable[..., str], green: int
) -> None:
    for _ in range(7):
        cc.ask("GET", "/runs")
    assert [cc.ask("POST", f"/runs/{green}/retry").status_code for _ in range(3)] == [202, 202, 429]
    other = bearing(token())
    assert told(other.ask("GET", "/runs"))[1] == 5
    assert told(other.ask("POST", f"/runs/{green}/retry"))[1] == 1


def test_a_bad_token_is_counted_by_its_address_and_then_refused(cc: Any, bearing: Callable[[str], Any]) -> None:
    nobody = [bearing(bearer) for bearer in ("", "Bearer", "Bearer wrong", "Basic x", "Bearer " + "x" * 500)]
    answers = [client.ask("GET", "/runs") for client in nobody]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["details"] == {}
    assert [told(answer)[1] for answer in answers] == [5, 4, 3, 2, 1]
    assert [client.ask("GET", "/runs").status_code for client in nobody[:2]] == [401, 429]
    assert told(cc.ask("GET", "/runs"))[1] == 5


def test_every_answer_of_a_known_path_has_the_headers(
    cc: Any, bearing: Any, token: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def each(method: str, path: str, status: int, **more: Any) -> None:
        answer = bearing(token()).ask(method, path, **more)
        assert answer.status_code == status, answer.text
        assert told(answer)[1] >= 0

    each("GET", "/runs/1", 404)
    each("GET", "/runs/x", 400)
    each("GET", "/runs?limit=0", 400)
    each("POST", "/runs", 415, content=b"x", headers={"Content-Type": "text/plain"})
    each("POST", "/runs", 413, content=b"x" * 3_000_000)
    each("PUT", "/runs", 405)
    each("DELETE", "/auth/tokens/current", 204)
    each("GET", "/auth/tokens", 403)

    def breaks(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(type(world.reads), "run", breaks)
    each("GET", "/runs/1", 500)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_needs_no_token_and_counts_for_nobody(bearing: Any, method: str) -> None:
    for path in ("/nothing", "", "/", "/runs/", "/runs/1/nothing", "/users"):
        answer = bearing("").ask(method, path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert not any(name in answer.headers for name in HEADERS)
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_health_is_public_and_generous(http: TestClient) -> None:
    answers = [http.get("/api/v1/system/health") for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    assert told(answers[-1])[:2] == (600, 580)


def test_tokens_are_five_in_a_quarter_of_an_hour(world: World, http: TestClient, bearing: Any) -> None:
    world.people.add(ADMIN, email="a@b.org", name="A", role=Role.TESTER.value, password="password 1")
    body = {"email": "a@b.org", "password": "password 1", "token_name": "t"}
    codes = [bearing("").ask("POST", "/auth/tokens", json={**body, "token_name": f"t{n}"}) for n in range(6)]
    assert [answer.status_code for answer in codes] == [201] * 5 + [429]
    assert codes[-1].json()["details"] == {"retry_after": 900, "limit": 5, "window": "900s"}
    assert bearing("").ask("GET", "/runs").status_code == 401
    world.clock.turn(900)
    assert bearing("").ask("POST", "/auth/tokens", json=body).status_code == 201


def test_no_limit_is_no_header(http: TestClient, world: World, bearing: Any, token: Any) -> None:
    http.app.state.services = world.services(ccextractor_reads=0, ccextractor_writes=0)  # type: ignore[attr-defined]
    one = bearing(token())
    for _ in range(130):
        answer = one.ask("GET", "/auth/me")
    assert answer.status_code == 200
    assert not any(name in answer.headers for name in HEADERS)


def test_two_servers_over_one_file_count_together(cc: Any, world: World, limits: dict[str, int]) -> None:
    other_world = World(world.folder, world.engine)
    with TestClient(create_app(other_world.services(**limits)), base_url="http://resit.test") as other:
        seen = []
        for _ in range(3):
            seen.append(told(cc.ask("GET", "/runs"))[1])
            answer = other.get("/api/v1/runs", headers={"Authorization": cc.bearer})
            seen.append(told(answer)[1])
    assert seen == [5, 4, 3, 2, 1, 0]
    other_world.rates.close()


@pytest.mark.parametrize(("url", "there"), [("http://resit.test", False), ("https://resit.test", True)])
def test_security_headers(http: TestClient, cc: Any, url: str, there: bool) -> None:
    answer = http.get(f"{url}/api/v1/runs", headers={"Authorization": cc.bearer})
    assert answer.headers["content-security-policy"] == "default-src 'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert ("strict-transport-security" in answer.headers) is there
