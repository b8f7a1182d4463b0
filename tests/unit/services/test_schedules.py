"""Schedules: kept, changed, fired once for each time, and never silent when they are not."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resit.domain.access import Principal, Scope
from resit.domain.admission import Concurrency
from resit.domain.errors import AlreadyExists, InvalidInput, NotFound
from resit.domain.organization import Organization
from resit.domain.run import Build, Run, Via
from resit.domain.schedule import GRACE_SECONDS, Overlap, Schedule
from resit.domain.status import RunStatus, Verdict
from resit.ports import ScheduleView
from resit.services.requests import Request, from_kept, kept
from resit.services.schedules import Fired
from resit.testing.factories import ADMIN, NOW, planned
from resit.testing.world import World

BOTH_DATABASES = True
HOUR = 3600.0
FULL = Request(
    branch="main", prefer_branch="topic", commit="c0ffee", tags=("@a",), tests=("x",), lenient=True,
    variables={"A": "1"}, metadata={"n": 1.5}, shards=3, priority=-5, max_failures=2, reason="nightly",
    build=Build(url="http://x", version="1"), concurrency=Concurrency("deploy"),
)  # fmt: skip


def made(world: World, **words: Any) -> Schedule:
    values: dict[str, Any] = {"name": "hourly", "cron": "0 * * * *", "request": Request(), **words}
    return world.schedules.add(ADMIN, "shop", **values).schedule


def now(world: World, schedule: Schedule) -> Schedule:
    return world.schedules.get(ADMIN, schedule.id).schedule


def looked(world: World) -> list[Fired]:
    """One look: what was fired."""
    return [fired for found in world.schedules.due() if (fired := world.schedules.fire(found))]


def until_due(world: World, schedule: Schedule) -> None:
    world.clock.time = now(world, schedule).next_at or 0.0


def all_runs(world: World, schedule: Schedule) -> list[Run]:
    with world.store.read() as tx:
        found = [tx.runs.get(id) for id in range(1, 200)]
    return [run for run in found if run and run.schedule_id == schedule.id]


def finish(world: World, run: Run) -> Run:
    return world.carry_out(world.plan(run, [planned("a")], claim=f"planner {run.id}"))


# ------------------------------------------------------------ kept


def test_a_request_is_kept_but_for_what_is_settled_when_it_is_made() -> None:
    assert from_kept(kept(FULL)) == FULL
    settled = replace(FULL, environment="staging", actor="ann", via=Via.GITHUB, start_at=1.0, schedule_id=3)
    assert from_kept(kept(settled)) == FULL
    assert from_kept("") == from_kept("{}") == from_kept(kept(Request())) == Request()
    assert from_kept('{"added": "by a newer version", "branch": "b"}') == Request(branch="b")


def test_a_schedule_says_when_it_fires(world: World) -> None:
    world.project()
    schedule = made(world, name="nightly", cron="0 3 * * 1-5", zone="Europe/Berlin")
    # NOW is a Tuesday, 23:13 in Berlin.
    assert schedule.next_at == datetime.fromisoformat("2023-11-15T03:00+01:00").timestamp()
    shown = [time.isoformat() for time in world.schedules.upcoming(schedule, 4)]
    assert shown == [f"2023-11-{day}T03:00:00+01:00" for day in (15, 16, 17, 20)]
    assert world.schedules.upcoming(replace(schedule, next_at=None), 4) == []


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"name": "a b"}, "name"),
        ({"name": "environment:default"}, "name"),
        ({"cron": ""}, "cron"),
        ({"cron": "daily"}, "cron"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"request": Request(environment="nowhere")}, "environment"),
        ({"request": Request(shards=-1)}, "shards"),
        ({"request": Request(priority=101)}, "priority"),
        ({"request": Request(max_failures=-1)}, "max_failures"),
        ({"request": Request(test_plan=9)}, "test_plan"),
    ],
)
def test_what_is_no_schedule_is_refused_when_it_is_made(world: World, words: dict[str, Any], field: str) -> None:
    world.project()
    with pytest.raises((InvalidInput, NotFound)) as refused:
        made(world, **words)
    assert refused.value.field == field
    assert world.schedules.page(ADMIN, "", 0, 10) == []


def test_names_are_of_one_schedule_of_a_project(world: World) -> None:
    world.project()
    world.project("bank")
    schedule, other = made(world), made(world, name="other")
    with pytest.raises(AlreadyExists):
        made(world)
    with pytest.raises(AlreadyExists):
        world.schedules.change(ADMIN, other.id, {"name": "hourly"})
    world.schedules.add(ADMIN, "bank", name="hourly", cron="* * * * *", request=Request())
    assert (
        world.schedules.change(ADMIN, schedule.id, {"name": "hourly", "cron": "1 * * * *"}).schedule.cron == "1 * * * *"
    )
    assert [view.schedule.name for view in world.schedules.page(ADMIN, "shop", 0, 10)] == ["hourly", "other"]
    assert [view.project for view in world.schedules.page(ADMIN, "", schedule.id, 10)] == ["shop", "bank"]


def test_changes(world: World) -> None:
    world.project()
    world.environment()
    schedule = made(world, request=FULL)
    changed = world.schedules.change(ADMIN, schedule.id, {"environment": "staging", "overlap": Overlap.SKIP})
    assert (changed.environment, changed.schedule.overlap) == ("staging", Overlap.SKIP)
    assert from_kept(changed.schedule.request) == FULL, "and not what it becomes at its time"
    assert changed.schedule.next_at == schedule.next_at
    changed = world.schedules.change(ADMIN, schedule.id, {"request": Request(tags=("@b",))})
    assert (changed.environment, from_kept(changed.schedule.request).tags) == ("staging", ("@b",))
    paused = world.schedules.change(ADMIN, schedule.id, {"active": False}).schedule
    assert paused.next_at is None
    world.clock.turn(10 * HOUR)
    assert looked(world) == []
    resumed = world.schedules.change(ADMIN, schedule.id, {"active": True, "zone": "Asia/Kathmandu"}).schedule
    assert resumed.next_at is not None
    assert world.clock.now() < resumed.next_at <= world.clock.now() + HOUR
    assert resumed.next_at % HOUR == 900.0, "their clocks are 5:45 ahead"
    assert world.schedules.change(ADMIN, schedule.id, {"environment": ""}).environment == ""
    for wrong in ({"nonsense": 1}, {"environment": "nowhere"}, {"cron": "x"}, {"name": "A"}):
        with pytest.raises(InvalidInput):
            world.schedules.change(ADMIN, schedule.id, wrong)
    world.schedules.remove(ADMIN, schedule.id)
    with pytest.raises(NotFound):
        world.schedules.get(ADMIN, schedule.id)


# ------------------------------------------------------------ fired


def test_it_fires_at_its_time_and_once(world: World) -> None:
    world.project()
    schedule = made(world, request=FULL)
    until_due(world, schedule)
    world.clock.turn(-0.001)
    assert looked(world) == []
    world.clock.turn(0.001)
    fired = looked(world)[0]
    assert looked(world) == []
    assert world.schedules.fire(schedule) is None, "another control plane that saw it due comes too late"
    run = fired.run
    assert run is not None
    assert (run.via, run.schedule_id, run.actor, run.triggered_by) == (
        Via.SCHEDULE, schedule.id, "schedule hourly", "schedule hourly",
    )  # fmt: skip
    assert (run.branch, run.commit, run.shards, run.priority, run.max_failures) == ("main", "c0ffee", 3, -5, 2)
    assert (run.reason, run.group, run.variables) == ("nightly", "deploy", {"A": "1"})
    after = now(world, schedule)
    assert (after.last_run_id, after.last_at, after.missed, after.problem) == (run.id, schedule.next_at, 0, "")
    assert after.next_at == (schedule.next_at or 0) + HOUR
    assert len(all_runs(world, schedule)) == 1


def test_what_dies_between_is_done_again(world: World) -> None:
    """A run and the schedule's next time are one transaction: after a death there are both, or it is due as before."""
    world.project()
    schedule = made(world)
    until_due(world, schedule)

    class _Death(BaseException):
        """The process is gone."""

    def die(*_: object) -> None:
        raise _Death

    real = world.runs._put
    world.runs._put = die  # type: ignore[assignment,method-assign]
    with pytest.raises(_Death):
        looked(world)
    world.runs._put = real  # type: ignore[method-assign]
    assert now(world, schedule) == schedule
    assert len(looked(world)) == len(all_runs(world, schedule)) == 1


def test_a_fault_leaves_it_due(world: World) -> None:
    world.project()
    schedule = made(world)
    until_due(world, schedule)
    real = world.runs._put
    world.runs._put = lambda *_: 1 / 0  # type: ignore[assignment,method-assign]
    with pytest.raises(ZeroDivisionError):
        looked(world)
    world.runs._put = real  # type: ignore[method-assign]
    assert len(looked(world)) == 1


def test_a_server_that_was_down_fires_once_on_its_return(world: World) -> None:
    world.project()
    schedule = made(world, cron="*/15 * * * *", zone="Europe/Berlin", request=Request(reason=""))
    until_due(world, schedule)
    world.clock.turn(5 * HOUR + 120)
    fired = looked(world)
    assert len(fired) == 1
    assert fired[0].run is not None
    after = now(world, schedule)
    assert after.missed == 20, "the twentieth after the first is the one that is made up for"
    assert after.last_at == (schedule.next_at or 0) + 5 * HOUR
    assert after.problem == ""
    assert "begun 2 minutes after 2023-11-15 04:15 CET" in after.note
    assert fired[0].run.reason == "due at 2023-11-15 04:15 CET, begun 2 minutes late"
    assert after.next_at == (schedule.next_at or 0) + 5 * HOUR + 900


def test_after_too_long_it_is_missed_and_said(world: World) -> None:
    world.project()
    hook, _ = world.webhooks.add(ADMIN, "shop", url="http://x", events=["schedule.failed"])
    schedule = made(world, name="nightly", cron="0 3 * * *")
    until_due(world, schedule)
    world.clock.turn(2 * 24 * HOUR + GRACE_SECONDS + 1)
    fired = looked(world)
    assert [one.run for one in fired] == [None]
    after = now(world, schedule)
    assert (after.missed, after.last_run_id) == (3, None)
    assert "no control plane was at work" in after.problem
    assert after.next_at == (schedule.next_at or 0) + 3 * 24 * HOUR
    with world.store.read() as tx:
        notices = tx.webhooks.due(world.clock.now(), 10)
    assert [notice.webhook_id for notice in notices] == [hook.id]
    said = json.loads(notices[0].payload)
    assert said["event"] == "schedule.failed"
    assert said["schedule"] == {"id": schedule.id, "name": "nightly", "problem": after.problem, "missed": 3}
    assert [words for _, words in world.schedules.alerts()] == [after.problem]


def test_after_a_year_it_does_not_count_for_ever(world: World) -> None:
    world.project()
    schedule = made(world, cron="* * * * *")
    until_due(world, schedule)
    world.clock.turn(365 * 86400.0)
    assert [bool(one.run) for one in looked(world)] == [True]
    after = now(world, schedule)
    assert after.missed == 1000
    assert after.last_at is not None
    assert world.clock.now() - after.last_at < 60


def disabled(world: World) -> None:
    world.catalog.change_environment(ADMIN, 2, {"disabled": True})


def used_up(world: World) -> None:
    with world.store.write() as tx:
        tx.organization.save(Organization(monthly_runs=0))


def suspended(world: World) -> None:
    with world.store.write() as tx:
        tx.organization.save(Organization(suspended=True))


@pytest.mark.parametrize(
    ("broken", "words"),
    [(disabled, "disabled"), (used_up, "0 runs of this month"), (suspended, "the organization is suspended")],
)
def test_what_can_not_be_fired_is_an_alert_and_not_silence(world: World, broken: Any, words: str) -> None:
    world.project()
    world.environment()
    world.webhooks.add(ADMIN, "shop", url="http://x", events=["schedule.failed", "test_run.ended"])
    schedule = made(world, request=Request(environment="staging"))
    broken(world)
    for number in (1, 2):
        until_due(world, schedule)
        fired = looked(world)
        assert [one.run for one in fired] == [None]
        assert words in fired[0].problem
        after = now(world, schedule)
        assert (after.missed, after.problem) == (number, fired[0].problem)
        assert after.next_at == world.clock.now() + HOUR
        with world.store.read() as tx:
            assert len(tx.webhooks.due(world.clock.now(), 10)) == 1, "it is told when it is news"
    assert [found.id for found, _ in world.schedules.alerts()] == [schedule.id]
    # What is mended fires again, and says no more of it.
    world.catalog.change_environment(ADMIN, 2, {"disabled": False})
    with world.store.write() as tx:
        tx.organization.save(Organization())
    until_due(world, schedule)
    assert looked(world)[0].run is not None
    assert now(world, schedule).problem == ""
    assert now(world, schedule).missed == 2
    assert world.schedules.alerts() == []


def test_a_schedule_that_nobody_looks_after_is_an_alert(world: World) -> None:
    world.project()
    schedule = made(world)
    until_due(world, schedule)
    world.clock.turn(60)
    assert world.schedules.alerts() == []
    world.clock.turn(240)
    assert ["5 minutes ago" in words for _, words in world.schedules.alerts()] == [True]
    world.schedules.change(ADMIN, schedule.id, {"active": False})
    assert world.schedules.alerts() == []


def test_a_test_plan_that_is_gone_is_said(world: World) -> None:
    world.project()
    plan = world.test_plans.add(ADMIN, "shop", name="x", tests=["a"], tags=[], environment="", default=False)
    schedule = made(world, request=Request(test_plan=plan.id))
    world.test_plans.remove(ADMIN, plan.id)
    until_due(world, schedule)
    assert looked(world)[0].problem == f"no test plan {plan.id}"


# ------------------------------------------------------------ overlap


def twice(world: World, schedule: Schedule, number: int = 2) -> list[Fired]:
    found: list[Fired] = []
    for _ in range(number):
        until_due(world, schedule)
        found += looked(world)
    return found


def test_overlap_wait(world: World) -> None:
    world.project()
    schedule = made(world)
    first, second, third = twice(world, schedule, 3)
    assert first.run is not None
    assert second.run is not None
    assert third.run is None, "one waits: more would pile up"
    assert f"run {second.run.id} of an earlier time still waits" in third.problem
    assert world.run(first.run.id).status is RunStatus.ADMITTED
    assert world.run(second.run.id).status is RunStatus.REQUESTED
    words = world.queue.waiting_for([world.run(second.run.id)])
    assert words == {second.run.id: f"waits for run {first.run.id} (group 'schedule hourly')"}
    assert finish(world, first.run).verdict is Verdict.PASSED
    assert world.run(second.run.id).status is RunStatus.ADMITTED
    assert twice(world, schedule, 1)[0].run is not None


def test_overlap_skip(world: World) -> None:
    world.project()
    schedule = made(world, overlap=Overlap.SKIP)
    first, second = twice(world, schedule)
    assert first.run is not None
    assert first.run.group == ""
    assert (second.run, second.problem) == (None, "")
    assert second.note == f"skipped at 2023-11-15 00:00 UTC: run {first.run.id} was still open"
    assert now(world, schedule).note == second.note
    assert world.schedules.alerts() == []
    finish(world, first.run)
    third = twice(world, schedule, 1)[0]
    assert third.run is not None
    assert now(world, schedule).note == ""


def test_overlap_cancel(world: World) -> None:
    world.project()
    schedule = made(world, overlap=Overlap.CANCEL)
    first, second = twice(world, schedule)
    assert first.run is not None
    assert second.run is not None
    gone = world.run(first.run.id)
    assert (gone.status, gone.superseded_by, gone.cancelled_by) == (
        RunStatus.CANCELLED, second.run.id, "schedule hourly",
    )  # fmt: skip
    assert gone.cancel_reason == f"superseded by run {second.run.id} (group 'schedule hourly')"


# ------------------------------------------------------------ run now


def test_run_now(world: World) -> None:
    project = world.project()
    schedule = made(world, request=FULL)
    ann = Principal("ann", project.id, frozenset({Scope.RUNS_WRITE, Scope.RUNS_READ}))
    run, new = world.schedules.start(ann, schedule.id, "key")
    assert new
    assert (run.via, run.schedule_id, run.triggered_by, run.branch) == (Via.MANUAL, schedule.id, "ann", "main")
    assert world.schedules.start(ann, schedule.id, "key") == (run, False)
    view = world.schedules.get(ADMIN, schedule.id)
    assert (view.schedule.next_at, view.schedule.last_at) == (schedule.next_at, None)
    assert view.last_run is not None
    assert view.last_run.id == run.id


def test_who_reaches_a_schedule(world: World) -> None:
    world.project()
    bank = world.project("bank")
    schedule = made(world)
    stranger = Principal("x", bank.id, frozenset({Scope.RUNS_WRITE, Scope.RUNS_READ}))
    for call in (
        lambda: world.schedules.get(stranger, schedule.id),
        lambda: world.schedules.change(stranger, schedule.id, {"active": False}),
        lambda: world.schedules.remove(stranger, schedule.id),
        lambda: world.schedules.start(stranger, schedule.id),
        lambda: world.schedules.add(stranger, "shop", name="y", cron="* * * * *", request=Request()),
        lambda: world.schedules.page(stranger, "shop", 0, 10),
    ):
        with pytest.raises(NotFound):
            call()
    assert world.schedules.page(stranger, "", 0, 10) == []


# ------------------------------------------------------------ environments' own


def own(world: World) -> list[ScheduleView]:
    return [view for view in world.schedules.page(ADMIN, "", 0, 100) if view.schedule.of_environment]


def test_an_environments_own_schedule_follows_it(world: World) -> None:
    world.project()
    environment = world.environment(schedule="0 6 * * mon-fri")
    (view,) = own(world)
    schedule = view.schedule
    assert (schedule.name, schedule.zone, view.environment) == ("environment:staging", "UTC", "staging")
    until_due(world, schedule)
    run = looked(world)[0].run
    assert run is not None
    assert (run.environment_id, run.via) == (environment.id, Via.SCHEDULE)
    for words in ({"cron": "* * * * *"}, {"name": "x"}, {"environment": ""}):
        with pytest.raises(InvalidInput):
            world.schedules.change(ADMIN, schedule.id, words)
    with pytest.raises(InvalidInput):
        world.schedules.remove(ADMIN, schedule.id)
    assert world.schedules.change(ADMIN, schedule.id, {"overlap": Overlap.SKIP}).schedule.overlap is Overlap.SKIP
    world.catalog.change_environment(ADMIN, environment.id, {"slug": "new", "schedule": "0 7 * * *"})
    (view,) = own(world)
    assert (view.schedule.name, view.schedule.cron, view.schedule.overlap) == (
        "environment:new", "0 7 * * *", Overlap.SKIP,
    )  # fmt: skip
    world.catalog.change_environment(ADMIN, environment.id, {"disabled": True})
    assert own(world)[0].schedule.next_at is None
    world.catalog.change_environment(ADMIN, environment.id, {"disabled": False})
    assert own(world)[0].schedule.next_at is not None
    world.catalog.change_environment(ADMIN, environment.id, {"schedule": ""})
    assert own(world) == []


def test_an_environments_schedule_that_never_comes_is_refused_whole(world: World) -> None:
    world.project()
    with pytest.raises(InvalidInput):
        world.environment(schedule="0 0 30 2 *")
    environment = world.environment()
    with pytest.raises(InvalidInput):
        world.catalog.change_environment(ADMIN, environment.id, {"schedule": "0 0 30 2 *", "name": "x"})
    assert world.catalog.environment(ADMIN, environment.id) == environment


def test_expressions_from_before_there_were_schedules_are_adopted(world: World) -> None:
    world.project()
    fine, never = world.environment(), world.environment(slug="never")
    with world.store.write() as tx:
        tx.projects.save_environment(replace(fine, schedule="0 * * * *"))
        tx.projects.save_environment(replace(never, schedule="0 0 30 2 *"))
    assert world.schedules.adopt() == 1
    assert world.schedules.adopt() == 0
    assert [view.environment for view in own(world)] == ["staging"]
    assert world.catalog.environment(ADMIN, never.id).schedule == "0 0 30 2 *", "nobody's words are taken away"


# ------------------------------------------------------------ any course of things

steps = st.lists(st.sampled_from([1.0, 30.0, 61.0, 600.0, 3000.0, 4000.0, 20000.0]), min_size=1, max_size=12)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, st.sampled_from(["* * * * *", "*/10 * * * *", "0 * * * *", "30 */3 * * *"]))
def test_every_time_is_one_run_or_counted(world: World, pauses: Sequence[float], expression: str) -> None:
    """Whenever somebody looks, however seldom: runs and missed times are all the times there were."""
    slug = f"p{len(world.schedules.page(ADMIN, '', 0, 1000))}"
    world.clock.time = NOW
    world.project(slug)
    schedule = world.schedules.add(
        ADMIN, slug, name="x", cron=expression, overlap=Overlap.SKIP, request=Request()
    ).schedule
    runs = 0
    for pause in pauses:
        world.clock.turn(pause)
        for fired in looked(world):
            assert fired.run is not None or fired.problem
            if fired.run is not None:
                runs += 1
                world.runs.cancel(ADMIN, fired.run.id)
        after = now(world, schedule)
        assert after.next_at is not None
        assert after.next_at > world.clock.now()
    times = world.cron.times(expression, "UTC", NOW, 5000, world.clock.now())
    assert runs + now(world, schedule).missed == len(times)
    assert datetime.fromtimestamp(now(world, schedule).next_at or 0, UTC).second == 0
    world.schedules.change(ADMIN, schedule.id, {"active": False})
