"""What runs, their tests, errors, logs and files look like, and how they are paged and filtered."""

from typing import Any

from resit.domain import wire
from resit.domain.project import Environment, Platform
from resit.testing.factories import NOW, did_not_run, not_collected, planned, result, uuid_of
from resit.testing.world import World

SHA = "0123456789abcdef0123456789ABCDEF01234567"
RUN = {"repository": "local/shop", "commit_sha": SHA, "platform": "linux"}


def ids(document: Any, name: str = "run_id") -> list[Any]:
    return [row[name] for row in document["data"]]


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
    assert cc.walk(f"/runs/{red}/progress", 1) == events


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
    assert len(cc.walk("/runs", 2)) == 3
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
    rows = cc.walk(f"/runs/{red}/samples", 2)
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


def test_a_request_that_is_sent_again_with_its_key_makes_no_second_run(cc: Any, world: World) -> None:
    made = [cc.post("/runs", RUN, Idempotency_Key="deploy 1") for _ in range(2)]
    assert made[0] == made[1]
    other = cc.post("/runs", {**RUN, "branch": "other"}, 409, Idempotency_Key="deploy 1")
    assert (other["code"], other["details"]) == ("conflict", {"run_id": made[0]["run_id"]})
    assert cc.get("/runs")["pagination"]["total"] == 1
