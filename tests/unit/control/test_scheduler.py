"""The loop that begins what is due: one look at a time, over the core."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from resit.control.scheduler import Scheduler
from resit.domain.run import Run
from resit.domain.schedule import Schedule
from resit.domain.status import RunStatus
from resit.services.requests import Request
from resit.services.schedules import Fired
from resit.testing.factories import ADMIN, NOW
from resit.testing.world import StillSignals, World

BOTH_DATABASES = True


class Told(StillSignals):
    """Signals that remember what was told."""

    def notices(self) -> None:
        self.told += 1


@pytest.fixture
def scheduler(world: World) -> Scheduler:
    world.signals = Told()
    return Scheduler(world.schedules, world.queue, world.signals)  # type: ignore[arg-type]


def look(scheduler: Scheduler) -> None:
    asyncio.run(scheduler.once())


def made(world: World, name: str = "hourly", cron: str = "0 * * * *", environment: str = "") -> Schedule:
    request = Request(environment=environment)
    return world.schedules.add(ADMIN, "shop", name=name, cron=cron, request=request).schedule


def of(world: World, schedule: Schedule) -> list[Run]:
    found = [world.schedules.get(ADMIN, schedule.id).last_run]
    return [run for run in found if run]


def test_what_is_due_begins_and_is_told(world: World, scheduler: Scheduler, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world.project()
    delayed = world.trigger(start_at=NOW + 60)
    schedule = made(world)
    look(scheduler)
    assert (world.signals.told, world.signals.runs) == (0, [])
    world.clock.turn(60)
    look(scheduler)
    assert world.run(delayed.id).status is RunStatus.ADMITTED
    assert world.signals.runs == [delayed.id]
    world.clock.time = schedule.next_at or 0
    look(scheduler)
    look(scheduler)
    (run,) = of(world, schedule)
    assert world.signals.runs == [delayed.id, run.id]
    assert world.signals.told == 2, "the outbox is sent at once"
    assert f"schedule {schedule.id} (hourly) began run {run.id}" in caplog.text


def test_what_does_not_fire_is_logged_and_told(
    world: World, scheduler: Scheduler, caplog: pytest.LogCaptureFixture
) -> None:
    world.project()
    environment = world.environment()
    schedule = made(world, environment="staging")
    world.catalog.change_environment(ADMIN, environment.id, {"disabled": True})
    world.clock.time = schedule.next_at or 0
    look(scheduler)
    assert of(world, schedule) == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "did not fire" in caplog.text
    assert world.signals.told == 1, "webhooks are told at once"


def test_a_fault_of_one_holds_up_no_other(
    world: World, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.project()
    broken, fine = made(world), made(world, "fine")
    world.clock.time = broken.next_at or 0
    real, asked = world.schedules.fire, list[int]()

    def fire(schedule: Schedule) -> Fired | None:
        asked.append(schedule.id)
        if schedule.id == broken.id:
            raise ZeroDivisionError
        return real(schedule)

    monkeypatch.setattr(world.schedules, "fire", fire)
    look(scheduler)
    assert len(of(world, fine)) == 1
    look(scheduler)
    assert asked == [broken.id, fine.id], "it is left alone for a while"
    assert "can't be fired; it is tried again" in caplog.text
    monkeypatch.undo()
    scheduler._paused.clear()
    look(scheduler)
    assert len(of(world, broken)) == 1, "and nothing was lost"


def test_environments_of_older_servers_are_adopted_at_the_first_look(world: World, scheduler: Scheduler) -> None:
    world.project()
    environment = world.environment()
    with world.store.write() as tx:
        tx.projects.save_environment(replace(environment, schedule="0 * * * *"))
    look(scheduler)
    assert [view.schedule.name for view in world.schedules.page(ADMIN, "", 0, 9)] == ["environment:staging"]


def test_several_at_once_make_one_run(world: World) -> None:
    """As if two control planes held the steward's duty for a moment."""
    world.project()
    schedule = made(world)
    for _ in range(5):
        due = world.schedules.get(ADMIN, schedule.id).schedule
        world.clock.time = due.next_at or 0
        together = Barrier(4)

        def fire(due: Schedule = due, together: Barrier = together) -> Fired | None:
            together.wait(10)
            return world.schedules.fire(due)

        with ThreadPoolExecutor(4) as pool:
            found = [future.result() for future in [pool.submit(fire) for _ in range(4)]]
        fired = [one for one in found if one is not None]
        assert len(fired) == 1
        assert fired[0].run is not None
        world.runs.cancel(ADMIN, fired[0].run.id)
    with world.store.read() as tx:
        assert tx.runs.made_since(0.0) == 5
