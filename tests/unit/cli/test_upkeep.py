"""What stays between runs: snoozes, test plans, webhooks, changes of projects and environments."""

from datetime import UTC, datetime, timedelta

import pytest

from resit.broker.nkeys import Issuer
from resit.cli.settings import Exit

SNOOZE = {
    "id": 3,
    "tests": ["a::1", "a::2", "a::3", "a::4"],
    "until": "2026-12-01T00:00:00Z",
    "active": True,
    "description": "see #7",
    "environment": None,
}
PLAN = {"id": 5, "name": "smoke", "tests": [], "tags": ["@smoke"], "environment": None, "default": True}
HOOK = {"id": 9, "url": "https://ci.test/x", "events": ["test_run.ended"], "active": True}


def test_a_snooze_lasts_for_a_span(resit, server):
    server.on("POST /projects/shop/snoozes", SNOOZE, status=201)
    assert "Snooze 3" in resit("snooze", "add", "shop", "a::1", "a::2", "--for", "7d", "--description", "#7").out
    sent = server.sent("POST /projects/shop/snoozes")
    assert (sent["tests"], sent["description"]) == (["a::1", "a::2"], "#7")
    left = datetime.fromisoformat(sent["until"]) - datetime.now(UTC)
    assert timedelta(days=6) < left < timedelta(days=8)


def test_a_snooze_lasts_until_a_day(resit, server):
    server.on("POST /projects/shop/snoozes", SNOOZE, status=201)
    resit("snooze", "add", "shop", "a::1", "--until", "2026-12-01T00:00:00+02:00", "--environment", "staging")
    sent = server.sent("POST /projects/shop/snoozes")
    assert datetime.fromisoformat(sent["until"]) == datetime(2026, 11, 30, 22, tzinfo=UTC)
    assert sent["environment"] == "staging"


@pytest.mark.parametrize(
    "words",
    [
        ("shop", "--for", "7d"),
        ("shop", "a"),
        ("shop", "a", "--for", "7d", "--until", "2026-12-01"),
        ("shop", "a", "--until", "tomorrow"),
        ("shop", "a", "--for", "soon"),
    ],
)
def test_a_snooze_that_makes_no_sense(resit, server, words):
    assert resit("snooze", "add", *words).code == Exit.USAGE
    assert not server.asked


def test_snoozes_are_listed_and_ended(resit, server):
    server.on("GET /projects/shop/snoozes", {"items": [SNOOZE], "next": None})
    server.on("POST /snoozes/3/expire", {**SNOOZE, "active": False})
    out = resit("snooze", "list", "shop").out
    assert "see #7" in out
    assert "and 1 more" in out
    resit("snooze", "list", "shop", "--all")
    assert server.asked[-1].url.params["ended"] == "true"
    assert resit("snooze", "expire", "3").code == 0


def test_test_plans(resit, server):
    server.on("POST /projects/shop/test-plans", PLAN, status=201)
    server.on("GET /projects/shop/test-plans", {"items": [PLAN], "next": None})
    server.on("DELETE /test-plans/5", {})
    assert "--test-plan 5" in resit("test-plan", "add", "shop", "smoke", "--tag", "@smoke", "--default").out
    asked = {"name": "smoke", "tests": [], "tags": ["@smoke"], "default": True}
    assert server.sent("POST /projects/shop/test-plans") == asked
    assert "@smoke" in resit("test-plan", "list", "shop").out
    assert resit("test-plan", "remove", "5").code == 0


def test_webhooks(resit, server):
    server.on("POST /projects/shop/webhooks", {**HOOK, "secret": "whsec_x"}, status=201)
    server.on("GET /projects/shop/webhooks", {"items": [HOOK], "next": None})
    server.on("POST /webhooks/9/test", HOOK, status=202)
    server.on("DELETE /webhooks/9", {})
    assert resit("webhook", "add", "shop", "https://ci.test/x").out == "whsec_x\n"
    sent = server.sent("POST /projects/shop/webhooks")
    assert sent["events"] == ["test_run.ended", "test_run.error", "test_run.cancelled"]
    assert "https://ci.test/x" in resit("webhook", "list", "shop").out
    assert resit("webhook", "test", "9").code == 0
    assert resit("webhook", "remove", "9").code == 0


def test_a_project_is_changed(resit, server):
    server.on("PATCH /projects/shop", {"slug": "shop"})
    assert resit("project", "set", "shop", "--max-runs", "0", "--repository", "acme/shop").code == 0
    assert server.sent("PATCH /projects/shop") == {"max_runs": 0, "repository": "acme/shop"}
    assert resit("project", "set", "shop").code == Exit.USAGE


def test_an_environment_is_changed(resit, server, monkeypatch):
    monkeypatch.setenv("PIN", "1234")
    known = {"slug": "qa", "variables": {"A": "1"}, "secrets": ["KEY"], "match": [], "ignore": []}
    server.on("GET /projects/shop", {"slug": "shop", "environments": [known]})
    server.on("PATCH /projects/shop/environments/qa", known)
    words = ("--enabled", "--var", "B=2", "--secret", "PIN", "--unset", "A", "KEY", "--platform", "windows")
    done = resit("env", "set", "shop", "qa", *words)
    assert done.code == 0, done.err
    assert server.sent("PATCH /projects/shop/environments/qa") == {
        "disabled": False,
        "platform": "windows",
        "variables": {"A": None, "B": "2"},
        "secrets": {"KEY": None, "PIN": "1234"},
    }
    assert "1234" not in done.out + done.err
    for odd in ([], ["--enabled", "--disabled"], ["--var", "A=1", "--unset", "A"]):
        assert resit("env", "set", "shop", "qa", *odd).code == Exit.USAGE


def test_a_run_of_a_test_plan_in_a_group(resit, server, build_run):
    server.on("POST /projects/shop/runs", build_run(), status=201)
    resit("run", "shop", "--test-plan", "5", "--group", "deploy", "--on-conflict", "cancel")
    sent = server.sent("POST /projects/shop/runs")
    assert sent == {"test_plan": 5, "concurrency": {"group": "deploy", "on_conflict": "cancel"}}
    assert resit("run", "shop", "--on-conflict", "wait").code == Exit.USAGE
    assert resit("run", "shop", "--test-plan", "5", "--test", "a").code == Exit.USAGE


def test_why_a_run_was_stopped(resit, server, build_run):
    gone = build_run(status="cancelled", verdict="errored", cancelled_by="ann", cancel_reason="wrong branch")
    server.on("POST /runs/12/cancel", gone)
    server.on("GET /runs/12", gone)
    server.on("GET /runs/12/lineage", {"runs": [gone], "effective_verdict": None})
    resit("cancel", "12", "--reason", "wrong branch")
    assert server.sent("POST /runs/12/cancel") == {"reason": "wrong branch"}
    assert "by ann, wrong branch" in resit("show", "12").out


def test_a_snoozed_failure_says_so(resit, server, build_run, build_row):
    server.on("GET /runs/12", build_run(summary="1 failed, 2 passed (1 snoozed)", counts={"failed": 1, "passed": 2}))
    server.on("GET /runs/12/tests", {"items": [build_row(snoozed=True)], "next": None})
    server.on("GET /runs/12/lineage", {"runs": [], "effective_verdict": None})
    assert "failed (snoozed)" in resit("show", "12", "--tests").out
    assert "failed (snoozed)" in resit("show", "12").out


def test_a_key_for_a_broker_of_ones_own(resit):
    done = resit("nats-key")
    said = [line for line in done.out.splitlines() if not line.startswith("#")]
    secret, public = said[0].removeprefix("issuer = ").strip('"'), said[1].removeprefix("issuer: ")
    assert Issuer.from_seed(secret).public == public
    assert resit("nats-key").out != done.out
