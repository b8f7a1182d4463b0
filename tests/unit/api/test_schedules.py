"""Schedules, delayed runs and priorities over HTTP."""

from typing import Any

from starlette.testclient import TestClient

from resit.testing.world import World

V1 = "/resit/v1"


def made(api: TestClient, **body: Any) -> dict[str, Any]:
    words = {"name": "nightly", "cron": "0 3 * * 1-5", "zone": "Europe/Berlin", **body}
    answer = api.post(f"{V1}/projects/shop/schedules", json=words)
    assert answer.status_code == 201, answer.text
    return answer.json()


def trigger(api: TestClient, **body: Any) -> dict[str, Any]:
    answer = api.post(f"{V1}/projects/shop/runs", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_schedule(api: TestClient, world: World) -> None:
    world.environment()
    words = {"environment": "staging", "tags": ["@smoke"], "priority": -5, "variables": {"A": "1"}, "max_failures": 3}
    schedule = made(api, run=words)
    assert schedule["next"] == {"local": "2023-11-15T03:00:00+01:00", "utc": "2023-11-15T02:00:00Z"}
    assert [time["local"][:10] for time in schedule["upcoming"]] == [
        "2023-11-15", "2023-11-16", "2023-11-17", "2023-11-20", "2023-11-21",
    ]  # fmt: skip
    assert {name: schedule["run"][name] for name in words} == words
    assert (schedule["last_run"], schedule["alert"], schedule["missed"], schedule["of_environment"]) == (
        None,
        "",
        0,
        False,
    )
    assert api.get(f"{V1}/schedules/{schedule['id']}").json() == schedule
    listed = api.get(f"{V1}/schedules", params={"project": "shop"}).json()
    assert listed == {"items": [{**schedule, "upcoming": []}], "next": None}


def test_lists_page_by_key(api: TestClient) -> None:
    numbers = [made(api, name=f"n{number}")["id"] for number in range(3)]
    first = api.get(f"{V1}/schedules", params={"limit": 2}).json()
    assert [one["id"] for one in first["items"]] == numbers[:2]
    second = api.get(f"{V1}/schedules", params={"limit": 2, "cursor": first["next"]}).json()
    assert ([one["id"] for one in second["items"]], second["next"]) == (numbers[2:], None)


def test_it_is_changed_paused_run_and_removed(api: TestClient, world: World) -> None:
    world.environment()
    path = f"{V1}/schedules/{made(api, run={'environment': 'staging', 'group': 'deploy'})['id']}"
    changed = api.patch(path, json={"zone": "UTC", "overlap": "skip"}).json()
    assert (changed["next"]["local"], changed["overlap"]) == ("2023-11-15T03:00:00Z", "skip")
    assert (changed["run"]["environment"], changed["run"]["group"]) == ("staging", "deploy")
    changed = api.patch(path, json={"run": {"tags": ["@b"]}}).json()
    assert (changed["run"]["environment"], changed["run"]["tags"], changed["run"]["group"]) == ("", ["@b"], "")
    paused = api.patch(path, json={"active": False}).json()
    assert (paused["next"], paused["upcoming"], paused["active"]) == (None, [], False)
    started = api.post(f"{path}/run", headers={"Idempotency-Key": "k"})
    assert started.status_code == 201
    run = started.json()
    assert (run["via"], run["schedule_id"], run["actor"]) == ("manual", paused["id"], "schedule nightly")
    assert api.post(f"{path}/run", headers={"Idempotency-Key": "k"}).status_code == 200
    last = api.get(path).json()["last_run"]
    assert (last["id"], last["status"], last["verdict"]) == (run["id"], "admitted", None)
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404
    assert api.get(f"{V1}/runs/{run['id']}").json()["schedule_id"] == paused["id"], "its runs stay as they were"


def test_one_that_does_not_fire_says_so(api: TestClient, world: World) -> None:
    schedule = made(api)
    world.clock.turn(30 * 86400)
    late = api.get(f"{V1}/schedules/{schedule['id']}").json()
    assert "is a control plane at work?" in late["alert"]
    for found in world.schedules.due():
        world.schedules.fire(found)
    missed = api.get(f"{V1}/schedules/{schedule['id']}").json()
    assert "no control plane was at work" in missed["alert"]
    assert missed["note"].startswith("missed at 2023-11-15 03:00 CET")
    assert missed["missed"] == 22
    mended = api.patch(f"{V1}/schedules/{schedule['id']}", json={}).json()
    assert (mended["alert"], mended["note"], mended["missed"]) == ("", "", 0)


def test_an_environments_own(api: TestClient, world: World) -> None:
    world.environment(schedule="0 6 * * *")
    (own,) = api.get(f"{V1}/schedules").json()["items"]
    assert (own["name"], own["of_environment"], own["run"]["environment"]) == ("environment:staging", True, "staging")
    path = f"{V1}/schedules/{own['id']}"
    assert api.patch(path, json={"cron": "0 7 * * *"}).status_code == 400
    assert api.delete(path).status_code == 400
    changed = api.patch(path, json={"run": {"environment": "staging", "tags": ["@smoke"]}})
    assert changed.json()["run"]["tags"] == ["@smoke"]
    assert api.patch(path, json={"run": {"environment": "default"}}).status_code == 400


def test_a_run_says_what_was_asked_and_what_it_waits_for(api: TestClient) -> None:
    run = trigger(api, priority=7, max_failures=2, start_at="2023-11-15T09:00:00+01:00")
    assert (run["priority"], run["max_failures"], run["start_at"]) == (7, 2, "2023-11-15T08:00:00Z")
    assert (run["status"], run["waiting_for"]) == ("requested", "starts at 2023-11-15 08:00:00 UTC")
    plain = trigger(api)
    assert (plain["priority"], plain["max_failures"], plain["start_at"], plain["schedule_id"]) == (0, 0, None, None)
    assert plain["waiting_for"] == "waits for a worker of pool 'default': none is alive"
    listed = {one["id"]: one["waiting_for"] for one in api.get(f"{V1}/runs").json()["items"]}
    assert listed == {run["id"]: run["waiting_for"], plain["id"]: plain["waiting_for"]}


def test_a_waiting_run_is_changed(api: TestClient) -> None:
    run = trigger(api, start_at="2023-11-15T09:00:00+01:00")
    path = f"{V1}/runs/{run['id']}"
    changed = api.patch(path, json={"priority": 5, "start_at": "2023-11-16T00:00:00Z"}).json()
    assert (changed["priority"], changed["start_at"]) == (5, "2023-11-16T00:00:00Z")
    assert api.patch(path, json={"priority": 6}).json()["start_at"] == "2023-11-16T00:00:00Z"
    assert api.patch(path, json={"start_at": None}).json()["status"] == "admitted"
    refused = api.patch(path, json={"priority": 5})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


def test_a_time_without_its_zone_is_refused_in_words(api: TestClient) -> None:
    refused = api.post(f"{V1}/projects/shop/runs", json={"start_at": "2026-12-01T09:00:00"}).json()
    assert refused["field"] == "start_at"
    assert refused["detail"] == (
        "start_at: a time is a text with its distance from UTC, like 2026-12-01T09:00:00+01:00 or 2026-12-01T08:00:00Z"
    )


def test_a_rerun_takes_what_was_cancelled_when_asked(api: TestClient, world: World) -> None:
    run = world.planned("a", "b")
    api.post(f"{V1}/runs/{run.id}/cancel")
    assert api.post(f"{V1}/runs/{run.id}/rerun", json={"selection": "failed"}).json()["code"] == "nothing_to_run"
    answer = api.post(
        f"{V1}/runs/{run.id}/rerun",
        json={
            "selection": "failed",
            "cancelled": True,
            "priority": 3,
            "max_failures": 1,
            "start_at": "2023-11-15T00:00:00Z",
        },
    )
    again = answer.json()
    assert (again["priority"], again["max_failures"], again["start_at"]) == (3, 1, "2023-11-15T00:00:00Z")
    assert again["source_run_id"] == run.id


def test_projects_have_a_priority_and_a_bound(api: TestClient) -> None:
    assert api.get(f"{V1}/projects/shop").json()["priority"] == 0
    changed = api.patch(f"{V1}/projects/shop", json={"priority": -3, "max_failures": 9}).json()
    assert (changed["priority"], changed["max_failures"]) == (-3, 9)
    assert api.patch(f"{V1}/projects/shop", json={"priority": 101}).status_code == 400
