"""Every way to be refused has the dialect's form: no ``detail``, no 409, no 422, no 429 (study A22, checklist 13)."""

from collections.abc import Callable, Iterator

import pytest
from starlette.testclient import TestClient

from resit.api.qatech.errors import STATUS
from resit.domain import errors
from resit.services.runs import Runs
from resit.testing.world import World

Refused = Callable[..., str]


def family(base: type[errors.ResitError]) -> Iterator[type[errors.ResitError]]:
    """A class and all that are made from it."""
    yield base
    for child in base.__subclasses__():
        yield from family(child)


ALL = [error for error in family(errors.ResitError) if error is not errors.ResitError]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_every_error_of_the_core(
    world: World, shop: TestClient, legacy: str, refused: Refused, error: type[errors.ResitError],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fail(*_: object, **__: object) -> None:
        raise error("the cause: what to do \ud800", retry_after=3)

    world.planned("a")
    monkeypatch.setattr(Runs, "rerun", fail)
    monkeypatch.setattr(Runs, "trigger", fail)
    status = STATUS[error]
    assert status in (400, 401, 402, 403, 404, 413, 503)
    assert refused(shop.post("/v1/run/runb"), status) == "the cause: what to do \ud800"
    refused(shop.post("/v1/run"), status)
    older = shop.post(f"{legacy}/runs")
    refused(older, 403 if error is errors.Unauthenticated else status)
    if status == 503:
        assert older.headers["retry-after"]


def test_the_table_has_no_other_rows() -> None:
    assert set(STATUS) == set(ALL)


def test_a_fault_of_ours_tells_nothing_of_itself(
    world: World, shop: TestClient, legacy: str, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret inside")

    world.planned("a")
    monkeypatch.setattr(Runs, "rerun", fail)
    monkeypatch.setattr(Runs, "trigger", fail)
    for answer in (shop.post("/v1/run/runb"), shop.post("/run/runb"), shop.post(f"{legacy}/runs")):
        refused(answer, 500)
        assert "secret inside" not in answer.text
    assert shop.post(f"{legacy}/runs").json()["statusText"] == "API Error"


@pytest.mark.parametrize(
    "path",
    ["/v1", "/v1/", "/v1/nothing", "/v1/run/x/y", "/v1/run/", "/run", "/run/", "/run/x/y", "/qatech", "/qatech/x",
     "/qatech/resit/v1/runs", "/v1/run-test-case", "/v1/run-test-case/x/y", "/v1/applications/x",
     "/v1/artifacts/x", "/api/projects/x/runs/y/z", "/api/projects/x/test-cases/y", "/v1/%00", "/v1/%F0%28"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_paths_that_are_not_there(anyone: TestClient, refused: Refused, method: str, path: str) -> None:
    refused(anyone.request(method, path, follow_redirects=False), 404, "there is nothing at")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/run", "POST"),
        ("DELETE", "/v1/run/x", "POST"),
        ("PUT", "/run/x", "POST"),
        ("POST", "/v1/run-test-case/x", "GET"),
        ("POST", "/v1/run-test-case/x/trace", "GET"),
        ("POST", "/v1/projects", "GET"),
        ("POST", "/v1/applications", "GET"),
        ("DELETE", "/v1/test-cases", "GET"),
        ("POST", "/v1/badge.svg", "GET"),
        ("POST", "/v1/outbound-ips", "GET"),
        ("GET", "/v1/mcp", "POST"),
        ("DELETE", "/v1/mcp", "POST"),
        ("GET", "/api/projects/x/runs", "POST"),
        ("POST", "/api/projects/x/runs/y", "GET"),
        ("GET", "/api/projects/x/test-cases", "POST"),
    ],
)
def test_methods_that_are_not_allowed(
    anyone: TestClient, refused: Refused, method: str, path: str, allowed: str
) -> None:
    answer = anyone.request(method, path)
    refused(answer, 405, f"does not take {method}")
    assert allowed in answer.headers["allow"]


@pytest.mark.parametrize(
    "path", ["/v1/run", "/v1/run/x", "/run/x", "/v1/test-cases", "/api/projects/x/runs", "/v1/mcp"]
)
def test_a_body_that_is_too_large(shop: TestClient, refused: Refused, path: str) -> None:
    refused(shop.post(path, content=b" " * (2 * 1024 * 1024 + 1)), 413, "larger than")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "nonsense", ""])
def test_the_content_type_does_not_matter(world: World, shop: TestClient, legacy: str, kind: str) -> None:
    """Study A4: bodies are JSON, whatever is said of them."""
    for path in ("/v1/run", f"{legacy}/runs"):
        assert shop.post(path, content=b'{"trigger": "API"}', headers={"Content-Type": kind}).status_code == 200
    assert world.run(2)


def test_a_body_without_a_content_type(shop: TestClient) -> None:
    request = shop.build_request("POST", "/v1/run", content=b"{}")
    request.headers.pop("content-type", None)
    assert shop.send(request).status_code == 200
