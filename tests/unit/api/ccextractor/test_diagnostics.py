"""Errors, logs, files, the catalogue and the state of the server."""

from dataclasses import replace
from typing import Any

import pytest

from resit.api.ccextractor import logs
from resit.domain.access import Role, Scope
from resit.domain.events import Attachment
from resit.domain.ledger import lost
from resit.services.requests import Request
from resit.testing.factories import ADMIN, NOW, planned, result, uuid_of
from resit.testing.world import World


def ids(document: Any, name: str = "run_id") -> list[Any]:
    return [row[name] for row in document["data"]]


# ---------------------------------------------------------------- errors


def test_errors_are_what_failed_only_takes_up(cc: Any, red: int) -> None:
    rows = cc.walk(f"/runs/{red}/errors", 1)
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
    buckets = cc.walk(f"/runs/{run.id}/error-summary", 1, group_by=group)
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
    rows = cc.walk(f"/runs/{run.id}/infrastructure-errors", 2)
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
        world.clock.turn(60)
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

    # A line is as old as its beginning.
    minutes = [line["timestamp"][14:16] for line in seen]
    assert minutes == [minutes[0]] * 2 + [f"{int(minutes[0]) + 1:02}"] * 2 + [f"{int(minutes[0]) + 2:02}"]

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
    right = world.work.upload_token(run, "w1")
    url = f"/resit/v1/uploads/{uuid_of('trace.zip')}"
    assert http.put(url, content=b"zip", headers={"Authorization": f"Bearer {right}"}).status_code == 204
    rows = {row["filename"]: row for row in cc.walk(f"/runs/{run.id}/artifacts", 3)}
    assert {name: row["type"] for name, row in rows.items()} == {name: type for name, (_, type) in kinds.items()}
    trace, other = rows["trace.zip"], rows["shot.png"]
    assert (trace["size_bytes"], trace["storage_status"], trace["sample_id"]) == (3, "ok", 1)
    assert (other["size_bytes"], other["storage_status"], other["download_url"]) == (None, "missing", None)
    loaded = http.get(trace["download_url"], headers={"Authorization": cc.bearer})
    assert loaded.content == b"zip"
    assert ids(cc.get(f"/runs/{run.id}/artifacts", type="diff"), "filename") == ["home-diff.png"]


# ---------------------------------------------------------------- catalogue


def test_regression_tests(cc: Any, world: World, red: int) -> None:
    rows = cc.walk("/regression-tests", 2)
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
    rows = cc.walk("/samples", 1)
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
    rows = cc.walk("/samples/2/history", 2)
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
