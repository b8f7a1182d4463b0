"""What those see who watch a real server: metrics during a run, lines of JSON, health while parts are away, traces."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from black_box import Resit, Suites, alive, lines, until
from prometheus_client.parser import text_string_to_metric_families as families

from resit.ports.telemetry import METRICS
from resit.telemetry.logs import MEMBERS
from resit.testing.collector import Collector
from resit.testing.postgres import PostgresServer

SECRET = "s3cr3t-v4lue-of-the-shop"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
SUITE = """
import os, pathlib, pytest, time
LOG = pathlib.Path(os.environ["LOG"])
@pytest.mark.parametrize("n", range(4))
def test_n(n):
    with LOG.open("a") as log: log.write(os.environ.get("TRACEPARENT", "") + "\\n")
    print("the secret is", os.environ.get("SECRET"))
    end = time.monotonic() + 60
    while n == 2 and not LOG.with_name("go").exists() and time.monotonic() < end: time.sleep(0.02)
    assert n != 3
"""
Serve = Callable[..., Resit]


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Servers with options of their own."""
    made: list[Resit] = []

    def make(*options: str, database: str = "") -> Resit:
        server = Resit(tmp_path_factory.mktemp("watched"), database=database)
        made.append(server)
        server.start(*options)
        return server

    try:
        yield make
    finally:
        for server in made:
            server.close()


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    """A receiver of traces."""
    made = Collector(tmp_path)
    try:
        yield made
    finally:
        made.close()


def scraped(resit: Resit, token: str = "") -> dict[tuple[str, ...], float]:
    """The values of a page of metrics, by name and labels."""
    answer = httpx.get(f"{resit.url}/metrics", headers={"Authorization": f"Bearer {token or resit.token}"}, timeout=30)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families(answer.text)
        for sample in family.samples
    }


def ready(resit: Resit) -> dict[str, bool]:
    """Which parts are ready; nothing while nobody answers."""
    try:
        answer = httpx.get(f"{resit.url}/readyz", timeout=30)
    except httpx.TransportError:
        return {}
    found = {check["name"]: check["ok"] for check in answer.json()["checks"]}
    assert answer.status_code == (200 if all(found.values()) else 503)
    return found


def said(resit: Resit) -> list[dict[str, Any]]:
    """The lines of a log of JSON. Each is whole, and has no member that nobody knows."""
    found = [json.loads(line) for line in resit.log().splitlines()]
    assert found
    assert all(
        {"time", "level", "logger", "message", "process", "pid"} <= line.keys() <= MEMBERS.keys() for line in found
    )
    return found


def begin(resit: Resit, suite: Suites, log: Path, **more: Any) -> int:
    """A run whose third test waits."""
    run = resit.trigger(resit.project(suite(SUITE)), variables={"LOG": str(log)}, **more)
    until(lambda: len(lines(log)) == 3, "the third test")
    return run


def go(log: Path) -> None:
    log.with_name("go").touch()


# ---------------------------------------------------------------- metrics


def test_a_run_as_prometheus_sees_it(serve: Serve, suite: Suites, log: Path) -> None:
    resit = serve()
    made = resit.cli("token", "create", "--all-projects", "--scope", "system:read", "--name", "prometheus")
    token = made.out.strip()
    run = begin(resit, suite, log)
    # What was seen is kept for five seconds.
    during = until(
        lambda: (now := scraped(resit, token)).get(("resit_runs_open", "running")) and now, "the run at work"
    )
    assert during
    assert during["resit_workers", "default", "ready"] == 1
    assert during["resit_slots", "default"] == 2
    assert during["resit_broker_connected",] == 1
    assert during["resit_disk_free_bytes",] > 0
    assert ("resit_runs_ended_total", "p1", "finished", "failed") not in during
    go(log)
    assert resit.end(run)["verdict"] == "failed"
    ended = ("resit_runs_ended_total", "p1", "finished", "failed")
    after = until(lambda: (now := scraped(resit, token)).get(ended) and now, "the end of the run is counted") or {}
    assert after["resit_tests_total", "passed"] == 3
    assert after["resit_tests_total", "failed"] == 1
    assert after["resit_results_total",] == 4
    assert after["resit_attempts_total", "ended"] >= 1
    assert after["resit_reports_total", "taken"] > 3
    assert after["resit_run_seconds_count", "default"] == 1
    assert after["resit_outbox_messages_sent_total", "plan"] == 1
    assert after["resit_transaction_seconds_count", "write"] > 3
    assert after["process_resident_memory_bytes",] > 0
    known = {f"resit_{what.value}" for what in METRICS}
    ends = ("_total", "_created", "_count", "_sum", "_bucket")
    names = {name for name, *_ in after if name.startswith("resit_")}
    assert {next((name.removesuffix(end) for end in ends if name.endswith(end)), name) for name in names} <= known


# ---------------------------------------------------------------- logs


def test_every_line_of_a_run_says_what_it_is_about(serve: Serve, suite: Suites, log: Path) -> None:
    resit = serve("--log-format", "json", "--log-level", "debug", "--access-log")
    slug = resit.project(suite(SUITE))
    resit.post(f"/projects/{slug}/environments", {"slug": "live", "secrets": {"SECRET": SECRET}})
    run = resit.trigger(slug, environment="live", variables={"LOG": str(log)})
    until(lambda: len(lines(log)) == 3, "the third test")
    worker = resit.worker
    os.kill(worker, signal.SIGKILL)
    until(lambda: not alive(worker), "the worker is gone")
    go(log)
    assert resit.end(run)["verdict"] == "failed"
    httpx.get(f"{resit.url}/resit/v1/runs/{run}?token={SECRET}", headers={"X-Request-Id": "find-me"}, timeout=30)
    assert "***" in resit.logs(run)
    until(lambda: f"run {run} of {slug}/live is over" in resit.log(), "the end is told")
    resit.terminate()

    found = said(resit)
    batches = [line for line in found if line["process"] == "worker" and "batch" in line["message"] and "run" in line]
    assert len({line["worker"] for line in batches}) == 2, "both workers have tried"
    for line in batches:
        assert (line["run"], line["pool"]) == (run, "default")
        assert line["shard"] >= 1
        assert line["batch"] >= 1
        assert len(line["attempt"]) == 32
    assert [line["run"] for line in found if "is over" in line["message"]] == [run]
    assert any("worker ended" in line["message"] for line in found)
    (asked,) = [line for line in found if line.get("request") == "find-me"]
    assert asked["http"]["route"] == "/resit/v1/runs/{run}"
    assert asked["http"]["status"] == 401
    assert asked["run"] == run
    assert {line["process"] for line in found} == {"server", "worker"}
    text = resit.log()
    assert SECRET not in text
    assert (resit.data / "admin-token").read_text().strip() not in text
    assert json.loads((resit.data / "worker.json").read_text())["broker"]["password"] not in text


def test_a_log_for_people_has_the_same_fields(serve: Serve, suite: Suites, log: Path) -> None:
    resit = serve()
    go(log)
    run = resit.execute(resit.project(suite(SUITE)), variables={"LOG": str(log)})["id"]
    line = until(lambda: [found for found in resit.log().splitlines() if f"run {run} of" in found], "the end is told")
    assert line
    assert line[0].endswith(
        f"resit.control.storyteller: run {run} of p1/default is over: finished, failed [run={run} pool=default]"
    )


# ---------------------------------------------------------------- health


def test_a_broker_that_hangs_is_noticed_and_forgiven(serve: Serve) -> None:
    resit = serve()
    until(lambda: all(ready(resit).values()), "it is ready")
    broker = resit.broker
    os.kill(broker, signal.SIGSTOP)
    try:
        found = until(lambda: (now := ready(resit)).get("broker") is False and now, "the broker is missed", 40)
        assert found == {"serving": True, "database": True, "broker": False, "artifacts": True, "disk": True}
        assert httpx.get(f"{resit.url}/healthz", timeout=5).status_code == 200
        assert scraped(resit)["resit_broker_connected",] == 0
    finally:
        os.kill(broker, signal.SIGCONT)
    until(lambda: all(ready(resit).values()), "it is ready again", 40)
    assert "ready again: broker" in resit.log()


def test_a_broker_that_is_killed_comes_back(serve: Serve) -> None:
    resit = serve()
    until(lambda: all(ready(resit).values()), "it is ready")
    before = resit.broker
    os.kill(before, signal.SIGKILL)
    until(lambda: resit.broker != before, "another broker")
    until(lambda: all(ready(resit).values()), "it is ready again")
    until(lambda: scraped(resit)["resit_broker_reconnects",] >= 1, "the connection was counted")


def test_a_database_that_is_away_is_noticed_and_forgiven(serve: Serve) -> None:
    with PostgresServer() as postgres:
        resit = serve("--metrics-open", database=postgres.create("watched"))
        until(lambda: all(ready(resit).values()), "it is ready")
        postgres.stop()
        found = until(lambda: (now := ready(resit)).get("database") is False and now, "the database is missed")
        assert found == {"serving": True, "database": False, "broker": True, "artifacts": True, "disk": True}
        assert httpx.get(f"{resit.url}/healthz", timeout=5).status_code == 200
        # The page is there all the same, with what is known.
        until(lambda: "resit_database_up 0.0" in httpx.get(f"{resit.url}/metrics", timeout=30).text, "it is told", 30)
        postgres.start()
        until(lambda: all(ready(resit).values()), "it is ready again")
        resit.close()


def test_who_ends_says_so_first(serve: Serve) -> None:
    resit = serve("--drain-seconds", "60")
    until(lambda: all(ready(resit).values()), "it is ready")
    assert resit.process is not None
    resit.process.send_signal(signal.SIGTERM)
    until(lambda: ready(resit).get("serving") is False, "it takes no new clients")
    assert resit.get("/runs")["items"] == []
    assert httpx.get(f"{resit.url}/healthz", timeout=5).status_code == 200
    resit.process.send_signal(signal.SIGTERM)
    assert resit.process.wait(30) == 0


# ---------------------------------------------------------------- traces


def test_a_run_is_a_trace_and_its_tests_may_join(
    serve: Serve, suite: Suites, log: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    resit = serve()
    go(log)
    slug = resit.project(suite(SUITE))
    resit.cli("run", slug, "--wait", "--var", f"LOG={log}", env={"TRACEPARENT": PARENT})
    run = resit.get("/runs")["items"][0]
    spans = until(collector.spans, "the trace")
    assert spans
    root = next(span for span in spans if span["name"] == f"run {slug}/default")
    assert {span["trace"] for span in spans} == {TRACE}
    assert root["parent"] == "00f067aa0ba902b7"
    assert root["error"] == "1 failed"
    assert root["attributes"]["resit.run.id"] == run["id"]
    assert root["resource"]["service.name"] == "resit"
    names = [span["name"] for span in spans]
    assert {"wait", "plan", "execute", "batch 1", "finalize"} <= set(names)
    tests = {span["attributes"]["test.case.name"]: span for span in spans if "test.case.name" in span["attributes"]}
    assert len(tests) == 4
    assert tests["test_it.py::test_n[3]"]["error"] == "failed"
    batch = next(span for span in spans if span["id"] == tests["test_it.py::test_n[0]"]["parent"])
    assert batch["attributes"]["resit.worker"]
    # What the tests were given leads to the run.
    assert set(lines(log)) == {f"00-{TRACE}-{root['id']}-01"}

    again = resit.end(resit.rerun(run["id"], "failed"))
    until(lambda: any(span["attributes"].get("resit.run.id") == again["id"] for span in collector.spans()), "the next")
    second = next(span for span in collector.spans() if span["attributes"].get("resit.run.id") == again["id"])
    assert second["links"] == [[TRACE, root["id"]]]
    assert second["trace"] == again["uuid"].replace("-", "")


@pytest.mark.thorough
def test_no_trace_is_lost_with_a_server_that_is_killed(
    serve: Serve, suite: Suites, log: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    collector.refuse(503)
    resit = serve()
    go(log)
    run = resit.execute(resit.project(suite(SUITE)), variables={"LOG": str(log)})
    until(lambda: "was not taken" in resit.log(), "nobody takes the trace")
    resit.kill()
    assert collector.spans() == []
    collector.refuse(0)
    resit.start()
    spans = until(collector.spans, "the trace", 30)
    assert spans
    assert spans[0]["trace"] == run["uuid"].replace("-", "")
    until(lambda: scraped(resit).get(("resit_traces_total", "exported")) == 1, "it is counted")
    assert len({span["id"] for span in collector.spans()}) == len(collector.spans()), "and told once"


# ---------------------------------------------------------------- the doctor


def test_the_doctor_with_and_without_a_server(serve: Serve) -> None:
    resit = serve("--no-worker")
    sick = resit.cli("doctor", "--json", "--deep")
    assert sick.code == 2
    levels = {found["name"]: found["level"] for found in sick.json["findings"]}
    assert levels["workers"] == "problem"
    assert levels["integrity"] == levels["database"] == levels["broker"] == levels["clock"] == "ok"
    assert all(found["advice"] for found in sick.json["findings"] if found["level"] != "ok")
    resit.terminate()
    resit.start()
    until(lambda: "workers" not in bad(resit), "a worker is there")
    assert bad(resit) <= {"node", "git", "disk"}, "this machine may lack something"
    token = resit.cli("token", "create", "--all-projects", "--scope", "runs:read").out.strip()
    elsewhere = {"RESIT_URL": resit.url, "RESIT_TOKEN": token, "RESIT_DATA": ""}
    assert resit.cli("doctor", env=elsewhere).code == 77

    resit.terminate()
    away = resit.cli("doctor", env={**elsewhere, "RESIT_TOKEN": resit.token})
    assert away.code == 69
    gone = resit.cli("doctor", "--json")
    assert gone.code == 2
    levels = {found["name"]: found["level"] for found in gone.json["findings"]}
    assert levels["server"] == "problem"
    assert levels["database"] == levels["schema"] == levels["integrity"] == "ok"
    (resit.data / "secret.key").chmod(0o644)
    words = resit.cli("doctor").said
    assert "others may read the secret key (mode 644)" in words
    assert "chmod 600" in words


def bad(resit: Resit) -> set[str]:
    """What the doctor finds wrong."""
    return {found["name"] for found in resit.cli("doctor", "--json").json["findings"] if found["level"] != "ok"}
