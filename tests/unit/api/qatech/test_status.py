"""How a run and its tests stand (study 1.2, 1.8; checklist 7, 8, 11)."""

import itertools
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from resit.domain import wire
from resit.domain.events import Attachment
from resit.domain.ids import row_uuid
from resit.domain.run import Run
from resit.testing.factories import ADMIN, NOW, planned, result
from resit.testing.world import World

Refused = Callable[..., str]
KEYS = [
    "id", "shortId", "name", "status", "result", "resultTitle", "evaluationThought", "promptGoal", "promptExamples",
    "projectTestCaseId",
]  # fmt: skip


def get(client: TestClient, world: World, run: Run, base: str = "/v1/run", **query: str) -> dict[str, Any]:
    """The answer."""
    answer = client.get(f"{base}/{world.ids.short(run.id)}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_from_the_start_to_the_end(world: World, shop: TestClient) -> None:
    run = world.trigger()
    short = world.ids.short(run.id)
    said = {"id": run.uuid, "shortId": short, "status": "INITIATED", "result": None, "runTestCases": []}
    assert get(shop, world, run) == said
    assert list(get(shop, world, run)) == list(said)
    world.settle()
    world.report({"run": run.id, "claim": "planner", "what": "plan.started"})
    assert get(shop, world, run) == {**said, "status": "RUNNING"}
    world.plan(run, [planned("a")])
    assert get(shop, world, run) == {**said, "status": "RUNNING"}
    world.carry_out(world.run(run.id))
    assert get(shop, world, run) == {**said, "status": "COMPLETED", "result": "PASSED"}


def test_a_cancelled_run(world: World, shop: TestClient) -> None:
    run = world.planned("a")
    world.runs.cancel(ADMIN, run.id)
    found = get(shop, world, run, testCases="all")
    assert (found["status"], found["result"]) == ("CANCELLED", None)
    assert [(t["status"], t["result"]) for t in found["runTestCases"]] == [("CANCELLED", None)]


def test_a_run_that_could_not_be_carried_through(world: World, shop: TestClient) -> None:
    run = world.trigger()
    world.planner.give_up(run.id, "no reason")
    found = get(shop, world, run, testCases="all")
    assert (found["status"], found["result"], found["runTestCases"]) == ("ERROR", None, [])


def test_a_run_whose_tests_were_all_skipped(world: World, shop: TestClient) -> None:
    run = world.carry_out(world.planned("a"), {"a": [result("a", "skipped")]})
    assert get(shop, world, run)["result"] == "SKIPPED"


def test_errors_of_tests_make_a_finished_run_failed(world: World, shop: TestClient) -> None:
    """Study 2.3: infrastructure errors must not get through."""
    run = world.carry_out(world.planned("a", "b"), {"a": [result("a", "errored")]})
    found = get(shop, world, run, testCases="all")
    assert (found["status"], found["result"]) == ("COMPLETED", "FAILED")
    assert [(t["status"], t["result"]) for t in found["runTestCases"]] == [("ERROR", None), ("COMPLETED", "PASSED")]


def test_every_test_of_a_mixed_run(world: World, shop: TestClient, mixed: Run, case_of: Callable[[str], str]) -> None:
    found = get(shop, world, mixed, testCases="all")
    assert (found["status"], found["result"]) == ("COMPLETED", "FAILED")
    tests = found["runTestCases"]
    assert all(list(test) == KEYS for test in tests)
    said = {test["name"]: (test["status"], test["result"], test["resultTitle"]) for test in tests}
    assert said == {
        "p": ("COMPLETED", "PASSED", None),
        "k": ("COMPLETED", "PASSED", None),
        "f": ("COMPLETED", "FAILED", "it went wrong"),
        "s": ("COMPLETED", "SKIPPED", "not today"),
        "d": ("COMPLETED", "SKIPPED", "the one before it failed"),
        "i": ("COMPLETED", "SKIPPED", "interrupted"),
        "e": ("ERROR", None, "it went wrong"),
        "g": ("ERROR", None, "planned, but not collected"),
    }
    for test in tests:
        name = f"t.py::{test['name']}"
        assert test["id"] == row_uuid(mixed.uuid, name)
        assert test["projectTestCaseId"] == case_of(name)
    assert len({test["shortId"] for test in tests}) == 8


def test_failed_shows_what_failed_only_runs_again(world: World, shop: TestClient, mixed: Run) -> None:
    """Study 2.5: the same predicate in both places."""
    shown = get(shop, world, mixed, testCases="failed")["runTestCases"]
    assert [test["name"] for test in shown] == list("fseigd")
    count = shop.post(f"/v1/run/{world.ids.short(mixed.id)}", json={"failedOnly": True}).json()["run"]["testCount"]
    assert count == len(shown)


def test_before_the_plan_the_foreseen_tests_are_shown(world: World, shop: TestClient, mixed: Run) -> None:
    """Checklist 7: as many as the start said, whenever they are asked for, with ids that stay."""
    started = shop.post(f"/v1/run/{world.ids.short(mixed.id)}", json={"failedOnly": True}).json()["run"]
    where = f"/v1/run/{started['shortId']}?testCases="
    before = shop.get(f"{where}all").json()["runTestCases"]
    assert len(before) == started["testCount"]
    assert {test["status"] for test in before} == {"INITIATED"}
    assert shop.get(f"{where}failed").json()["runTestCases"] == []
    detail = shop.get(f"/v1/run-test-case/{before[2]['shortId']}").json()
    assert detail["name"] == before[2]["name"]
    world.settle()
    after = shop.get(f"{where}all").json()["runTestCases"]
    assert [(t["id"], t["shortId"], t["name"]) for t in after] == [(t["id"], t["shortId"], t["name"]) for t in before]
    again = shop.post("/v1/run").json()["run"]
    assert len(shop.get(f"/v1/run/{again['shortId']}?testCases=all").json()["runTestCases"]) == again["testCount"] == 8


def test_both_paths_say_the_same(world: World, shop: TestClient, mixed: Run) -> None:
    """Checklist 11, doubled slashes and a prefix included; none of them redirects."""
    short = world.ids.short(mixed.id)
    paths = [
        f"/v1/run/{short}",
        f"/run/{short}",
        f"//v1/run/{short}",
        f"/qatech/run/{short}",
        f"/qatech//v1/run/{short}",
    ]
    answers = [shop.get(f"http://resit.test{path}?testCases=all", follow_redirects=False) for path in paths]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.parametrize("value", ["", "some", "FAILED", "all,failed", "%00", "x" * 5000])
def test_other_values_are_refused(world: World, shop: TestClient, mixed: Run, refused: Refused, value: str) -> None:
    refused(shop.get(f"/v1/run/{world.ids.short(mixed.id)}?testCases={value}"), 400, "testCases")


def test_issues_are_asked_for_in_vain(world: World, shop: TestClient, mixed: Run) -> None:
    assert get(shop, world, mixed, issues="accessibility") == get(shop, world, mixed, issues="all")


def test_lists_of_tests_need_their_scope(
    world: World, shop: TestClient, mixed: Run, refused: Refused, token: Callable[..., str]
) -> None:
    shop.headers["Authorization"] = token(scopes=["runs:read"])
    assert get(shop, world, mixed)["result"] == "FAILED"
    refused(shop.get(f"/v1/run/{world.ids.short(mixed.id)}?testCases=all"), 403, "results:read")


# ---------------------------------------------------------------- one test


def test_the_detail_of_each_test(world: World, shop: TestClient, mixed: Run) -> None:
    for test in get(shop, world, mixed, testCases="all")["runTestCases"]:
        answer = shop.get(f"/v1/run-test-case/{test['shortId']}")
        assert answer.status_code == 200
        detail = answer.json()
        assert {key: detail[key] for key in KEYS} == test
        assert list(detail)[len(KEYS) :] == [
            "errorCode", "classification", "runShortId", "startedAt", "completedAt", "durationMs", "url",
            "screenshotUrl", "recordingUrl",
        ]  # fmt: skip
        assert detail["runShortId"] == world.ids.short(mixed.id)
        assert detail["url"] == f"http://resit.test/p/shop/results/test/{test['shortId']}"
        ran = test["name"] not in "gd"
        assert (detail["startedAt"] == "2023-11-14T22:13:20.000Z") == ran
        assert detail["durationMs"] == (500 if ran else None)
        codes = {"f": "TEST_FAILED", "e": "PLATFORM_ERROR", "g": "PLATFORM_TEST_NOT_FOUND"}
        assert detail["errorCode"] == codes.get(test["name"])


def test_a_test_at_work_has_no_end(world: World, shop: TestClient) -> None:
    run = world.planned("a")
    voice = world.voice(run)
    events = [wire.to_wire(result("a", "failed", final=False))]
    world.report({**voice, "what": "batch.started"}, {**voice, "what": "batch.events", "events": events})
    short = get(shop, world, run, testCases="all")["runTestCases"][0]["shortId"]
    detail = shop.get(f"/v1/run-test-case/{short}").json()
    assert (detail["status"], detail["result"], detail["completedAt"], detail["durationMs"]) == (
        "RUNNING",
        None,
        None,
        None,
    )
    assert detail["startedAt"]


def _id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


@pytest.fixture
def filmed(world: World, shop: TestClient) -> Run:
    """A run of one test that failed twice, with files."""
    del shop
    run = world.planned("a")
    names = ["log.txt", "shot.png", "film.webm", "lost.png"]
    kinds = ["text/plain", "image/png", "video/webm", "image/png"]
    files = tuple(
        Attachment(name, kind, f"/tmp/{name}", _id(n), 3)
        for n, (name, kind) in enumerate(zip(names, kinds, strict=True))
    )
    tries = [
        result("a", "failed", final=False),
        result("a", "failed", retry=1, started_at=NOW + 2, attachments=(files[3], *files[:3])),
    ]
    run = world.carry_out(run, {"a": tries})
    folder = world.folder / "artifacts" / str(run.id)
    folder.mkdir(parents=True)
    for file in files[:3]:
        (folder / file.id).write_bytes(b"abc")
        world.work.uploaded(run.id, file.id, 3)
    return run


def test_files_can_be_downloaded_without_a_key(
    world: World, shop: TestClient, anyone: TestClient, filmed: Run, refused: Refused
) -> None:
    short = get(shop, world, filmed, testCases="all")["runTestCases"][0]["shortId"]
    detail = shop.get(f"/v1/run-test-case/{short}").json()
    del anyone.headers["Authorization"]
    for key, kind, number in (("screenshotUrl", "image/png", 1), ("recordingUrl", "video/webm", 2)):
        url = urlsplit(detail[key])
        assert url.netloc == "resit.test"
        answer = anyone.get(detail[key])
        assert (answer.status_code, answer.content) == (200, b"abc")
        assert answer.headers["content-type"] == kind
        assert answer.headers["content-disposition"].startswith("attachment")
        assert _id(number) in url.path
        refused(anyone.get(detail[key].replace(_id(number), _id(0))), 403)
        refused(anyone.get(detail[key][:-1]), 403)
    world.clock.turn(3601)
    refused(anyone.get(detail["screenshotUrl"]), 403, "no longer")


def test_the_trace_has_a_step_for_each_try(world: World, shop: TestClient, filmed: Run, refused: Refused) -> None:
    short = get(shop, world, filmed, testCases="all")["runTestCases"][0]["shortId"]
    where = f"/v1/run-test-case/{short}/trace"
    trace = shop.get(where).json()
    assert list(trace) == ["runTestCaseShortId", "total", "limit", "offset", "steps"]
    assert (trace["runTestCaseShortId"], trace["total"], trace["limit"], trace["offset"]) == (short, 2, 20, 0)
    first, second = trace["steps"]
    assert first == {
        "index": 0,
        "startedAt": "2023-11-14T22:13:20.000Z",
        "endedAt": "2023-11-14T22:13:20.500Z",
        "durationMs": 500,
        "reasoning": "it went wrong",
        "toolCalls": [],
        "toolResult": "it went wrong\n  at line 7",
        "screenshotUrl": None,
    }
    assert second["index"] == 1
    assert second["screenshotUrl"]
    page = shop.get(where, params={"limit": 1, "offset": 1}).json()
    assert (page["total"], page["limit"], page["offset"]) == (2, 1, 1)
    assert [step["index"] for step in page["steps"]] == [1]
    assert shop.get(where, params={"offset": 2}).json()["steps"] == []
    assert shop.get(where, params={"limit": 5000}).json()["limit"] == 1000
    for name, value in itertools.product(("limit", "offset"), ("-1", "x", str(10**30), "1.5", "")):
        if (name, value) != ("limit", str(10**30)):
            refused(shop.get(where, params={name: value}), 400, name)


@pytest.mark.parametrize("end", ["", "/trace"])
def test_a_test_of_another_project_is_not_there(
    world: World, shop: TestClient, mixed: Run, refused: Refused, token: Callable[..., str], end: str
) -> None:
    short = get(shop, world, mixed, testCases="all")["runTestCases"][0]["shortId"]
    world.project("other")
    other = {"Authorization": token(project="other")}
    said = refused(shop.get(f"/v1/run-test-case/{short}{end}", headers=other), 404)
    missing = world.ids.short_of(mixed.id, 9)
    there = refused(shop.get(f"/v1/run-test-case/{missing}{end}"), 404)
    assert said.replace(short, "?") == there.replace(missing, "?")
    for numbers in ((mixed.id, 0), (99, 1), (0, 1), (mixed.id, 10**15), (2**60, 1)):
        refused(shop.get(f"/v1/run-test-case/{world.ids.short_of(*numbers)}{end}"), 404)
    refused(shop.get(f"/v1/run-test-case/{short}{end}", headers={"Authorization": "Bearer x"}), 401)
    reading = {"Authorization": token(scopes=["runs:read"])}
    refused(shop.get(f"/v1/run-test-case/{short}{end}", headers=reading), 403)
