"""A backup of a server at work, put back elsewhere: everything is as it was, and the open run comes to its end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from black_box import Resit, Suites, lines, until

Own = Callable[..., Resit]

# Test 3 of the waiting suite waits for a file; each test leaves its name.
WAITING = """
import os, pathlib, time, pytest
LOG = pathlib.Path(os.environ["LOG"])
@pytest.mark.parametrize("n", range(6))
def test_n(n):
    print("said", n)
    with LOG.open("a") as log: log.write(f"{n}\\n")
    end = time.monotonic() + 60
    while n == 3 and not LOG.with_name("go").exists() and time.monotonic() < end: time.sleep(0.02)
"""
QUICK = """
import pytest
@pytest.mark.parametrize("n", range(40))
def test_n(n):
    print("x" * 10_000)
    assert n != 7
"""
SECRET = "correct-horse-battery"


def reads(resit: Resit, run: int) -> dict[str, Any]:
    """All that can be read of a run, but what names the server."""
    said = {
        "run": resit.run(run),
        "tests": resit.tests(run),
        "artifacts": resit.get(f"/runs/{run}/artifacts", limit=1000)["items"],
        "lineage": resit.get(f"/runs/{run}/lineage"),
        "logs": resit.logs(run),
    }
    files = {item["id"]: resit.http.get(f"/artifacts/{item['id']}") for item in said["artifacts"]}
    assert {answer.status_code for answer in files.values()} <= {200}
    text = repr((said, {id: answer.content for id, answer in files.items()}))
    return {"text": text.replace(resit.url, "URL"), "files": len(files)}


def test_there_and_back(own: Own, suite: Suites, log: Path, tmp_path: Path) -> None:
    resit = own(slots=4)
    quick, waiting = resit.project(suite(QUICK)), resit.project(suite(WAITING), stall_limit=0)
    resit.http.post(f"/projects/{waiting}/environments", json={"slug": "e", "secrets": {"KEY": SECRET}})
    done = [resit.execute(quick)["id"] for _ in range(2)]
    done.append(resit.end(resit.rerun(done[0], "failed"))["id"])
    before = {run: reads(resit, run) for run in done}
    assert before[done[0]]["files"] == 40
    open_run = resit.trigger(waiting, variables={"LOG": str(log)}, environment="e")
    until(lambda: resit.run(open_run)["counts"]["passed"] == 3, "three results of the open run")
    busy = [resit.trigger(quick) for _ in range(4)]

    to = tmp_path / "backup.tar.gz"
    said = resit.cli("backup", "--data", str(resit.data), "--output", str(to), "--with-keys")
    assert said.code == 0, said.said
    assert "who has the file can read all secrets" in said.said
    # What was going on goes on.
    for run in busy:
        assert resit.end(run)["counts"]["passed"] == 39
    resit.terminate()

    other = Resit(tmp_path / "other")
    other.folder.mkdir()
    try:
        said = resit.cli("restore", str(to), "--data", str(other.data))
        assert said.code == 0, said.said
        assert lines(log) == ["0", "1", "2", "3"]
        other.start()
        assert {run: reads(other, run) for run in done} == before
        log.with_name("go").touch()
        ended = other.end(open_run)
        assert ended["verdict"] == "passed"
        assert set(other.outcomes(open_run).values()) == {"passed"}
        # What was over before the backup is not done again.
        assert sorted(set(lines(log))) == ["0", "1", "2", "3", "4", "5"]
        assert [lines(log).count(n) for n in "012"] == [1, 1, 1]
        for run in busy:
            assert other.end(run)["counts"]["passed"] == 39
        new = other.execute(quick)
        assert new["id"] > max(*busy, open_run)
        assert new["counts"]["passed"] == 39
        assert SECRET not in to.read_bytes().decode("latin-1")
        assert "Traceback" not in other.log(), other.log()
    finally:
        other.close()


def test_what_commands_refuse(own: Own, tmp_path: Path) -> None:
    resit = own()
    to = tmp_path / "b"
    assert resit.cli("backup", "--output", str(to)).code == 0
    again = resit.cli("backup", "--output", str(to))
    assert (again.code, "is there already" in again.said) == (65, True)
    here = resit.cli("restore", str(to), "--data", str(resit.data))
    assert (here.code, "is not empty" in here.said) == (65, True)
    running = resit.cli("restore", str(to), "--data", str(resit.data), "--force")
    assert (running.code, "a server runs in" in running.said) == (65, True)
    none = resit.cli("backup", "--data", str(tmp_path))
    assert (none.code, "its server uses PostgreSQL" in none.said) == (66, True)
    assert resit.cli("restore", str(tmp_path / "nothing"), "--data", str(tmp_path / "new")).code == 66
    without = resit.cli("restore", str(to), "--data", str(tmp_path / "new"))
    assert (without.code, "put your copy of secret.key" in without.said) == (0, True)
