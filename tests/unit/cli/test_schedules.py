"""Schedules, delayed runs and priorities on the command line."""

from datetime import UTC, datetime, timedelta

import pytest

from resit.cli.settings import Exit

NEXT = {"local": "2026-12-01T03:00:00+01:00", "utc": "2026-12-01T02:00:00Z"}
RUN = {
    "environment": "staging", "build": {"url": "http://x"}, "branch": "", "commit": "", "tags": ["@smoke"], "tests": [],
    "variables": {"A": "1"}, "metadata": {}, "shards": 2, "test_plan": None, "priority": -5, "max_failures": None,
    "reason": "", "group": "",
}  # fmt: skip
SCHEDULE = {
    "id": 3, "name": "nightly", "project": "shop", "cron": "0 3 * * 1-5", "zone": "Europe/Berlin", "overlap": "wait",
    "active": True, "of_environment": False, "next": NEXT, "last_at": None, "missed": 0, "alert": "", "note": "",
    "last_run": {"id": 12, "status": "finished", "verdict": "failed", "created_at": None}, "run": RUN,
    "created_by": "ann", "created_at": None, "updated_at": None,
    "upcoming": [NEXT, {"local": "2026-12-02T03:00:00+01:00", "utc": "2026-12-02T02:00:00Z"}],
}  # fmt: skip
BROKEN = {**SCHEDULE, "id": 4, "name": "hourly", "alert": "the environment 'x' disabled", "missed": 7, "next": None}


@pytest.fixture
def waiting(build_run):
    return build_run(
        status="requested", verdict=None, summary="no tests", duration=None, finished_at=None, started_at=None,
        waiting_for="waits for run 11 (group 'deploy')",
    )  # fmt: skip


@pytest.fixture
def known(server):
    server.on("GET /schedules", {"items": [SCHEDULE, BROKEN], "next": None})
    server.on("GET /schedules/3", SCHEDULE)
    server.on("PATCH /schedules/3", SCHEDULE)
    return server


def test_a_schedule_is_made(resit, server):
    server.on("POST /projects/shop/schedules", SCHEDULE, status=201)
    words = ("--project", "shop", "--name", "nightly", "--cron", "0 3 * * 1-5", "--zone", "Europe/Berlin")
    more = ("--environment", "staging", "--tag", "@smoke", "--variable", "A=1", "--shards", "2", "--priority", "-5")
    out = resit("schedule", "create", *words, *more, "--branch", "main", "--overlap", "skip").out
    assert server.sent("POST /projects/shop/schedules") == {
        "name": "nightly", "cron": "0 3 * * 1-5", "zone": "Europe/Berlin", "overlap": "skip",
        "run": {
            "environment": "staging", "tags": ["@smoke"], "variables": {"A": "1"}, "shards": 2, "priority": -5,
            "branch": "main",
        },
    }  # fmt: skip
    assert "shop/nightly" in out
    assert "next: Tue 2026-12-01 03:00 +0100  (2026-12-01 02:00 UTC)" in out
    assert "Wed 2026-12-02 03:00 +0100  (2026-12-02 02:00 UTC)" in out


def test_schedules_are_listed_with_what_is_wrong(resit, known):
    listed = resit("schedule", "list")
    assert listed.code == 0
    assert "12 failed" in listed.out
    assert "needs a look" in listed.out
    assert "! shop/hourly: the environment 'x' disabled" in listed.out
    assert resit("schedule", "list", "--check").code == Exit.RED
    assert resit("schedule", "list", "--check", "--json").code == Exit.RED
    known.on("GET /schedules", {"items": [SCHEDULE], "next": None})
    assert resit("schedule", "list", "shop", "--check").code == 0
    assert known.asked[-1].url.params["project"] == "shop"
    known.on("GET /schedules", {"items": [], "next": None})
    assert "No schedules" in resit("schedule", "list").out


@pytest.mark.parametrize("ref", ["3", "shop/nightly"])
def test_it_is_named_by_number_or_name(resit, known, ref):
    assert "Europe/Berlin" in resit("schedule", "show", ref).out
    assert resit("schedule", "pause", ref).code == 0
    assert known.sent("PATCH /schedules/3") == {"active": False}
    assert resit("schedule", "resume", ref).code == 0
    assert known.sent("PATCH /schedules/3") == {"active": True}


@pytest.mark.parametrize(("ref", "code"), [("nightly", Exit.USAGE), ("/x", Exit.USAGE), ("shop/none", Exit.NOT_FOUND)])
def test_what_names_no_schedule(resit, known, ref, code):
    assert resit("schedule", "show", ref).code == code


def test_changes_are_merged_into_what_it_asked_for(resit, known):
    assert resit("schedule", "set", "3", "--zone", "UTC", "--overlap", "cancel").code == 0
    assert known.sent("PATCH /schedules/3") == {"zone": "UTC", "overlap": "cancel"}
    resit("schedule", "set", "3", "--shards", "4", "--build-url", "http://y")
    sent = known.sent("PATCH /schedules/3")["run"]
    kept = {name: value for name, value in RUN.items() if value is not None}
    assert sent == {**kept, "shards": 4, "build": {"url": "http://y"}}
    resit("schedule", "set", "3", "--test-plan", "5")
    sent = known.sent("PATCH /schedules/3")["run"]
    assert (sent["test_plan"], sent["tags"]) == (5, [])
    assert resit("schedule", "set", "3").code == Exit.USAGE


def test_run_now_and_remove(resit, known, build_run):
    known.on("POST /schedules/3/run", build_run(), status=201)
    known.on("DELETE /schedules/3", {})
    assert "Run 12" in resit("schedule", "run", "shop/nightly").out
    assert resit("schedule", "run", "3", "--wait").code == 0
    assert "is gone" in resit("schedule", "remove", "3").out


# ------------------------------------------------------------ runs


def test_a_delayed_run(resit, server, waiting):
    server.on("POST /projects/shop/runs", {**waiting, "waiting_for": "starts at 2026-12-01 08:00:00 UTC"}, status=201)
    out = resit("run", "shop", "--at", "2026-12-01T09:00+01:00", "--priority=-7", "--max-failures", "3").out
    asked = {"start_at": "2026-12-01T09:00:00+01:00", "priority": -7, "max_failures": 3}
    assert server.sent("POST /projects/shop/runs") == asked
    assert "starts at 2026-12-01 08:00:00 UTC" in out
    resit("run", "shop", "--in", "30m")
    left = datetime.fromisoformat(server.sent("POST /projects/shop/runs")["start_at"]) - datetime.now(UTC)
    assert timedelta(minutes=29) < left < timedelta(minutes=31)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--at", "2026-12-01T09:00"), "does not say where its clock is"),
        (("--at", "tomorrow"), "is no time"),
        (("--in", "soon"), "write a number and a unit"),
        (("--in", "5m", "--at", "2026-12-01T09:00Z"), "exclude each other"),
    ],
)
def test_a_start_that_makes_no_sense(resit, server, words, said):
    refused = resit("run", "shop", *words)
    assert refused.code == Exit.USAGE
    assert said in refused.err
    assert not server.asked


def test_a_rerun_of_what_was_cancelled(resit, server, build_run):
    server.on("POST /runs/12/rerun", build_run(id=13), status=201)
    resit("rerun", "12", "--failed", "--cancelled", "--max-failures", "0", "--priority", "1")
    asked = {"selection": "failed", "cancelled": True, "max_failures": 0, "priority": 1}
    assert server.sent("POST /runs/12/rerun") == asked
    assert resit("rerun", "12", "--cancelled").code == Exit.USAGE


def test_a_waiting_run_is_changed(resit, server, waiting):
    server.on("PATCH /runs/12", waiting)
    assert "waits for run 11 (group 'deploy')" in resit("change", "12", "--priority", "50").out
    assert server.sent("PATCH /runs/12") == {"priority": 50}
    resit("change", "12", "--now")
    assert server.sent("PATCH /runs/12") == {"start_at": None}
    resit("change", "12", "--at", "2026-12-01T09:00Z")
    assert server.sent("PATCH /runs/12") == {"start_at": "2026-12-01T09:00:00+00:00"}
    assert resit("change", "12").code == Exit.USAGE
    assert resit("change", "12", "--now", "--in", "5m").code == Exit.USAGE


def test_what_a_run_waits_for_is_shown(resit, server, waiting):
    server.on("GET /runs/12", {**waiting, "priority": 5, "max_failures": 2, "group": "deploy"})
    server.on("GET /runs/12/lineage", {"runs": [waiting], "effective_verdict": None})
    out = resit("show", "12").out
    assert "waits for run 11 (group 'deploy')" in out
    assert "after 2 failures" in out
    server.on("GET /runs", {"items": [waiting], "next": None})
    assert "waits for run 11" in resit("runs").out


def test_a_run_that_stopped_says_why(resit, server, build_run):
    words = "stopped after 2 failures (--max-failures 2)"
    stopped = build_run(verdict="failed", counts={"failed": 2, "cancelled": 5}, cancel_reason=words)
    server.on("GET /runs/12", stopped)
    server.on("GET /runs/12/lineage", {"runs": [stopped], "effective_verdict": "failed"})
    server.on("GET /runs/12/tests", {"items": [], "next": None})
    out = resit("show", "12").out
    assert f"! {words}: 5 tests were cancelled" in out
    assert "resit rerun 12 --failed --cancelled" in out


def test_a_superseded_run_says_by_whom(resit, server, build_run):
    words = "superseded by run 14 (group 'deploy')"
    gone = build_run(status="cancelled", verdict="errored", superseded_by=14, cancelled_by="ci", cancel_reason=words)
    server.on("GET /runs/12", gone)
    server.on("GET /runs/12/lineage", {"runs": [gone], "effective_verdict": None})
    assert f"by ci, {words}" in resit("show", "12").out
