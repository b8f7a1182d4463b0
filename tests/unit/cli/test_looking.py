"""Lists and pages: runs, show, logs, projects, tokens, and what the server refuses."""

import httpx
import pytest

from resit.cli.settings import Exit


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def test_runs_are_a_table_of_80_columns(resit, server, build_run):
    again = build_run(
        id=13,
        verdict="failed",
        summary="2 failed, 1 lost, 3 flaky, 194 passed",
        source_run_id=12,
        selection="failed",
        project="a-shop-with-a-long-name",
    )
    server.on("GET /runs", {"items": [again, build_run()], "next": None})
    out = resit("runs").out
    assert "re-run of 12" in out
    assert "failed" in out
    assert max(map(len, out.splitlines())) <= 80


def test_runs_stop_at_the_limit_and_say_that_there_are_more(resit, server, build_run):
    server.on("GET /runs", {"items": [build_run(id=n) for n in (5, 4, 3)], "next": "c"})
    done = resit("runs", "shop", "--limit", "2", "--verdict", "failed", "--json")
    assert [run["id"] for run in done.json["items"]] == [5, 4]
    assert done.json["more"] is True
    assert dict(server.asked[0].url.params) == {"project": "shop", "verdict": "failed", "limit": "3"}


def test_no_runs_is_said(resit, server):
    server.on("GET /runs", {"items": [], "next": None})
    assert "No runs" in resit("runs").out


def test_show_tells_the_verdict_first_and_the_lineage(resit, server, build_run):
    server.on("GET /runs/12", build_run(reason="nightly"))
    server.on(
        "GET /runs/12/lineage",
        {"runs": [build_run(), build_run(id=13, source_run_id=12)], "effective_verdict": "passed"},
    )
    out = resit("show", "12").out
    assert out.splitlines()[0] == "PASSED  3 passed in 12.3 s"
    assert "nightly" in out
    assert "re-run of 12 (all)" in out
    assert "together: passed" in out


def test_show_tests_pages_through_all(resit, server, build_run, build_row):
    pages = [
        {"items": [build_row(f"t.py::{n}") for n in range(3)], "next": "more"},
        {"items": [build_row("t.py::last")], "next": None},
    ]
    server.on("GET /runs/12", build_run())
    server.on("GET /runs/12/tests", *pages)
    done = resit("show", "12", "--tests", "--json")
    assert [row["id"] for row in done.json["tests"]] == ["t.py::0", "t.py::1", "t.py::2", "t.py::last"]
    assert done.json["id"] == 12
    assert server.asked[-1].url.params["cursor"] == "more"


def test_show_with_an_outcome_asks_for_those_tests(resit, server, build_run, build_row):
    server.on("GET /runs/12", build_run())
    server.on("GET /runs/12/tests", {"items": [build_row(outcome="not_found", reason="gone")], "next": None})
    out = resit("show", "12", "--outcome", "not-found").out
    assert server.asked[-1].url.params["outcome"] == "not_found"
    assert "not found" in out
    assert "tests/test_cart.py::test_add" in out, "the id, for --test"


def test_logs_are_printed_to_their_end_without_escapes(resit, server):
    server.on(
        "GET /runs/12/logs",
        {"items": [{"shard": 0, "name": "plan", "size": 1}, {"shard": 1, "name": "shard 1", "size": 9}]},
    )

    def log(request):
        after = int(request.url.params["after"])
        text = "\x1b[31mone\r\ntwo"[after : after + 6]
        return httpx.Response(200, text=text, headers={"X-Resit-Next-Offset": str(after + len(text))})

    server.on("GET /runs/12/logs/0", httpx.Response(200, text="", headers={"X-Resit-Next-Offset": "0"}))
    server.on("GET /runs/12/logs/1", log)
    assert resit("logs", "12").out == "── plan ──\n── shard 1 ──\none\ntwo\n"
    assert resit("logs", "12", "--shard", "1").out == "one\ntwo\n"
    assert resit("logs", "12", "--json").json["items"][1]["name"] == "shard 1"
    assert resit("logs", "12", "--shard", "7").code == Exit.NOT_FOUND


def test_logs_are_followed_line_by_line_until_the_run_is_closed(resit, server, build_run, monkeypatch):
    monkeypatch.setattr("resit.cli.logs._POLL_SECONDS", 0)
    server.on("GET /runs/12", build_run(status="running", verdict=None), build_run())
    server.on("GET /runs/12/logs", {"items": [{"shard": 1, "name": "shard 1", "size": 9}]})
    server.on(
        "GET /runs/12/logs/1",
        httpx.Response(200, text="one\ntw", headers={"X-Resit-Next-Offset": "6"}),
        httpx.Response(200, text="o\nrest", headers={"X-Resit-Next-Offset": "12"}),
        httpx.Response(200, text="", headers={"X-Resit-Next-Offset": "12"}),
    )
    assert resit("logs", "12", "--follow").out == "shard 1 | one\nshard 1 | two\nshard 1 | rest\n"


def test_cancel_says_what_is_known(resit, server, build_run):
    server.on("POST /runs/12/cancel", build_run(status="cancelled", verdict="errored", summary="1 cancelled"))
    assert resit("cancel", "12").out == "Run 12 is cancelled: 1 cancelled\n"
    assert resit("cancel", "12", "--json").json["status"] == "cancelled"


ENVIRONMENT = {"slug": "staging", "variables": {"A": "1"}, "secrets": ["KEY"], "match": ["web"], "ignore": ["old"]}
PROJECT = {"slug": "shop", "name": "", "source": "/srv/shop", "executor": "pytest", "environments": [ENVIRONMENT]}


def test_a_project_is_shown_with_environments_and_runs(resit, server, build_run):
    server.on("GET /projects/shop", PROJECT)
    server.on("GET /runs", {"items": [build_run()], "next": None})
    out = resit("project", "show", "shop").out
    assert all(word in out for word in ("/srv/shop", "staging", "A=1", "KEY", "not old", "k3fX9a"))
    assert resit("env", "list", "shop", "--json").json["items"] == [ENVIRONMENT]
    assert "staging" in resit("env", "list", "shop").out


def test_projects_and_tokens_are_listed(resit, server):
    server.on("GET /projects", {"items": [PROJECT], "next": None})
    server.on("GET /tokens", {"items": [{"id": 3, "prefix": "rst_ab", "scopes": ["runs:read"]}], "next": None})
    server.on("DELETE /tokens/3", httpx.Response(204))
    assert "/srv/shop" in resit("project", "list").out
    assert "rst_ab" in resit("token", "list").out
    assert resit("token", "revoke", "3").out == "Token 3 is revoked.\n"


def problem(status, **more):
    return httpx.Response(status, json={"title": "No", "status": status, "detail": "because", **more})


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (problem(401), Exit.NOT_AUTHORISED, "because"),
        (problem(403), Exit.NOT_AUTHORISED, "because"),
        (problem(404), Exit.NOT_FOUND, "because"),
        (problem(409), Exit.REFUSED, "because"),
        (problem(422, field="shards"), Exit.REFUSED, "shards: because"),
        (problem(500), Exit.UNAVAILABLE, "because"),
        (httpx.Response(502, text="<html>"), Exit.UNAVAILABLE, "502"),
        (httpx.Response(405, text="<html>"), Exit.REFUSED, "not in Resit's words"),
        (httpx.Response(200, text="<html>hello"), Exit.UNAVAILABLE, "not of Resit"),
        (httpx.Response(301, headers={"Location": "https://new.example"}), Exit.REFUSED, "https://new.example"),
    ],
)
def test_a_refusal_is_one_clear_line_with_its_own_code(resit, server, answer, code, said):
    server.on("GET /runs/12", answer)
    done = resit("show", "12")
    assert done.code == code
    assert done.err.startswith("resit: ")
    assert said in done.err.splitlines()[0]
    assert "secret" not in done.err
    assert done.out == ""


@pytest.mark.parametrize("name", ["", " ", "..", "."])
def test_a_name_leads_to_no_other_page(resit, server, name):
    assert resit("show", name).code == Exit.NOT_FOUND
    assert server.asked == []


def test_a_name_is_one_segment(resit, server):
    resit("show", "12/cancel?x=1")
    assert server.asked[0].url.raw_path == b"/resit/v1/runs/12%2Fcancel%3Fx%3D1"


def test_a_fault_of_ours_never_looks_like_a_red_run(resit, server):
    server.on("GET /runs/12", {"id": 12})
    done = resit("watch", "12")
    assert done.code == Exit.INTERNAL
    assert "fault of Resit" in done.err
