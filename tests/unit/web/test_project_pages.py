"""What a project keeps, on the page: schedules, snoozes, webhooks, and how long its runs stay."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.testclient import TestClient

from resit.domain.access import Role
from resit.testing.factories import ADMIN
from resit.testing.world import World

NIGHTLY = {"name": "nightly", "cron": "0 6 * * mon-fri", "zone": "Europe/Berlin", "overlap": "skip", "tags": "a, b"}
SCHEDULES, SNOOZES, WEBHOOKS = (f"/projects/shop/{part}" for part in ("schedules", "snoozes", "webhooks"))


def test_a_schedule_is_made_run_paused_and_taken_away(world: World, admin: TestClient, send: Any) -> None:
    assert "Nothing runs by the clock yet" in admin.get(SCHEDULES).text
    assert send(admin, SCHEDULES, **NIGHTLY).status_code == 303
    (view,) = world.schedules.page(ADMIN, "shop", 0, 9)
    assert (view.schedule.cron, view.schedule.zone, view.schedule.overlap) == (
        "0 6 * * mon-fri",
        "Europe/Berlin",
        "skip",
    )
    text = admin.get(SCHEDULES).text
    for time in world.schedules.upcoming(view.schedule, 5):
        assert time.strftime("%a %Y-%m-%d 06:00 %Z") in text
    assert "skips a time" in text
    key = re.search(r'name="key" value="(\w+)"', text)
    assert key
    one = f"{SCHEDULES}/{view.schedule.id}"
    for _ in range(2):  # pressed twice: the same run
        assert send(admin, one, do="run", key=key[1]).headers["location"] == "http://resit.test/runs/1"
    assert world.run(1).selection.tags == ("a", "b")
    assert "run 1" in admin.get(SCHEDULES).text
    assert send(admin, one, do="pause").status_code == 303
    assert "paused" in admin.get(SCHEDULES).text
    assert send(admin, one, do="resume").status_code == 303
    assert "paused" not in admin.get(SCHEDULES).text
    assert send(admin, one, do="explode").status_code == 400
    assert send(admin, one, do="remove").status_code == 303
    assert not world.schedules.page(ADMIN, "shop", 0, 9)


def test_a_schedule_that_could_never_fire_is_not_made(world: World, admin: TestClient, send: Any) -> None:
    for wrong in (
        {"cron": "every day"},
        {"zone": "Mars/Olympus"},
        {"overlap": "?"},
        {"environment": "x"},
        {"name": "A b"},
    ):
        answer = send(admin, SCHEDULES, **{**NIGHTLY, **wrong})
        assert answer.status_code == 400, wrong
        assert 'role="alert"' in answer.text
        assert next(iter(wrong)) == "overlap" or f'value="{NIGHTLY["tags"]}"' in answer.text
    assert not world.schedules.page(ADMIN, "shop", 0, 9)


def test_a_schedule_that_did_not_fire_says_so(world: World, admin: TestClient, send: Any) -> None:
    send(admin, SCHEDULES, **NIGHTLY)
    (view,) = world.schedules.page(ADMIN, "shop", 0, 9)
    assert view.schedule.next_at
    world.clock.time = view.schedule.next_at + 600
    assert "it should have fired 10 minutes ago" in admin.get(SCHEDULES).text


def test_a_test_is_snoozed_and_the_snooze_ended(world: World, admin: TestClient, send: Any) -> None:
    world.planned("tests/a.py::fails")
    where = re.search(r"/projects/shop/tests/[0-9a-f-]{36}", admin.get("/projects/shop/tests").text)
    assert where
    assert "Snooze it" in admin.get(where[0]).text
    answer = send(admin, SNOOZES, tests="tests/a.py::fails", days="2", description="SHOP-1 <b>", back=where[0])
    assert answer.headers["location"] == f"http://resit.test{where[0]}"
    assert "Snoozed: it ends" in admin.get(where[0]).text
    text = admin.get(SNOOZES).text
    assert "SHOP-1 &lt;b&gt;" in text
    assert where[0] in text
    assert "in 2 d" in text or "in 1 d" in text
    assert send(admin, SNOOZES, expire="1").status_code == 303
    assert "Nothing is snoozed" in admin.get(SNOOZES).text
    assert "SHOP-1" in admin.get(f"{SNOOZES}?expired=yes").text
    assert "Snooze it" in admin.get(where[0]).text


def test_snoozes_that_make_no_sense(world: World, admin: TestClient, send: Any) -> None:
    wrong = (
        {"tests": ""},
        {"days": "-1"},
        {"days": "x"},
        {"days": "9999"},
        {"environment": "nowhere"},
        {"expire": "77"},
    )
    for fields in wrong:
        answer = send(admin, SNOOZES, **{"tests": "one\ntwo", "description": "mine", **fields})
        assert answer.status_code == 400, fields
        assert "mine" in answer.text
    assert not world.reads.snoozes(1, None, None, 0.0, 0, 9).items
    for elsewhere in ("https://evil.test/", "//evil.test", "/sign-out"):
        answer = send(admin, SNOOZES, tests="one\ntwo", back=elsewhere)
        assert answer.headers["location"] == "http://resit.test/runs"


def test_the_secret_of_a_webhook_is_shown_once(world: World, admin: TestClient, send: Any) -> None:
    made = send(admin, WEBHOOKS, url="https://ci.test/hook", event=["test_run.ended", "test_run.error"])
    assert "whsec_" in made.text
    text = admin.get(WEBHOOKS).text
    assert "whsec_" not in text
    assert "https://ci.test/hook" in text
    assert "test_run.ended, test_run.error" in text
    assert "on its way" in send(admin, WEBHOOKS, test="1").text
    for wrong in (
        {"url": "ftp://x", "event": "test_run.ended"},
        {"url": "https://x.test"},
        {"test": "9"},
        {"remove": "9"},
    ):
        assert send(admin, WEBHOOKS, **wrong).status_code == 400, wrong
    assert send(admin, WEBHOOKS, remove="1").status_code == 303
    assert not world.webhooks.of_project(ADMIN, "shop")


def test_how_long_runs_are_kept(world: World, admin: TestClient, send: Any) -> None:
    assert "for ever" in admin.get("/projects/shop").text
    fields = {"time_limit": "60", "keep_days": "30", "keep_runs": "100", "keep_gb": "2.5", "stall_limit": "5"}
    assert send(admin, "/projects/shop", **fields).status_code == 303
    text = admin.get("/projects/shop").text
    assert "for 30 days, 100 at most, while their files are under 2.5 GB" in text
    assert 'name="html_report" value="yes">' in text  # not ticked: off
    assert send(admin, "/projects/shop", **fields, html_report="yes").status_code == 303
    assert 'name="html_report" value="yes" checked>' in admin.get("/projects/shop").text


def test_who_may_not_sees_no_forms_and_changes_nothing(
    world: World, signed_in: Callable[..., TestClient], send: Any
) -> None:
    send(signed_in(), SCHEDULES, **NIGHTLY)
    client = signed_in(Role.USER)
    for path in (SCHEDULES, SNOOZES, WEBHOOKS):
        assert 'method="post"' not in client.get(path).text.split("</header>")[1], path
    assert send(client, SCHEDULES, **NIGHTLY).status_code == 400
    for do in ("run", "pause", "remove"):
        assert send(client, f"{SCHEDULES}/1", do=do).status_code == 400
    assert send(client, SNOOZES, tests="a").status_code == 400
    assert send(client, WEBHOOKS, url="https://x.test", event="test_run.ended").status_code == 400
    (view,) = world.schedules.page(ADMIN, "shop", 0, 9)
    assert view.schedule.active
    assert not world.webhooks.of_project(ADMIN, "shop")
    assert not world.reads.snoozes(1, None, None, 0.0, 0, 9).items


def test_another_project_keeps_its_own(world: World, signed_in: Callable[..., TestClient], send: Any) -> None:
    send(signed_in(), SCHEDULES, **NIGHTLY)
    world.project("other")
    client = signed_in(Role.CONTRIBUTOR, "other")
    for path in (SCHEDULES, SNOOZES, WEBHOOKS):
        assert client.get(path).status_code == 404
    # Nor by way of one's own project's address.
    answer = send(client, "/projects/other/schedules/1", do="run")
    assert answer.status_code == 400
    assert "no schedule 1" in answer.text


def test_times_are_those_of_the_zone(world: World, signed_in: Callable[..., TestClient], send: Any) -> None:
    world.clock.time = datetime(2026, 3, 27, 12, tzinfo=UTC).timestamp()  # clocks change on the 29th
    admin = signed_in()
    send(admin, SCHEDULES, **{**NIGHTLY, "cron": "0 6 * * *"})
    text = admin.get(SCHEDULES).text
    assert "Sat 2026-03-28 06:00 CET" in text
    assert "Sun 2026-03-29 06:00 CEST" in text
