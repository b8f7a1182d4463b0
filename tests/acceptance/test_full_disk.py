"""A disk is full: what can't be stored is refused in words, runs end as they should, all goes on once there is room.

The disks are small ones in memory, which takes the right to mount; without it these tests are left out.
"""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from black_box import Resit, Suites, lines, until

from resit.integrations.keys import KeySigner, load_key

MIB = 1024 * 1024
Disk = Callable[[str, int], Path]

# Each test prints what becomes an attachment of 50 kB, and leaves its name; the fourth waits for a file.
SUITE = """
import os, pathlib, time, pytest
LOG = pathlib.Path(os.environ["LOG"])
@pytest.mark.parametrize("n", range(8))
def test_n(n):
    print("x" * 50_000)
    with LOG.open("a") as log: log.write(f"{n}\\n")
    end = time.monotonic() + 90
    while n == 3 and not LOG.with_name("go").exists() and time.monotonic() < end: time.sleep(0.02)
    assert n != 6
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Makes small disks."""
    made: list[Path] = []

    def make(name: str, size: int) -> Path:
        where = tmp_path / name
        where.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "resit-tests", str(where)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        made.append(where)
        return where

    try:
        yield make
    finally:
        for where in made:
            subprocess.run(["umount", "-l", str(where)], check=False)


@pytest.fixture
def resit(tmp_path: Path, disk: Disk) -> Iterator[Resit]:
    """Not yet started; it ends before its disks are gone."""
    server = Resit(tmp_path)
    try:
        yield server
    finally:
        server.close()


def fill(where: Path) -> Path:
    """A file that takes all the room."""
    filler = where / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(MIB)):
            pass
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(512)):
            pass
    return filler


def right_to_upload(resit: Resit, run: int) -> dict[str, str]:
    signer = KeySigner(load_key(resit.data / "secret.key"))
    return {"Authorization": "Bearer " + signer.sign(f"upload:{run}:default:a", time.time() + 600)}


def stored(resit: Resit, run: int) -> list[bool]:
    return [item["stored"] for item in resit.get(f"/runs/{run}/artifacts", limit=1000)["items"]]


def files(where: Path) -> list[Path]:
    return [path for path in where.rglob("*") if path.is_file() and path.name != "filler"]


AS_USUAL = ["passed"] * 6 + ["failed", "passed"]


def test_the_disk_of_the_artifacts(resit: Resit, disk: Disk, suite: Suites, log: Path) -> None:
    where = disk("artifacts", 8 * MIB)
    resit.start("--artifacts-url", str(where))
    log.with_name("go").touch()
    project = resit.project(suite(SUITE))
    before = resit.execute(project, variables={"LOG": str(log)})["id"]
    assert stored(resit, before) == [True] * 8
    filler = fill(where)
    known = files(where)

    answer = resit.http.put(f"/uploads/{uuid4()}", content=b"x" * MIB, headers=right_to_upload(resit, before))
    assert (answer.status_code, answer.json()["code"]) == (507, "no_room")
    assert "make room" in answer.json()["detail"]
    run = resit.trigger(project, variables={"LOG": str(log)})
    ended = resit.end(run, 120)
    assert (ended["status"], ended["verdict"]) == ("finished", "failed")
    assert list(resit.outcomes(run).values()) == AS_USUAL
    assert stored(resit, run) == [False] * 8
    assert files(where) == known, "nothing half written"
    # What is there is still served.
    id = resit.get(f"/runs/{before}/artifacts")["items"][0]["id"]
    assert len(resit.http.get(f"/artifacts/{id}").content) > 50_000

    filler.unlink()
    after = resit.execute(project, variables={"LOG": str(log)})
    assert stored(resit, after["id"]) == [True] * 8
    assert "Traceback" not in resit.log(), resit.log()


@pytest.mark.parametrize("broker_too", [pytest.param(False, marks=pytest.mark.thorough), True])
def test_the_disk_of_the_database(resit: Resit, disk: Disk, suite: Suites, log: Path, broker_too: bool) -> None:
    where = disk("data", 64 * MIB)
    elsewhere = resit.folder / "elsewhere"
    for name in ("artifacts", "worker", *(() if broker_too else ("nats",))):
        (elsewhere / name).mkdir(parents=True)
        (where / name).symlink_to(elsewhere / name)
    resit.start()
    project = resit.project(suite(SUITE))
    run = resit.trigger(project, variables={"LOG": str(log)})
    until(lambda: resit.run(run)["counts"]["passed"] == 3, "three results")
    filler = fill(where)

    refused = until(lambda: not_made(resit, project), "a request is refused")
    assert (refused.status_code, refused.json()["code"]) == (507, "no_room")
    assert "disk of the database is full" in refused.json()["detail"]
    log.with_name("go").touch()
    until(lambda: len(lines(log)) == 8, "the tests go on")
    # Reading goes on; nothing is taken that was not committed.
    assert resit.run(run)["status"] == "running"
    assert resit.http.get("/runs").status_code == 200

    filler.unlink()
    ended = resit.end(run, 120)
    assert (ended["status"], ended["verdict"]) == ("finished", "failed")
    assert list(resit.outcomes(run).values()) == AS_USUAL
    assert lines(log) == [str(n) for n in range(8)], "no test was executed twice"
    again = resit.execute(project, variables={"LOG": str(log)})
    assert again["counts"]["passed"] == 7
    done = resit.cli("db", "check", "--data", str(resit.data))
    assert done.code == 0, done.said


def not_made(resit: Resit, project: str) -> httpx.Response | None:
    """The refusal of a request that writes; None while there is still room for it."""
    answer = resit.http.post(f"/projects/{project}/environments", json={"slug": f"e{uuid4().hex[:8]}"}, timeout=60)
    return None if answer.status_code == 201 else answer


def test_a_data_folder_without_room_is_told_at_the_start(resit: Resit, disk: Disk) -> None:
    where = disk("data", 2 * MIB)
    fill(where)
    done = resit.cli("serve", "--data", str(where), "--port", "0")
    assert done.code != 0
    assert "Traceback" not in done.said, done.said
    assert "space" in done.said or "full" in done.said
