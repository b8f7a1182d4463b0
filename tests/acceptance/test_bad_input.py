"""Bad input: a clear error, an exit code of its own, and nothing half done."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from black_box import Resit, Suites

GOOD = "def test_a(): pass\n"
REFUSED, NOT_FOUND, NOT_AUTHORISED, UNAVAILABLE, USAGE = 65, 66, 77, 69, 64


def inventory(resit: Resit) -> tuple[int, int]:
    """How many projects and runs there are."""
    runs = resit.get("/runs", limit=1)["items"]
    return len(resit.get("/projects", limit=1000)["items"]), runs[0]["id"] if runs else 0


@pytest.fixture
def nothing_happens(resit: Resit) -> Any:
    before = inventory(resit)
    yield
    assert inventory(resit) == before


@pytest.mark.usefixtures("nothing_happens")
class TestCommands:
    def test_unknown_things(self, resit: Resit) -> None:
        for args in (
            ("run", "no-such"),
            ("show", "999999"),
            ("rerun", "999999"),
            ("watch", "nonsense"),
            ("project", "show", "no-such"),
            ("logs", "999999"),
            ("cancel", "../../tokens"),
        ):
            done = resit.cli(*args)
            assert (done.code, done.out) == (NOT_FOUND, ""), (args, done)
            assert len(done.err.strip().splitlines()) <= 2
            assert args[-1] in done.err or ".." in args[-1]

    def test_sources_that_are_none(self, resit: Resit, tmp_path: Path) -> None:
        for source in ("ftp://example.org/x", "/nowhere/at-all", "--upload-pack=x", "ext::sh -c id", "http://", "git@"):
            done = resit.cli("project", "add", "bad-source", f"--source={source}", "--executor", "pytest")
            assert done.code in (REFUSED, USAGE), (source, done)
            assert done.err.strip()
        file = tmp_path / "file"
        file.write_text("x")
        assert resit.cli("project", "add", "bad-source", "--source", str(file), "--executor", "pytest").code == REFUSED

    def test_words_that_are_none(self, resit: Resit, tmp_path: Path) -> None:
        add = ("project", "add", "ok", "--source", str(tmp_path))
        assert resit.cli(*add, "--executor", "cobol").code == USAGE
        assert (
            resit.cli("project", "add", "Not A Slug", "--source", str(tmp_path), "--executor", "pytest").code == REFUSED
        )
        assert resit.cli(*add, "--executor", "pytest", "--workdir", "../..").code == REFUSED
        assert resit.cli("run", "x", "--shards", "0").code == USAGE
        assert resit.cli("run", "x", "--var", "no-equals-sign").code == USAGE
        assert resit.cli("frobnicate").code == USAGE

    def test_a_wrong_token(self, resit: Resit) -> None:
        done = resit.cli("runs", env={"RESIT_DATA": "", "RESIT_URL": resit.url, "RESIT_TOKEN": "wrong"})
        assert done.code == NOT_AUTHORISED
        assert "token" in done.said.lower()

    def test_no_server(self, resit: Resit, tmp_path: Path) -> None:
        assert resit.cli("runs", env={"RESIT_DATA": str(tmp_path)}).code == UNAVAILABLE
        done = resit.cli("runs", env={"RESIT_DATA": "", "RESIT_URL": "http://127.0.0.1:9", "RESIT_TOKEN": "x"})
        assert done.code == UNAVAILABLE
        assert "127.0.0.1:9" in done.err


def test_a_slug_that_is_taken(resit: Resit, suite: Suites) -> None:
    slug = resit.project(suite(GOOD))
    before = resit.get(f"/projects/{slug}")
    done = resit.cli("project", "add", slug, "--source", str(suite(GOOD)), "--executor", "pytest")
    assert done.code == REFUSED
    assert slug in done.err
    assert resit.get(f"/projects/{slug}") == before
    assert resit.cli("env", "add", slug, "e", "--var", "A=1").code == 0
    assert resit.cli("env", "add", slug, "e", "--var", "A=2").code == REFUSED
    assert resit.get(f"/projects/{slug}")["environments"][-1]["variables"] == {"A": "1"}
    assert resit.cli("run", slug, "--env", "no-such").code == REFUSED


@pytest.mark.usefixtures("nothing_happens")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'"x"', 400),
        (b"\xff\xfe", 400),
        (b'{"slug": 7}', 400),
        (b'{"slug": "x", "source": "/", "executor": "pytest", "surprise": 1}', 400),
        (b'{"slug": "x", "source": "/", "executor": "cobol"}', 400),
        (b'{"slug": "x\\u0000", "source": "/", "executor": "pytest"}', 400),
        (b"[" * 100_000, 400),
        (b'{"slug": "' + b"x" * 10_000_000 + b'"}', 413),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bodies_that_are_none(resit: Resit, body: bytes, status: int) -> None:
    answer = resit.http.post("/projects", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["detail"]
    assert problem["code"]
    assert "Traceback" not in answer.text


@pytest.mark.usefixtures("nothing_happens")
def test_a_large_body_that_does_not_say_its_length(resit: Resit) -> None:
    def pieces() -> Any:
        yield b'{"slug": "'
        for _ in range(160):
            yield b"x" * 65536

    try:
        answer = resit.http.post("/projects", content=pieces(), headers={"Content-Type": "application/json"})
    except httpx.TransportError:  # it may hang up before we have said everything
        return
    assert answer.status_code == 413


def test_who_may_do_what(resit: Resit, suite: Suites) -> None:
    mine, other = resit.project(suite(GOOD)), resit.project(suite(GOOD))
    foreign = resit.trigger(other)
    made = resit.cli("token", "create", "--project", mine, "--scope", "runs:read")
    secret = made.out.strip()
    assert (made.code, len(secret.split())) == (0, 1)
    url = f"{resit.url}/resit/v1"
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {resit.token}"}):
        for path in ("/runs", f"/runs/{foreign}", "/projects", "/tokens"):
            answer = httpx.get(url + path, headers=headers)
            assert answer.status_code == 401
            assert answer.json()["code"] == "unauthenticated"
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {secret}"}) as client:
        assert client.get(f"/projects/{mine}").status_code == 200
        assert client.get(f"/projects/{other}").status_code == 404
        assert client.get(f"/runs/{foreign}").status_code == 404
        assert client.get(f"/runs/{foreign}/events").status_code == 404
        assert client.post(f"/runs/{foreign}/cancel").status_code in (403, 404)
        assert client.post(f"/projects/{mine}/runs").status_code == 403
        assert {p["slug"] for p in client.get("/projects").json()["items"]} == {mine}
    assert resit.end(foreign)["verdict"] == "passed"
    assert secret not in json.dumps(resit.get("/tokens"))
