"""Artifacts in an object store: a server over a process that speaks S3, which is killed and comes back."""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from black_box import Resit, Suites, until

from resit.integrations.keys import KeySigner, load_key
from resit.testing.s3 import S3Server

# What a test prints is an attachment of its result. The last test waits for a file.
SUITE = """
import os, pathlib, time, pytest
@pytest.mark.parametrize("n", range(4))
def test_n(n):
    print("x" * 60_000 if n == 1 else f"said {n}")
    here = pathlib.Path(os.environ["HERE"])
    if n == 3:
        (here / "waits").touch()
        end = time.monotonic() + 60
        while not (here / "go").exists() and time.monotonic() < end: time.sleep(0.02)
"""


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with S3Server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def resit(tmp_path: Path) -> Iterator[Resit]:
    server = Resit(tmp_path)
    try:
        yield server
    finally:
        server.close()


def content(resit: Resit, run: int) -> dict[str, httpx.Response]:
    """The artifacts of a run, by the number of the test."""
    listed = resit.get(f"/runs/{run}/artifacts")["items"]
    return {item["test"][-2]: resit.http.get(f"/artifacts/{item['id']}") for item in listed}


def test_artifacts_go_to_the_store_and_come_from_it(resit: Resit, s3: S3Server, suite: Suites) -> None:
    resit.start("--artifacts-url", s3.url("some/where"))
    (resit.folder / "go").touch()
    run = resit.execute(resit.project(suite(SUITE)), variables={"HERE": str(resit.folder)})
    assert run["verdict"] == "passed"
    found = content(resit, run["id"])
    assert {n: (answer.status_code, len(answer.content)) for n, answer in found.items()} == {
        "0": (200, 7),
        "1": (200, 60_001),
        "2": (200, 7),
        "3": (200, 7),
    }
    assert all(answer.headers["content-disposition"].startswith("attachment") for answer in found.values())
    piece = resit.http.get(found["1"].url, headers={"Range": "bytes=59990-"})
    assert (piece.status_code, piece.content) == (206, b"x" * 10 + b"\n")
    assert sorted(key.rpartition("/")[0] for key in s3.stored()) == ["some/where"] + [f"some/where/{run['id']}"] * 4
    assert not list((resit.data / "artifacts").glob("*"))


def test_redirects_lead_to_the_store(resit: Resit, s3: S3Server, suite: Suites) -> None:
    resit.start("--artifacts-url", s3.url(), "--artifact-redirects")
    (resit.folder / "go").touch()
    run = resit.execute(resit.project(suite(SUITE)), variables={"HERE": str(resit.folder)})
    answer = content(resit, run["id"])["2"]
    assert answer.status_code == 307
    assert answer.headers["location"].startswith(f"{s3.endpoint}/resit-tests/{run['id']}/")
    there = httpx.get(answer.headers["location"], trust_env=False)
    assert (there.status_code, there.text) == (200, "said 2\n")
    assert there.headers["content-disposition"] == "attachment; filename*=UTF-8''stdout"


def test_a_store_that_dies_costs_no_artifact(resit: Resit, s3: S3Server, suite: Suites) -> None:
    """Uploads wait for it; meanwhile the API says what is away, and the run goes on."""
    resit.start("--artifacts-url", s3.url())
    project = resit.project(suite(SUITE))
    (resit.folder / "go").touch()
    before = resit.execute(project, variables={"HERE": str(resit.folder)})
    known = resit.get(f"/runs/{before['id']}/artifacts")["items"][0]["id"]
    (resit.folder / "go").unlink()
    (resit.folder / "waits").unlink()
    s3.kill()
    run = resit.trigger(project, variables={"HERE": str(resit.folder)})
    until((resit.folder / "waits").exists, "the last test begins")
    until(lambda: resit.run(run)["counts"]["passed"] == 3, "the results, without their artifacts")
    answer = resit.http.get(f"/artifacts/{known}", timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "2"
    s3.start()
    (resit.folder / "go").touch()
    assert resit.end(run)["verdict"] == "passed"
    assert {n: len(answer.content) for n, answer in content(resit, run).items()} == {
        "0": 7,
        "1": 60_001,
        "2": 7,
        "3": 7,
    }
    assert s3.uploads() == []
    assert "Traceback" not in resit.log()


@pytest.mark.thorough
def test_a_large_upload_that_is_cut_is_told_and_taken_again(resit: Resit, s3: S3Server, suite: Suites) -> None:
    """In parts, of which the store has some when it dies."""
    resit.start("--artifacts-url", s3.url())
    (resit.folder / "go").touch()
    run = resit.execute(resit.project(suite(SUITE)), variables={"HERE": str(resit.folder)})["id"]
    signer = KeySigner(load_key(resit.data / "secret.key"))
    right = {"Authorization": "Bearer " + signer.sign(f"upload:{run}:default:a", time.time() + 60)}
    where, piece = f"/uploads/{uuid4()}", bytes(range(256)) * 4096

    def upload(cut: bool) -> Iterator[bytes]:
        for number in range(20):
            if cut and number == 12:
                until(s3.uploads, "the first part is there")
                s3.kill()
            yield piece

    answer = resit.http.put(where, content=upload(cut=True), headers=right, timeout=90)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    s3.start()
    assert s3.stored() == []
    assert resit.http.put(where, content=upload(cut=False), headers=right).status_code == 204
    assert [key.rpartition("/")[2] for key in s3.stored()] == [where.rpartition("/")[2]]
    got = resit.http.get(f"/artifacts/{where.rpartition('/')[2]}")
    assert got.content == piece * 20


def test_a_server_that_the_store_refuses_says_so_and_ends(resit: Resit, s3: S3Server) -> None:
    s3.lock()
    done = resit.cli("serve", "--data", str(resit.data), "--port", "0", "--artifacts-url", s3.url())
    assert done.code != 0
    assert "s3://resit-tests refuses us (403" in done.said
    assert "check the credentials in the environment" in done.said
    assert "something" not in done.said
    assert "Traceback" not in done.said


def test_a_place_that_is_none_is_told(resit: Resit) -> None:
    done = resit.cli("serve", "--data", str(resit.data), "--port", "0", "--artifacts-url", "s3://me:secret@bucket")
    assert done.code != 0
    assert "environment variables" in done.said
    assert "secret" not in done.said.replace("secret-key", "")
