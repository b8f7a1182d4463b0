"""Retry and cancel: the seed's exchange to the letter, and points 1 to 5 of the acceptance check (study 4.3)."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from resit.domain.access import Scope
from resit.testing.factories import result
from resit.testing.world import World

VIEWS = (
    "", "/summary", "/progress", "/config", "/samples", "/samples/1", "/errors", "/infrastructure-errors",
    "/error-summary", "/artifacts",
)  # fmt: skip
ENVELOPE = {"code", "message", "details"}


def test_the_exchange_of_the_seed(cc: Any, red: int) -> None:
    answer = cc.ask("POST", f"/runs/{red}/retry", json={"failed_only": True, "reason": "flaky network"})
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert document == {
        "run_id": red,
        "new_run_id": red + 1,
        "action": "retry",
        "status": "accepted",
        "message": document["message"],
    }
    assert f"Run {red + 1}" in document["message"]


def test_the_source_stays_byte_for_byte(cc: Any, world: World, red: int) -> None:
    def seen() -> list[bytes]:
        return [cc.ask("GET", f"/runs/{red}{path}").content for path in VIEWS]

    before, dump = seen(), world.dump(world.run(red))
    made = cc.post(f"/runs/{red}/retry")["new_run_id"]
    assert seen() == before
    world.settle()
    world.carry_out(world.run(made))
    assert seen() == before
    assert world.dump(world.run(red)) == dump
    assert cc.get(f"/runs/{made}")["status"] == "pass"


@pytest.mark.parametrize("body", [None, {}, {"failed_only": False}, {"reason": ""}, {"reason": "x" * 255}])
def test_a_full_retry_has_the_configuration_of_its_source(cc: Any, red: int, body: Any) -> None:
    made = cc.post(f"/runs/{red}/retry", body)["new_run_id"]
    source, new = cc.get(f"/runs/{red}/config"), cc.get(f"/runs/{made}/config")
    assert new == {**source, "run_id": made}
    assert source["regression_test_ids"] == [1, 2, 3, 4, 5]
    assert cc.get(f"/runs/{made}")["status"] == "queued"


def test_failed_only_takes_fail_and_missing_output_alone(cc: Any, world: World, red: int) -> None:
    rows = cc.get(f"/runs/{red}/samples")["data"]
    failed = [row["regression_test_id"] for row in rows if row["status"] in ("fail", "missing_output")]
    made = cc.post(f"/runs/{red}/retry", {"failed_only": True})["new_run_id"]
    assert cc.get(f"/runs/{made}/config")["regression_test_ids"] == failed == [2, 3]
    assert cc.get(f"/runs/{made}/summary")["total_samples"] == 2
    world.settle()
    assert cc.get(f"/runs/{made}/config")["regression_test_ids"] == failed


def test_commit_branch_and_pull_request_are_the_source_s(cc: Any, world: World, red: int) -> None:
    words = {"repository": "local/shop", "commit_sha": "Ab" * 20, "platform": "linux", "branch": "f/x"}
    first = cc.post("/runs", {**words, "pull_request": 7})
    world.plan(world.run(first["run_id"]), [])
    made = cc.post(f"/runs/{first['run_id']}/retry")["new_run_id"]
    new = cc.get(f"/runs/{made}")
    for name in ("repository", "commit_sha", "branch", "platform", "test_type", "pr_number"):
        assert new[name] == first[name]
    assert (new["commit_sha"], new["branch"], new["test_type"], new["pr_number"]) == ("Ab" * 20, "f/x", "pr", 7)


def test_nothing_failed_is_unprocessable_and_makes_no_run(cc: Any, world: World, green: int) -> None:
    refused = cc.post(f"/runs/{green}/retry", {"failed_only": True}, 422)
    assert set(refused) == ENVELOPE
    assert (refused["code"], refused["details"]) == ("unprocessable", {"failed_count": 0})
    assert cc.get("/runs")["pagination"]["total"] == 1
    made = cc.post(f"/runs/{green}/retry")["new_run_id"]
    assert made == green + 1


def test_tests_without_a_result_did_not_fail(cc: Any, world: World) -> None:
    run = world.planned("a", "b")
    world.report(
        {**world.voice(run), "what": "batch.started"},
    )
    cc.post(f"/runs/{run.id}/cancel")
    assert cc.get(f"/runs/{run.id}")["status"] == "canceled"
    refused = cc.post(f"/runs/{run.id}/retry", {"failed_only": True}, 422)
    assert refused["details"] == {"failed_count": 0}
    assert "without a result did not fail" in refused["message"]


@pytest.mark.parametrize("planned", [False, True])
def test_an_open_run_is_retried_as_a_whole_only(cc: Any, world: World, planned: bool) -> None:
    run = world.planned("a") if planned else world.trigger()
    word = "running" if planned else "queued"
    assert cc.get(f"/runs/{run.id}")["status"] == word
    refused = cc.post(f"/runs/{run.id}/retry", {"failed_only": True}, 422)
    assert (refused["code"], refused["details"]) == ("unprocessable", {"status": word})
    assert cc.post(f"/runs/{run.id}/retry")["new_run_id"] == run.id + 1


def test_a_retry_of_a_retry_takes_the_run_in_the_path_for_its_source(cc: Any, world: World, red: int) -> None:
    second = cc.post(f"/runs/{red}/retry", {"failed_only": True})["new_run_id"]
    world.settle()
    bad = "a/one.py::bad"
    world.carry_out(world.run(second), {bad: [result(bad, "failed")]})
    third = cc.post(f"/runs/{second}/retry", {"failed_only": True})["new_run_id"]
    assert cc.get(f"/runs/{third}/config")["regression_test_ids"] == [2]
    assert [world.run(id).source_run_id for id in (red, second, third)] == [None, red, second]


def test_fifty_retries_at_once_are_fifty_runs(cc: Any, red: int) -> None:
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: cc.ask("POST", f"/runs/{red}/retry"), range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["new_run_id"] for answer in answers} - {red}) == 50
    assert cc.get("/runs")["pagination"]["total"] == 51


def test_an_idempotency_key_makes_one_run(cc: Any, red: int) -> None:
    made = {cc.post(f"/runs/{red}/retry", Idempotency_Key="k")["new_run_id"] for _ in range(3)}
    assert len(made) == 1
    reused = cc.post(f"/runs/{red}/retry", {"failed_only": True}, 409, Idempotency_Key="k")
    assert reused["code"] == "conflict"
    assert cc.post(f"/runs/{red}/retry", None, 400, Idempotency_Key="k" * 256)["code"] == "validation_error"


MALFORMED: list[tuple[bytes, str]] = [
    (b"{", ""),
    (b"nonsense", ""),
    (b"null", ""),
    (b"7", ""),
    (b"[]", ""),
    (b'"x"', ""),
    (b"\xff\xfe", ""),
    (b"[" * 100_000, ""),
    (b'{"failed_only": ' + b"[" * 100 + b"]" * 100 + b"}", ""),
    (b'{"failed_only": "true"}', "failed_only"),
    (b'{"failed_only": 1}', "failed_only"),
    (b'{"failed_only": null}', "failed_only"),
    (b'{"reason": 7}', "reason"),
    (b'{"reason": null}', "reason"),
    (b'{"reason": "' + b"x" * 256 + b'"}', "reason"),
    (b'{"reason": "\\ud800"}', "reason"),
    (b'{"reason": "a\\u0000b"}', "reason"),
    (b'{"tests": []}', "tests"),
]


@pytest.mark.parametrize(("content", "field"), MALFORMED, ids=range(len(MALFORMED)))
@pytest.mark.parametrize("action", ["retry", "cancel"])
def test_a_malformed_body_is_refused_and_nothing_happens(
    cc: Any, world: World, red: int, content: bytes, field: str, action: str
) -> None:
    if action == "cancel" and field == "failed_only":
        field = ""
    answer = cc.ask(
        "POST", f"/runs/{red}/{action}", content=content, headers={"Content-Type": "application/json; charset=utf-8"}
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "validation_error"
    assert set(answer.json()) == ENVELOPE
    if field:
        assert field in answer.json()["details"]["fields"]
    assert cc.get("/runs")["pagination"]["total"] == 1


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
def test_another_content_type_is_415(cc: Any, red: int, kind: str) -> None:
    answer = cc.ask("POST", f"/runs/{red}/retry", content=b"{}", headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (415, "validation_error")
    empty = cc.ask("POST", f"/runs/{red}/retry", content=b"", headers={"Content-Type": kind})
    assert empty.status_code == 202


# ---------------------------------------------------------------- cancel, restart


def test_cancel_is_accepted_and_then_a_no_op(cc: Any, world: World) -> None:
    run = world.planned("a", "b")
    first = cc.post(f"/runs/{run.id}/cancel", {"reason": "  not needed  "})
    assert first == {"run_id": run.id, "action": "cancel", "status": "accepted", "message": first["message"]}
    events = cc.get(f"/runs/{run.id}/progress")["data"]
    assert [event["status"] for event in events] == ["queued", "preparation", "testing", "canceled"]
    assert events[-1]["message"] == "Canceled by ci: not needed"
    before = cc.ask("GET", f"/runs/{run.id}").content
    world.report(
        {**world.voice(run), "what": "batch.started"},
        {**world.voice(run), "what": "batch.ended"},
    )
    for _ in range(2):
        assert cc.post(f"/runs/{run.id}/cancel")["status"] == "no_op"
    assert cc.ask("GET", f"/runs/{run.id}").content == before
    assert cc.get(f"/runs/{run.id}/summary")["skipped_count"] == 2


def test_a_finished_run_is_not_cancelled(cc: Any, red: int, green: int) -> None:
    for id, word in ((red, "fail"), (green, "pass")):
        assert cc.post(f"/runs/{id}/cancel")["status"] == "no_op"
        assert cc.get(f"/runs/{id}")["status"] == word


@pytest.mark.parametrize("reason", ["four", "   four   ", "x" * 256, ""])
def test_a_reason_for_cancelling_has_5_to_255_characters(cc: Any, world: World, reason: str) -> None:
    run = world.planned("a")
    assert "reason" in cc.post(f"/runs/{run.id}/cancel", {"reason": reason}, 400)["details"]["fields"]
    assert cc.get(f"/runs/{run.id}")["status"] == "running"


def test_a_run_that_was_stopped_while_it_waited_was_never_prepared(cc: Any, world: World) -> None:
    run = world.trigger()
    world.clock.turn(60)
    cc.post(f"/runs/{run.id}/cancel")
    assert [e["status"] for e in cc.get(f"/runs/{run.id}/progress")["data"]] == ["queued", "canceled"]
    assert cc.get(f"/runs/{run.id}")["started_at"] is None
    assert len(cc.get(f"/runs/{run.id}/progress", status="canceled")["data"]) == 1


def test_restart_wipes_nothing(cc: Any, world: World, red: int) -> None:
    before = world.dump(world.run(red))
    refused = cc.post(f"/runs/{red}/restart", None, 405)
    assert refused["code"] == "method_not_allowed"
    assert f"/runs/{red}/retry" in refused["message"]
    assert cc.post("/runs/99/restart", None, 404)["code"] == "not_found"
    assert world.dump(world.run(red)) == before


def test_who_may_read_may_not_retry(cc: Any, bearing: Any, token: Any, red: int) -> None:
    reader = bearing(token(scopes=[Scope.RUNS_READ.value]))
    refused = reader.post(f"/runs/{red}/retry", None, 403)
    assert refused["code"] == "forbidden"
    assert refused["details"] == {
        "required_scope": "runs:write",
        "required_scopes": ["runs:write"],
        "missing_scopes": ["runs:write"],
        "token_scopes": ["runs:read"],
    }
