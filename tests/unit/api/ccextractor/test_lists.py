"""What runs, their tests, errors, logs and files look like, and how they are paged and filtered."""

from dataclasses import replace
from typing import Any

import pytest

from resit.api.ccextractor import logs
from resit.domain import wire
from resit.domain.access import Role, Scope
from resit.domain.events import Attachment
from resit.domain.ledger import lost
from resit.domain.project import Environment, Platform
from resit.services.requests import Request
from resit.testing.factories import ADMIN, NOW, did_not_run, not_collected, planned, result, uuid_of
from resit.testing.world import World

SHA = "0123456789abcdef0123456789ABCDEF01234567"
RUN = {"repository": "local/shop", "commit_sha": SHA, "platform": "linux"}


def ids(document: Any, name: str = "run_id") -> list[Any]:
    return [row[name] for row in document["data"]]


def walk(cc: Any, path: str, limit: int, **query: Any) -> list[Any]:
    """All items of a list, page by page."""
    found: list[Any] = []
    offset: int | None = 0
    while offset is not None:
        document = cc.get(path, limit=limit, offset=offset, **query)
        assert len(document["data"]) <= limit
        assert document["pagination"]["limit"] == limit
        assert document["pagination"]["offset"] == offset
        assert isinstance(document["meta"], dict)
        found += document["data"]
        offset = document["pagination"]["next_offset"]
    assert len(found) == document["pagination"]["total"]
    return found


# ---------------------------------------------------------------- runs


def test_a_run_as_it_is_made(cc: Any, world: World) -> None:
    document = cc.post("/runs", {**RUN, "pull_request": 12})
    assert document == {
        "run_id": 1,
        "status": "queued",
        "platform": "linux",
        "test_type": "pr",
        "repository": "local/shop",
        "branch": "master",
        "commit_sha": SHA,
        "pr_number": 12,
        "created_at": "2023-11-14T22:13:20Z",
        "queued_at": "2023-11-14T22:13:20Z",
        "started_at": None,
        "completed_at": None,
        "github_link": None,
        "commit_short": "0123456",
        "pull_request": 12,
        "run_errors": "unknown",
        "triggered_by": "ci",
        "duration_ms": None,
        "links": {"self": "http://resit.test/api/v1/runs/1"},
    }
    assert cc.get("/runs/1") == document
    made = world.run(1)
    assert (made.build.commit, made.build.branch, made.commit) == (SHA, "master", "")
    assert world.signals.told == 1


def test_a_run_of_a_repository_that_holds_its_tests_checks_the_commit_out(world: World, admin: Any) -> None:
    world.project("lib", source="https://github.com/o/lib.git")
    document = admin.post("/runs", {**RUN, "repository": "O/Lib", "branch": "f/x"})
    assert (document["repository"], document["branch"]) == ("o/lib", "f/x")
    assert document["github_link"] == f"https://github.com/o/lib/commit/{SHA}"
    made = world.run(document["run_id"])
    assert (made.commit, made.pinned, made.branch) == (SHA, True, "")


def test_a_run_of_chosen_tests(cc: Any, world: World, green: int) -> None:
    document = cc.post("/runs", {**RUN, "regression_test_ids": [4, 2]})
    config = cc.get(f"/runs/{document['run_id']}/config")
    assert sorted(config["regression_test_ids"]) == [2, 4]
    assert (config["commit_sha"], config["branch"]) == (SHA, "master")
    assert cc.get(f"/runs/{document['run_id']}/summary")["total_samples"] == 2
    every = cc.post("/runs", RUN)
    assert cc.get(f"/runs/{every['run_id']}/config")["regression_test_ids"] == [1, 2, 3, 4, 5]


def test_inactive_and_unknown_tests_are_unprocessable(cc: Any, world: World, green: int) -> None:
    world.plan(world.trigger(), [planned("a/one.py::good")])
    refused = cc.post("/runs", {**RUN, "regression_test_ids": [1, 2, 77]}, 422)
    assert (refused["code"], refused["details"]) == ("unprocessable", {"inactive_ids": [2, 77]})
    assert cc.get("/runs")["pagination"]["total"] == 2


def test_a_retry_tells_its_source(cc: Any, red: int) -> None:
    made = cc.post(f"/runs/{red}/retry")["new_run_id"]
    assert cc.get(f"/runs/{made}")["links"]["source"] == cc.get(f"/runs/{red}")["links"]["self"]
    assert "source" not in cc.get(f"/runs/{red}")["links"]


def test_progress_can_be_filtered_by_every_event(cc: Any, red: int) -> None:
    events = cc.get(f"/runs/{red}/progress")["data"]
    for event in events:
        assert cc.get(f"/runs/{red}/progress", status=event["status"])["data"] == [event]
    assert walk(cc, f"/runs/{red}/progress", 1) == events


def test_a_green_fragment_does_not_pass(cc: Any, world: World) -> None:
    run = world.planned("a")
    world.carry_out(run, problems=["the suite broke"])
    assert cc.get(f"/runs/{run.id}")["status"] == "error"
    assert cc.get(f"/runs/{run.id}/summary")["pass_count"] == 1
    assert cc.get(f"/runs/{run.id}")["run_errors"] == "true"


def test_platforms_are_environments(cc: Any, world: World, admin: Any) -> None:
    refused = cc.post("/runs", {**RUN, "platform": "windows"}, 422)
    assert refused["details"] == {"commit_sha": SHA, "platform": "windows"}
    with world.store.write() as tx:
        project = tx.projects.by_slug("shop")
        assert project is not None
        tx.projects.add_environment(
            Environment(id=0, uuid=uuid_of("w"), project_id=project.id, slug="win", platform=Platform.WINDOWS), ""
        )
    made = cc.post("/runs", {**RUN, "platform": "windows"})
    assert made["platform"] == "windows"
    other = cc.post("/runs", RUN)
    assert ids(cc.get("/runs", platform="windows")) == [made["run_id"]]
    assert ids(cc.get("/system/queue", platform="linux")) == [other["run_id"]]


def test_two_projects_of_one_repository_are_told_apart_by_token(world: World, admin: Any, http: Any) -> None:
    for slug in ("e2e", "units"):
        world.project(slug, source="https://github.com/o/lib.git")
    refused = admin.post("/runs", {**RUN, "repository": "o/lib"}, 422)
    assert refused["details"] == {"projects": ["e2e", "units"]}


def test_filters_of_runs(cc: Any, world: World) -> None:
    for number, (branch, sha) in enumerate([("main", SHA), ("f/x", "b" * 40), ("main", "b" * 40)]):
        world.clock.time = NOW + number * 60 + 0.5
        cc.post("/runs", {**RUN, "branch": branch, "commit_sha": sha})
    assert ids(cc.get("/runs")) == [3, 2, 1]
    for sort, order in (
        ("created_at", [1, 2, 3]),
        ("-created_at", [3, 2, 1]),
        ("run_id", [1, 2, 3]),
        ("-run_id", [3, 2, 1]),
    ):
        assert ids(cc.get("/runs", sort=sort)) == order
    assert ids(cc.get("/runs", branch="main")) == [3, 1]
    assert ids(cc.get("/runs", branch="MAIN")) == []
    assert ids(cc.get("/runs", commit_sha=SHA.lower())) == [1]
    assert ids(cc.get("/runs", repository="LOCAL/shop")) == [3, 2, 1]
    assert ids(cc.get("/runs", repository="o/n")) == []
    shown = cc.get("/runs/2")["created_at"]
    assert shown == "2023-11-14T22:14:20Z"
    assert ids(cc.get("/runs", created_after=shown)) == [3, 2]
    assert ids(cc.get("/runs", created_before=shown)) == [2, 1]
    assert ids(cc.get("/runs", created_after=shown, created_before=shown)) == [2]
    assert ids(cc.get("/runs", created_after="2023-11-15T00:14:20+02:00")) == [3, 2]
    assert ids(cc.get("/runs", created_after="2023-11-14T22:14:20")) == [3, 2]
    assert len(walk(cc, "/runs", 2)) == 3
    assert cc.get("/runs", offset=10)["data"] == []


def test_the_queue_has_its_counts_in_both_places(cc: Any, world: World) -> None:
    running = world.planned("a")
    waiting = [world.trigger().id for _ in range(3)]
    document = cc.get("/system/queue")
    assert ids(document) == [running.id, *waiting]
    assert [row["status"] for row in document["data"]] == ["running", "queued", "queued", "queued"]
    assert document["meta"] == {"queue_depth": 3, "running_count": 1}
    assert (document["queue_depth"], document["running_count"]) == (3, 1)
    assert all("position" not in row for row in document["data"])
    queued = cc.get("/system/queue", status="queued", limit=2, offset=1)
    assert [(row["run_id"], row["position"]) for row in queued["data"]] == [(waiting[1], 2), (waiting[2], 3)]
    assert ids(cc.get("/system/queue", status="running")) == [running.id]


# ---------------------------------------------------------------- tests of a run


def test_summary_counts_every_test_once(cc: Any, red: int) -> None:
    assert cc.get(f"/runs/{red}/summary") == {
        "run_id": red,
        "status": "fail",
        "total_samples": 5,
        "pass_count": 2,
        "fail_count": 1,
        "skipped_count": 1,
        "missing_output_count": 1,
        "error_count": 2,
        "duration_ms": 3000,
        "triggered_by": "admin",
    }


def test_samples_and_their_filters(cc: Any, red: int) -> None:
    rows = walk(cc, f"/runs/{red}/samples", 2)
    assert [(row["regression_test_id"], row["sample_id"], row["status"]) for row in rows] == [
        (1, 1, "pass"),
        (2, 1, "fail"),
        (3, 2, "missing_output"),
        (4, 2, "skipped"),
        (5, 2, "pass"),
    ]
    for number, row in enumerate(rows, 1):
        assert cc.get(f"/runs/{red}/samples/{number}") == row
    assert rows[1] == {
        "regression_test_id": 2,
        "sample_id": 1,
        "sample_name": "a/one.py",
        "categories": ["a"],
        "command": "a/one.py::bad",
        "status": "fail",
        "runtime_ms": 500,
        "exit_code": None,
        "expected_rc": None,
        "outputs": [],
    }

    def found(**query: str) -> list[int]:
        return ids(cc.get(f"/runs/{red}/samples", **query), "regression_test_id")

    assert found(status="pass") == [1, 5]
    assert found(status="missing_output") == [3]
    assert found(name="ONE") == found(category="A") == [1, 2]
    assert found(name="%") == found(category="a/one.py") == found(tag="x") == found(category="_") == []
    assert found(name="two", status="skipped") == [4]


def test_samples_by_tag(cc: Any, world: World) -> None:
    world.plan(world.trigger(), [planned("a", tags=("@slow", "x")), planned("b", tags=("slower",))])
    for tag in ("slow", "@slow", "SLOW"):
        assert ids(cc.get("/runs/1/samples", tag=tag), "regression_test_id") == [1]
    assert ids(cc.get("/regression-tests", tag="slower"), "regression_test_id") == [2]


def test_every_outcome_can_be_shown(cc: Any, world: World) -> None:
    run = world.planned("passed", "lost", "gone", "left", "open", "runs")
    world.report(
        {**world.voice(run), "what": "batch.started"},
        {
            **world.voice(run),
            "what": "batch.events",
            "events": [wire.to_wire(event) for event in (result("passed"), not_collected("gone"), did_not_run("left"))],
        },
    )
    rows = {row["command"]: row["status"] for row in cc.get("/runs/1/samples")["data"]}
    assert rows["passed"] == "pass"
    assert rows["gone"] == rows["open"] == "not_started"
    assert rows["left"] == "skipped"
    assert cc.get("/runs/1/samples/3")["status"] == "not_started"


def test_a_test_that_was_asked_for_and_is_not_there_is_accounted_for(cc: Any, world: World) -> None:
    world.plan(world.trigger(tests=("a", "gone")), [planned("a"), planned("b")])
    rows = cc.get("/runs/1/samples")["data"]
    assert [(row["command"], row["status"], row["sample_id"]) for row in rows] == [
        ("a", "not_started", 1),
        ("gone", "not_started", None),
    ]
    assert len(cc.get("/runs/1/config")["regression_test_ids"]) == 2
    infra = cc.get("/runs/1/infrastructure-errors")["data"]
    assert [(row["type"], row["severity"]) for row in infra] == [("build", "error")]


# ---------------------------------------------------------------- errors


def test_errors_are_what_failed_only_takes_up(cc: Any, red: int) -> None:
    rows = walk(cc, f"/runs/{red}/errors", 1)
    assert [(row["regression_id"], row["type"], row["severity"]) for row in rows] == [
        (2, "test_failure", "error"),
        (3, "missing_output", "critical"),
    ]
    assert rows[0] == {
        "error_id": f"{red}-1",
        "run_id": red,
        "sample_id": 1,
        "regression_id": 2,
        "type": "test_failure",
        "severity": "error",
        "message": "it went wrong",
        "location": {"file": "tests/test_a.py", "line": 7},
        "occurred_at": "2023-11-14T22:13:20Z",
    }

    def found(**query: Any) -> list[int]:
        return ids(cc.get(f"/runs/{red}/errors", **query), "regression_id")

    assert found(type="test_failure") == found(severity="error") == found(sample_id=1) == [2]
    assert found(type="missing_output", severity="error") == found(severity="info") == found(sample_id=99) == []
    assert found(type="exit_code_mismatch") == found(type="diff_mismatch") == []


@pytest.mark.parametrize(
    ("group", "keys"),
    [
        ("type", {"test_failure": 1, "missing_output": 2}),
        ("severity", {"error": 1, "critical": 2}),
        ("sample_id", {"1": 1, "2": 2}),
        ("regression_id", {"2": 1, "3": 1, "4": 1}),
    ],
)
def test_errors_are_summed_up(cc: Any, world: World, group: str, keys: dict[str, int]) -> None:
    names = ("a.py::ok", "a.py::bad", "b.py::x", "b.py::y")
    run = world.planned(*names)
    world.carry_out(
        run,
        {n: [result(n, "failed" if n == names[1] else "errored")] for n in names[1:]},
    )
    buckets = walk(cc, f"/runs/{run.id}/error-summary", 1, group_by=group)
    assert {bucket["key"]: bucket["count"] for bucket in buckets} == keys
    assert [bucket["count"] for bucket in buckets] == sorted(keys.values(), reverse=True)
    total = cc.get(f"/runs/{run.id}/summary")["error_count"]
    assert total == sum(keys.values()) == cc.get(f"/runs/{run.id}/errors")["pagination"]["total"]
    assert cc.get(f"/runs/{run.id}/error-summary", severity="info")["data"] == []


def test_infrastructure_errors_are_problems_and_lost_tests(cc: Any, world: World, person: Any) -> None:
    run = world.planned("a", "b", "c")
    world.carry_out(run, problems=["the teardown\nbroke"], reason="the process died")
    with world.store.write() as tx:
        rows = [replace(row, outcome=None) for row in tx.ledger.rows(run.id)]
        tx.ledger.save(run.id, [lost(row, "its worker died twice") for row in rows], 99)
    rows = walk(cc, f"/runs/{run.id}/infrastructure-errors", 2)
    assert [(row["type"], row["regression_id"]) for row in rows] == [
        ("worker", None),
        ("worker", 1),
        ("worker", 2),
        ("worker", 3),
    ]
    assert "stack" not in rows[0]
    assert rows[1]["message"] == "a: its worker died twice"
    staged = cc.get(f"/runs/{run.id}/infrastructure-errors", include_stack="true", limit=1)["data"]
    assert staged[0]["stack"] == ["the teardown", "broke"]
    assert cc.get(f"/runs/{run.id}/infrastructure-errors", type="checkout")["data"] == []
    tester = person(Role.TESTER, Scope.SYSTEM_READ)
    assert len(tester.get(f"/runs/{run.id}/infrastructure-errors")["data"]) == 4
    assert tester.get(f"/runs/{run.id}/infrastructure-errors", 403, include_stack="1")["code"] == "forbidden"


# ---------------------------------------------------------------- logs, files


def test_logs_are_paged_by_line(cc: Any, world: World) -> None:
    run = world.planned("a")
    assert cc.get(f"/runs/{run.id}/logs", 404)["code"] == "log_not_found"
    for shard, text in ((0, "Cloning\nWARNING: slow\n"), (1, "\x1b[31mFAILED\x1b[0m a\nüber"), (1, " all\nlast")):
        world.report({"run": run.id, "claim": "", "what": "log", "shard": shard, "text": text})
    seen: list[dict[str, Any]] = []
    cursor: int | None = 0
    while cursor is not None:
        page = cc.get(f"/runs/{run.id}/logs", limit=2, cursor=cursor)
        seen += page["data"]
        cursor = page["pagination"]["next_cursor"]
    assert [(line["message"], line["level"], line["source"]) for line in seen] == [
        ("Cloning", "info", "build"),
        ("WARNING: slow", "warning", "build"),
        ("FAILED a", "error", "test_runner"),
        ("über all", "info", "test_runner"),
        ("last", "info", "test_runner"),
    ]

    def found(**query: Any) -> list[str]:
        return ids(cc.get(f"/runs/{run.id}/logs", **query), "message")

    assert found(level="error") == ["FAILED a"]
    assert found(source="build", level="info") == ["Cloning"]
    assert found(contains="LAST") == ["last"]
    assert found(cursor=4) == ["last"]
    assert found(cursor=10_000_000) == []
    assert cc.get(f"/runs/{run.id}/samples/1/logs", 404)["code"] == "log_not_found"


def test_a_long_log_is_read_in_pieces(cc: Any, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PIECE", 7)
    run = world.planned("a")
    lines = [f"{number} {'x' * (number % 23)}" for number in range(60)]
    world.report({"run": run.id, "claim": "", "what": "log", "shard": 2, "text": "\n".join(lines)})
    for cursor in range(0, 61, 7):
        page = cc.get(f"/runs/{run.id}/logs", limit=100, cursor=cursor)
        assert [line["message"] for line in page["data"]] == lines[cursor:]
    monkeypatch.setattr(logs, "MAX_SCAN", 10)
    page = cc.get(f"/runs/{run.id}/logs", contains="nothing")
    assert (page["data"], page["pagination"]["next_cursor"]) == ([], 10)


def test_artifacts(cc: Any, world: World, http: Any) -> None:
    kinds = {
        "trace.zip": ("application/zip", "binary"),
        "home-expected.png": ("image/png", "expected_output"),
        "home-actual.png": ("image/png", "actual_output"),
        "home-diff.png": ("image/png", "diff"),
        "stdout": ("text/plain", "combined_stdout"),
        "setup.log": ("text/plain", "build_log"),
        "shot.png": ("image/png", "sample_output"),
        "core.123": ("", "coredump"),
    }
    attachments = tuple(Attachment(name, kind, id=uuid_of(name)) for name, (kind, _) in kinds.items())
    run = world.planned("a/b.py::c")
    world.carry_out(run, {"a/b.py::c": [result("a/b.py::c", attachments=attachments)]})
    right = world.signer.sign(f"run:{run.id}", world.clock.now() + 60)
    url = f"/resit/v1/uploads/{uuid_of('trace.zip')}"
    assert http.put(url, content=b"zip", headers={"Authorization": f"Bearer {right}"}).status_code == 204
    rows = {row["filename"]: row for row in walk(cc, f"/runs/{run.id}/artifacts", 3)}
    assert {name: row["type"] for name, row in rows.items()} == {name: type for name, (_, type) in kinds.items()}
    trace, other = rows["trace.zip"], rows["shot.png"]
    assert (trace["size_bytes"], trace["storage_status"], trace["sample_id"]) == (3, "ok", 1)
    assert (other["size_bytes"], other["storage_status"], other["download_url"]) == (None, "missing", None)
    loaded = http.get(trace["download_url"], headers={"Authorization": cc.bearer})
    assert loaded.content == b"zip"
    assert ids(cc.get(f"/runs/{run.id}/artifacts", type="diff"), "filename") == ["home-diff.png"]


# ---------------------------------------------------------------- catalogue


def test_regression_tests(cc: Any, world: World, red: int) -> None:
    rows = walk(cc, "/regression-tests", 2)
    assert ids({"data": rows}, "regression_test_id") == [1, 2, 3, 4, 5]
    assert cc.get("/regression-tests/2") == {**rows[1], "outputs": []}
    assert rows[1]["categories"] == ["a"]
    assert (rows[1]["command"], rows[1]["sample_name"], rows[1]["sample_id"]) == ("a/one.py::bad", "a/one.py", 1)
    world.plan(world.trigger(), [planned("a/one.py::good")])

    def found(**query: Any) -> list[int]:
        return ids(cc.get("/regression-tests", **query), "regression_test_id")

    assert found() == found(active="yes") == [1]
    assert found(active="false") == found(active="0") == [2, 3, 4, 5]
    assert found(active="no", category="B") == found(active="no", sample_id=2) == [3, 4, 5]
    assert found(sample_id=2) == found(category="a/one.py") == found(tag="x") == []
    assert cc.get("/regression-tests/2")["active"] is False


def test_drafts_are_no_regression_tests(cc: Any, world: World, green: int) -> None:
    with world.store.write() as tx:
        project = tx.projects.by_slug("shop")
        assert project is not None
        id = tx.cases.add(project.id, uuid_of("draft"), "A draft", "to be written", NOW)
    assert cc.get("/regression-tests", active="no")["data"] == []
    assert cc.get(f"/regression-tests/{id}", 404)["code"] == "not_found"


def test_tests_come_from_code(cc: Any, green: int) -> None:
    new = {"sample_id": 1, "command": "x", "categories": ["a"]}
    assert cc.post("/regression-tests", new, 403)["code"] == "forbidden"
    assert cc.post("/regression-tests", {**new, "sample_id": 99}, 404)["code"] == "not_found"
    assert cc.post("/regression-tests", {**new, "expected_rc": 256}, 400)["code"] == "validation_error"
    assert cc.post("/regression-tests", {**new, "categories": []}, 400)["code"] == "validation_error"
    for body, status in (({"active": True}, 403), ({}, 400), ({"more": 1}, 400), ({"categories": []}, 400)):
        assert cc.ask("PATCH", "/regression-tests/1", json=body).status_code == status
    answer = cc.ask("DELETE", "/regression-tests/1")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_samples_are_files(cc: Any, world: World) -> None:
    world.plan(
        world.trigger(),
        [planned("a/x.spec.ts::1", tags=("@slow", "x")), planned("a/x.spec.ts::2", tags=("x",)), planned("b_c.py::1")],
    )
    world.plan(world.trigger(), [planned("a/x.spec.ts::1", tags=("@slow",))], claim="again")
    rows = walk(cc, "/samples", 1)
    assert rows[0] == cc.get("/samples/1")
    assert rows[0] == {
        "sample_id": 1,
        "sha": rows[0]["sha"],
        "extension": "ts",
        "original_name": "a/x.spec.ts",
        "filename": "x.spec.ts",
        "tags": ["@slow"],
        "regression_test_count": 1,
        "active": True,
    }
    assert (rows[1]["active"], rows[1]["regression_test_count"]) == (False, 0)

    def found(**query: Any) -> list[int]:
        return ids(cc.get("/samples", **query), "sample_id")

    assert found(status="active") == found(extension="TS") == found(tag="SLOW") == found(sha256=rows[0]["sha"]) == [1]
    assert found(status="inactive") == found(name="B_C") == [2]
    assert found(tag="x") == found(sha256="0" * 64) == found(extension="js") == found(name="bXc") == []


def test_the_history_of_a_sample(cc: Any, world: World, red: int) -> None:
    again = cc.post(f"/runs/{red}/retry", {"failed_only": True})["new_run_id"]
    world.settle()
    world.carry_out(world.run(again))
    rows = walk(cc, "/samples/2/history", 2)
    assert [(row["run_id"], row["regression_test_id"], row["status"]) for row in rows] == [
        (again, 3, "pass"),
        (red, 3, "missing_output"),
        (red, 4, "skipped"),
        (red, 5, "pass"),
    ]
    assert [row["failure_signature"] for row in rows] == [None, "missing_output", None, None]
    assert rows[0]["tested_at"] == "2023-11-14T22:13:20Z"

    def found(**query: Any) -> list[int]:
        return ids(cc.get("/samples/2/history", **query), "run_id")

    assert found(regression_test_id=3) == [again, red]
    assert found(status="pass") == [again, red]
    assert found(status="fail") == found(branch="x") == found(platform="windows") == []
    assert found(status="missing_output", created_before="2023-11-14T22:13:20Z") == [red]
    assert found(created_after="2023-11-14T22:13:21Z") == []


# ---------------------------------------------------------------- system


def test_health(http: Any, bearing: Any, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    document = bearing("").get("/system/health")
    assert document == {
        "status": "ok",
        "checked_at": "2023-11-14T22:13:20Z",
        "dependencies": [
            {"name": "database", "status": "ok", "message": None},
            {"name": "broker", "status": "ok", "message": None},
        ],
    }

    assert http.head("/api/v1/system/health").status_code == 200

    def away(*_: Any) -> None:
        raise RuntimeError

    http.app.state.services = replace(http.app.state.services, signals=away)
    assert bearing("").get("/system/health")["status"] == "degraded"
    monkeypatch.setattr(type(world.reads), "run_seq", away)
    document = bearing("").get("/system/health", 503)
    assert (document["status"], document["dependencies"][0]["status"]) == ("down", "down")


def test_a_run_with_more_tests_than_the_contract_lists_says_so(cc: Any, world: World) -> None:
    world.plan(world.trigger(), [planned(f"a::{number}") for number in range(501)])
    config = cc.get("/runs/1/config")
    assert len(config["regression_test_ids"]) == 500
    assert (config["truncated"], config["regression_test_count"]) == (True, 501)


def test_the_dialect_answers_under_its_name_too(http: Any, cc: Any, green: int) -> None:
    answer = http.get("/ccextractor/api/v1/runs", headers={"Authorization": cc.bearer})
    assert answer.content == cc.ask("GET", "/runs").content


def test_who_tells_a_person_by_name(cc: Any, world: World) -> None:
    world.runs.trigger(ADMIN, "shop", Request(actor="ann"))
    assert cc.get("/runs/1")["triggered_by"] == "ann"
