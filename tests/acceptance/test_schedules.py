"""Who goes first, who goes later, who goes by the clock, and who stops early: with a real server and real tests."""

import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from black_box import Resit, Suites, alive, lines, pids, until

FINE = "def test_it(): pass"
# A test that says that it is there, and goes on until somebody makes the file.
HELD = """
import os, pathlib, time
def test_it():
    folder = pathlib.Path(os.environ["FOLDER"])
    with open(folder / "order", "a") as file: file.write(os.environ["NAME"] + "\\n")
    while not (folder / "go").exists(): time.sleep(0.02)
"""
# Two files, so that there are two shards; the long test of each is in its process when the other's failure comes.
ONE = """
import os, time
def test_fails():
    assert False
def test_long():
    with open(os.environ["PIDS"], "a") as file: file.write(f"{os.getpid()}\\n")
    time.sleep(600)
def test_never(): pass
"""
OTHER = """
import os, time
def test_waits_then_fails():
    while not os.path.exists(os.environ["PIDS"]): time.sleep(0.02)
    assert False
def test_long_too(): time.sleep(600)
def test_never_either(): pass
"""


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


# ------------------------------------------------------------ later


def test_a_delayed_run_starts_at_its_time(resit: Resit, suite: Suites) -> None:
    project = resit.project(suite(FINE))
    done = resit.cli("run", project, "--in", "3s", "--json")
    assert done.code == 0, done.said
    run = done.json
    assert run["status"] == "requested"
    assert run["waiting_for"].startswith("starts at ")
    start = moment(run["start_at"])

    def begun() -> datetime | None:
        return datetime.now(UTC) if resit.run(run["id"])["status"] != "requested" else None

    admitted = until(begun, "its time", 10)
    assert timedelta(0) <= admitted - start < timedelta(seconds=1.5), "to the second"
    ended = resit.end(run["id"])
    assert ended["verdict"] == "passed"
    assert moment(ended["started_at"]) >= start


def test_a_delayed_run_survives_the_server(own: Callable[..., Resit], suite: Suites) -> None:
    server = own()
    start = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
    run = server.trigger(server.project(suite(FINE)), start_at=start)
    server.kill()
    server.start()
    assert server.end(run)["verdict"] == "passed"
    assert moment(server.run(run)["started_at"]) >= moment(start)


def test_a_delayed_run_can_be_cancelled_or_hurried(resit: Resit, suite: Suites) -> None:
    project = resit.project(suite(FINE))
    never, soon = (resit.cli("run", project, "--in", "2h", "--json").json["id"] for _ in range(2))
    assert resit.cli("cancel", str(never)).code == 0
    assert resit.run(never)["status"] == "cancelled"
    assert resit.cli("change", str(soon), "--now").code == 0
    assert resit.end(soon)["verdict"] == "passed"
    naive = resit.cli("run", project, "--at", "2030-01-01T09:00")
    assert naive.code == 64
    assert "does not say where its clock is" in naive.said


# ------------------------------------------------------------ who goes first


def test_a_higher_priority_goes_first(own: Callable[..., Resit], suite: Suites, tmp_path: Path) -> None:
    """Within a project's limit, and at a worker that has one slot for all."""
    server = own(slots=1)
    where = suite(HELD)
    for limit in (1, 0):
        folder = tmp_path / f"limit{limit}"
        folder.mkdir()
        project = server.project(where, max_runs=limit)

        def run(name: str, *more: str, project: str = project, folder: Path = folder) -> int:
            words = ("--var", f"FOLDER={folder}", f"NAME={name}", "--json", *more)
            done = server.cli("run", project, *words)
            assert done.code == 0, done.said
            return done.json["id"]

        busy = run("busy")
        until(lambda folder=folder: lines(folder / "order"), "the slot is taken", 30)
        low, plain, high = run("low", "--priority=-5"), run("plain"), run("high", "--priority=5")
        if limit:
            words = "waits: the project's limit of 1 run is reached"
            assert server.run(high)["waiting_for"] == words
            assert server.run(low)["waiting_for"] == f"{words}; 2 go before it"
        else:
            free = "waits for a free slot of pool 'default'"
            assert [server.run(id)["waiting_for"] for id in (low, plain, high)] == [free] * 3
        (folder / "go").touch()
        assert {server.end(id)["verdict"] for id in (busy, low, plain, high)} == {"passed"}
        assert lines(folder / "order") == ["busy", "high", "plain", "low"]


def test_who_waits_and_who_was_superseded_say_so(resit: Resit, suite: Suites, tmp_path: Path) -> None:
    project = resit.project(suite(HELD))
    words = ("run", project, "--group", "deploy", "--var", f"FOLDER={tmp_path}", "NAME=x", "--json")
    first, second = (resit.cli(*words).json["id"] for _ in range(2))
    assert f"waits for run {first} (group 'deploy')" in resit.cli("show", str(second)).said
    third = resit.cli(*words, "--on-conflict", "cancel").json["id"]
    for gone in (first, second):
        found = resit.run(gone)
        assert (found["status"], found["superseded_by"]) == ("cancelled", third)
        assert found["cancel_reason"] == f"superseded by run {third} (group 'deploy')"
        assert found["cancel_reason"] in resit.cli("show", str(gone)).said
    (tmp_path / "go").touch()
    assert resit.end(third)["verdict"] == "passed"


# ------------------------------------------------------------ by the clock


def test_a_schedule_is_made_shown_run_and_paused(resit: Resit, suite: Suites) -> None:
    project = resit.project(suite("import os\ndef test_it(): assert os.environ['SIZE'] == '7'"))
    words = ("--cron", "30 2 * * *", "--zone", "Europe/Berlin", "--variable", "SIZE=7", "--priority", "3")
    made = resit.cli("schedule", "create", "--project", project, "--name", "nightly", *words)
    assert made.code == 0, made.said
    shown = resit.cli("schedule", "show", f"{project}/nightly", "--json").json
    times = [(moment(time["local"]), moment(time["utc"])) for time in shown["upcoming"]]
    assert len(times) == 5
    assert all(local == utc for local, utc in times)
    assert {(local.hour, local.minute) for local, _ in times} <= {(2, 30), (3, 0)}
    assert all(utc > datetime.now(UTC) for _, utc in times)

    begun = resit.cli("schedule", "run", f"{project}/nightly", "--wait")
    assert begun.code == 0, begun.said
    (listed,) = resit.cli("schedule", "list", project, "--json").json["items"]
    assert (listed["last_run"]["verdict"], listed["alert"]) == ("passed", "")
    run = resit.run(listed["last_run"]["id"])
    assert (run["via"], run["schedule_id"], run["priority"]) == ("manual", listed["id"], 3)
    assert resit.cli("schedule", "list", project, "--check").code == 0

    assert resit.cli("schedule", "pause", f"{project}/nightly").code == 0
    assert resit.get(f"/schedules/{listed['id']}")["next"] is None
    assert resit.cli("schedule", "remove", f"{project}/nightly").code == 0
    assert resit.get("/schedules", project=project)["items"] == []


def test_a_server_that_was_down_makes_up_for_the_last_time_and_says_what_it_missed(
    own: Callable[..., Resit], suite: Suites
) -> None:
    """The clock can't be turned here, so the schedules' times are: they were due while nobody was there."""
    server = own()
    project = server.project(suite(FINE))
    server.post(f"/projects/{project}/schedules", {"name": "often", "cron": "* * * * *"})
    server.post(f"/projects/{project}/environments", {"slug": "e"})
    server.post(f"/projects/{project}/schedules", {"name": "broken", "cron": "0 * * * *", "run": {"environment": "e"}})
    server.http.patch(f"/projects/{project}/environments/e", json={"disabled": True})
    server.terminate()
    with sqlite3.connect(server.data / "resit.db") as database:
        minute = time.time() // 60 * 60
        database.execute("UPDATE schedules SET next_at = ? WHERE name = 'often'", (minute - 600,))
        database.execute("UPDATE schedules SET next_at = ? WHERE name = 'broken'", (minute - 60,))
    database.close()
    server.start()

    def fired() -> dict[str, dict[str, object]] | None:
        found = {one["name"]: one for one in server.get("/schedules")["items"]}
        return found if found["often"]["last_run"] and found["broken"]["alert"] else None

    found = until(fired, "the schedules", 15)
    assert found["often"]["missed"] == 10
    run = server.end(found["often"]["last_run"]["id"])  # type: ignore[index]
    assert (run["verdict"], run["via"], run["actor"]) == ("passed", "schedule", "schedule often")
    assert len([one for one in server.get("/runs")["items"] if one["via"] == "schedule"]) <= 2, "once, and perhaps now"
    assert "disabled" in str(found["broken"]["alert"])
    checked = server.cli("schedule", "list", "--check")
    assert checked.code == 1
    assert f"! {project}/broken" in checked.said
    assert "did not fire" in server.log()


# ------------------------------------------------------------ early


def test_a_run_stops_on_all_shards_after_so_many_failures(resit: Resit, suite: Suites, tmp_path: Path) -> None:
    project = resit.project(suite({"test_one.py": ONE, "test_other.py": OTHER}))
    noted = tmp_path / "pids"
    began = time.monotonic()
    done = resit.cli(
        "run", project, "--shards", "2", "--max-failures", "2", "--var", f"PIDS={noted}", "--wait", "--json"
    )
    assert done.code == 1, done.said
    assert time.monotonic() - began < 60
    run = done.json
    words = "stopped after 2 failures (--max-failures 2)"
    assert (run["status"], run["verdict"], run["cancel_reason"], run["problems"]) == ("finished", "failed", words, [])
    assert resit.outcomes(run["id"]) == {
        "test_fails": "failed", "test_long": "cancelled", "test_never": "cancelled",
        "test_waits_then_fails": "failed", "test_long_too": "cancelled", "test_never_either": "cancelled",
    }  # fmt: skip
    rows = resit.tests(run["id"]).values()
    assert {row["reason"] for row in rows if row["outcome"] == "cancelled"} == {words}
    until(lambda: not any(alive(pid) for pid in pids(noted)), "the end of the test processes", 5)
    said = resit.cli("show", str(run["id"])).said
    assert f"{words}: 4 tests were cancelled" in said
    assert f"resit rerun {run['id']} --failed --cancelled" in said

    # What failed can be run again alone, or with what was spared.
    failed = resit.rerun(run["id"], "failed", max_failures=0)
    assert set(resit.outcomes(failed)) <= {"test_fails", "test_waits_then_fails"}
    assert resit.end(failed)["counts"]["total"] == 2
    rest = resit.rerun(run["id"], "failed", cancelled=True)
    until(lambda: resit.run(rest)["counts"]["total"], "its plan", 20)
    assert resit.run(rest)["counts"]["total"] == 6
    resit.post(f"/runs/{rest}/cancel")
