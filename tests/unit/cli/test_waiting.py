"""Following a run: what is said meanwhile, what at the end, and the exit code."""

import io
import time

import httpx
import pytest
from rich.console import Console

from resit.cli import live
from resit.cli.settings import Exit
from resit.cli.waiting import exit_code


@pytest.fixture
def going(build_run):
    return build_run(
        status="running", verdict=None, duration=None, summary="2 to do", counts={"planned": 1, "running": 1}
    )


@pytest.fixture
def red(build_run):
    return build_run(verdict="failed", summary="1 failed, 1 passed", counts={"passed": 1, "failed": 1})


@pytest.fixture
def failing(server, going, red, build_row, stream):
    """A run that fails while it is followed."""
    row = build_row(reason="\x1b[31massert 1 == 2\x1b[0m\nmore", title_path=["[bold]odd"])
    server.on("POST /projects/shop/runs", going, status=201)
    server.on("POST /runs/3/rerun", going, status=201)
    server.on("GET /runs/12/events", stream(("run", going), ("test", row), ("test", row), ("end", {})))
    server.on("GET /runs/12", red)
    server.on("GET /runs/12/tests", {"items": [row], "next": None})


@pytest.mark.parametrize(
    ("status", "verdict", "code"),
    [
        ("finished", "passed", 0),
        ("finished", "failed", 1),
        ("finished", "skipped", 1),
        ("finished", "errored", 2),
        ("cancelled", "errored", 2),
        ("cancelled", "failed", 2),
        ("cancelled", "passed", 2),
        ("finished", None, 2),
        ("finished", "something new", 2),
    ],
)
def test_exit_codes(build_run, status, verdict, code):
    assert exit_code(build_run(status=status, verdict=verdict)) == code


def test_a_red_run_is_told_and_ends_with_1(resit, failing):
    done = resit("run", "shop", "--wait")
    assert done.code == Exit.RED
    lines = done.out.splitlines()
    at = lines.index("FAILED  1 failed, 1 passed in 12.3 s")
    assert lines[at - 2 : at + 2] == [
        "  ✗ failed  tests/test_cart.py:7 › [bold]odd",
        "    assert 1 == 2",
        "FAILED  1 failed, 1 passed in 12.3 s",
        "Run them again: resit rerun 12 --failed",
    ]
    assert sum("[bold]odd" in line for line in lines) == 1, "named once, while it went on"
    assert "\x1b" not in done.out


def test_a_token_that_may_not_see_the_tests_still_ends_by_the_verdict(resit, server, going, red, stream):
    server.on("POST /projects/shop/runs", going, status=201)
    server.on("GET /runs/12/events", stream(("run", going), ("end", {})))
    server.on("GET /runs/12", red)
    problem = {"detail": "this token has no scope results:read", "code": "forbidden"}
    server.on("GET /runs/12/tests", problem, status=403)
    done = resit("run", "shop", "--wait")
    assert done.code == Exit.RED
    assert "The tests are not named: this token has no scope results:read" in done.out


def test_json_is_the_closed_run_alone(resit, failing):
    done = resit("rerun", "3", "--wait", "--json")
    assert done.code == Exit.RED
    assert done.json["status"] == "finished"
    assert "assert 1 == 2" in done.err


def test_json_without_wait_is_the_run_as_requested(resit, failing):
    done = resit("run", "shop", "--json")
    assert (done.code, done.err) == (0, "")
    assert {"id", "status", "verdict", "counts", "source_run_id", "selection", "short_id"} <= set(done.json)


def test_a_broken_stream_is_opened_again_where_it_broke(resit, server, going, build_run, stream):
    server.on("GET /runs/12", going, going, build_run())
    server.on("GET /runs/12/events", stream(("run", going)), httpx.Response(503), stream(("end", {})))
    assert resit("watch", "12").code == Exit.GREEN
    seen = [r.headers.get("Last-Event-ID") for r in server.asked if r.url.path.endswith("/events")]
    assert seen == [None, "1"]


def test_watching_a_closed_run_tells_how_it_came_out(resit, server, build_run):
    server.on("GET /runs/12", build_run())
    done = resit("watch", "12")
    assert (done.code, done.out) == (0, "PASSED  3 passed in 12.3 s\n")


def test_an_errored_run_names_its_cause_and_its_log(resit, server, build_run):
    error = {"code": "setup_failed", "message": "npm ci failed: exit code 1\n  missing lock file"}
    server.on(
        "GET /runs/12",
        build_run(
            verdict="errored",
            summary="no tests",
            error=error,
            problems=[error, {"code": "teardown", "message": "and more"}],
        ),
    )
    done = resit("watch", "12")
    assert done.code == Exit.NOT_CARRIED_THROUGH
    assert done.out.splitlines() == [
        "ERRORED  no tests in 12.3 s",
        "  ! npm ci failed: exit code 1",
        "      missing lock file",
        "  ! and more",
        "The log: resit logs 12",
    ]


def test_the_report_names_twenty_red_tests_and_counts_the_rest(resit, server, build_run, build_row):
    run = build_run(verdict="failed", counts={"failed": 15, "lost": 15, "skipped": 1, "did_not_run": 1})
    rows = {name: [build_row(f"t.py::{name}{n}", outcome=name) for n in range(15)] for name in ("failed", "lost")}

    def tests(request):
        found = rows[request.url.params["outcome"]]
        return httpx.Response(200, json={"items": found[: int(request.url.params["limit"])], "next": None})

    server.on("GET /runs/12", run)
    server.on("GET /runs/12/tests", tests)
    out = resit("watch", "12").out
    assert out.count("✗ failed") == 15
    assert out.count("? lost") == 5
    assert "  … and 11 more: resit show 12 --tests" in out


def test_tests_that_did_not_run_are_named(resit, server, build_run, build_row):
    run = build_run(verdict="failed", counts={"skipped": 2, "did_not_run": 1})
    rows = [build_row("t.py::b", outcome="skipped", did_not_run=True)]
    server.on("GET /runs/12", run)
    server.on("GET /runs/12/tests", {"items": rows, "next": None})
    out = resit("watch", "12").out
    assert "✗" not in out
    assert "did not run  t.py:7 › b" in out
    assert server.asked[-1].url.params["state"] == "did_not_run"


def test_control_c_leaves_the_run_alone(resit, server, going):
    def interrupt(_):
        raise KeyboardInterrupt

    server.on("GET /runs/12", going)
    server.on("GET /runs/12/events", interrupt)
    done = resit("watch", "12", "--json")
    assert (done.code, done.out) == (130, "")
    assert "run 12 goes on" in done.err
    assert "resit cancel 12" in done.err


def test_a_server_that_stays_away_is_named_with_the_run(resit, server, going, monkeypatch):
    def away(_):
        raise httpx.ConnectError("refused")

    monkeypatch.setattr("resit.client.PATIENCE_SECONDS", -1.0)
    server.on("GET /runs/12", going, away)
    server.on("GET /runs/12/events", away)
    done = resit("watch", "12")
    assert done.code == Exit.UNAVAILABLE
    assert "http://resit.example" in done.err
    assert "resit watch 12" in done.err


def test_plain_summaries_are_spaced(going):
    page, now = io.StringIO(), [100.0]
    shown = live.PlainView(Console(file=page, width=160), clock=lambda: now[0])
    for done in range(10):
        shown.run_changed(going | {"summary": f"{done} passed"})
        now[0] += 1.0
    assert page.getvalue().count("\n") == 2


def test_the_live_view_shows_phase_bar_counts_and_running_tests(going, build_row):
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    shown = live.LiveView(console, clock=lambda: 0.0)
    with console.capture() as empty:
        console.print(shown)
    shown.run_changed(going | {"status": "planning", "counts": dict.fromkeys(going["counts"], 0)})
    shown.log_line("added 12 packages \x1b[1m")
    with console.capture() as planning:
        console.print(shown)
    shown.run_changed(going)
    for n in range(8):
        shown.row_changed(build_row(f"t.py::{'long' * 40}{n}", state="running", outcome=None))
    shown.row_changed(build_row("t.py::gone", state="running", outcome=None))
    shown.row_changed(build_row("t.py::gone", state="passed", outcome="passed"))
    with console.capture() as running:
        console.print(shown)
    assert "connecting" in empty.get()
    assert "planning…" in planning.get()
    assert "added 12 packages" in planning.get()
    text = running.get()
    assert "running…" in text
    assert "0/2" in text
    assert "1 running  1 to do" in text
    assert "▸ and 3 more" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_live_view_opens_and_closes(going):
    page = io.StringIO()
    shown = live.view(Console(file=page, width=80, force_terminal=True))
    with shown.open():
        shown.run_changed(going)
        time.sleep(0.01)
    assert "running" in page.getvalue()
