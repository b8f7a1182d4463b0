"""Runs with a priority, runs that start later, and what those that wait say."""

from typing import Any

import pytest

from resit.domain.access import Principal, Scope
from resit.domain.admission import MAX_AHEAD, Concurrency, OnConflict
from resit.domain.errors import Conflict, Forbidden, InvalidInput, NotFound
from resit.domain.fleet import Worker
from resit.domain.rerun import Again
from resit.domain.run import Run
from resit.domain.status import RunStatus, SelectionKind, Verdict
from resit.services.desk import QUEUE_SECONDS
from resit.services.recovery import QUIET, Held
from resit.services.requests import Request
from resit.testing.factories import ADMIN, NOW, planned
from resit.testing.world import World

BOTH_DATABASES = True
WAITING, ADMITTED = RunStatus.REQUESTED, RunStatus.ADMITTED


def statuses(world: World, *runs: Run) -> list[RunStatus]:
    return [world.run(run.id).status for run in runs]


def carried_out(world: World, run: Run) -> Run:
    return world.carry_out(world.plan(run, [planned("a")], claim=f"planner {run.id}"))


def waiting_for(world: World, run: Run) -> str:
    return world.queue.waiting_for([world.run(run.id)]).get(run.id, "")


def worker(world: World, pool: str = "default") -> None:
    with world.store.write() as tx:
        tx.workers.seen(Worker(name=f"w of {pool}", pool=pool, slots=1, seen_at=world.clock.now()))


# ------------------------------------------------------------ priority


def test_the_highest_priority_goes_first(world: World) -> None:
    world.project(max_runs=1)
    busy = world.trigger(priority=-100)
    low, normal, high, later = (world.trigger(priority=number) for number in (-1, 0, 7, 7))
    order: list[int] = []
    running = busy
    for _ in range(4):
        carried_out(world, running)
        (running,) = (run for run in map(world.run, range(1, 6)) if run.status is ADMITTED)
        order.append(running.id)
    assert order == [high.id, later.id, normal.id, low.id]


def test_the_project_says_what_nobody_said(world: World) -> None:
    world.project(priority=5, max_failures=3)
    plain, own = world.trigger(), world.trigger(priority=0, max_failures=0)
    assert (plain.priority, plain.max_failures) == (5, 3)
    assert (own.priority, own.max_failures) == (0, 0)
    world.catalog.change_project(ADMIN, "shop", {"priority": -5, "max_failures": 0})
    assert (world.trigger().priority, world.trigger().max_failures) == (-5, 0)
    for wrong in ({"priority": 101}, {"priority": -101}, {"max_failures": -1}):
        with pytest.raises(InvalidInput):
            world.catalog.change_project(ADMIN, "shop", wrong)
        with pytest.raises(InvalidInput):
            world.trigger(**wrong)
        with pytest.raises(InvalidInput):
            world.project("other", **wrong)


def test_a_rerun_goes_like_its_source_unless_it_says_otherwise(world: World) -> None:
    world.project()
    source = carried_out(world, world.trigger(priority=9, max_failures=4))
    again = Again(kind=SelectionKind.ALL)
    same = world.runs.rerun(ADMIN, source.id, again)[0]
    assert (same.priority, same.max_failures, same.start_at) == (9, 4, None)
    other = Again(kind=SelectionKind.ALL, priority=-9, max_failures=0, start_at=NOW + 60)
    changed = world.runs.rerun(ADMIN, source.id, other, key="k")[0]
    assert (changed.priority, changed.max_failures, changed.start_at, changed.status) == (-9, 0, NOW + 60, WAITING)
    assert world.runs.rerun(ADMIN, source.id, other, key="k") == (changed, False)
    for wrong in ({"priority": 101}, {"max_failures": -1}, {"start_at": NOW + MAX_AHEAD + 1}):
        with pytest.raises(InvalidInput):
            world.runs.rerun(ADMIN, source.id, Again(kind=SelectionKind.ALL, **wrong))  # type: ignore[arg-type]


def test_a_request_without_the_newer_members_has_the_digest_it_always_had() -> None:
    old = Request(branch="b").digest("shop")
    assert old == Request(branch="b", priority=None).digest("shop") != Request(branch="b", priority=0).digest("shop")
    assert old == "893321fb073b606f2cfa6ab45ca12a2408468f1f08f5f06b09795b85de7027f5", "as the first version had it"


def test_the_priority_of_a_waiting_run_can_be_changed(world: World) -> None:
    world.project(max_runs=1)
    busy, first, second = (world.trigger() for _ in range(3))
    assert world.queue.change(ADMIN, second.id, priority=10).priority == 10
    with pytest.raises(Conflict):
        world.queue.change(ADMIN, busy.id, priority=10)
    with pytest.raises(InvalidInput):
        world.queue.change(ADMIN, second.id, priority=101)
    reader = Principal("x", None, frozenset({Scope.RUNS_READ}))
    with pytest.raises(Forbidden):
        world.queue.change(reader, second.id, priority=10)
    with pytest.raises(NotFound):
        world.queue.change(ADMIN, 99, priority=10)
    carried_out(world, busy)
    assert statuses(world, first, second) == [WAITING, ADMITTED]


# ------------------------------------------------------------ later


def look(world: World, after: float = 0.0) -> float:
    """The scheduler's look for delayed runs."""
    return world.queue.admit_due(after)[1]


def test_a_delayed_run_starts_at_its_time(world: World) -> None:
    world.project()
    run = world.trigger(start_at=NOW + 60)
    assert run.status is WAITING
    assert world.settle() == []
    assert waiting_for(world, run) == "starts at 2023-11-14 22:14:20 UTC"
    seen = look(world)
    assert not world.recovery.look().busy, "there is nothing to look after until then"
    world.clock.turn(59.9)
    seen = look(world, seen)
    assert statuses(world, run) == [WAITING]
    world.clock.turn(0.1)
    changed, seen = world.queue.admit_due(seen)
    assert changed == [run.id]
    assert world.run(run.id).deadline == NOW + 60 + QUEUE_SECONDS
    assert [message.kind for message in world.settle()] == ["plan"]
    assert world.queue.admit_due(seen)[0] == []
    assert carried_out(world, run).verdict is Verdict.PASSED


def test_a_time_in_the_past_means_at_once(world: World) -> None:
    world.project()
    assert world.trigger(start_at=NOW - 1).status is ADMITTED
    assert world.trigger(start_at=NOW).status is ADMITTED


def test_a_delayed_run_holds_up_nobody(world: World) -> None:
    world.project(max_runs=1)
    group = Concurrency("deploy")
    delayed = world.trigger(start_at=NOW + 60, concurrency=group, priority=100)
    now = world.trigger(concurrency=group)
    assert statuses(world, delayed, now) == [WAITING, ADMITTED]
    world.clock.turn(61)
    seen = look(world)
    assert statuses(world, delayed, now) == [WAITING, ADMITTED]
    assert waiting_for(world, delayed) == f"waits for run {now.id} (group 'deploy')"
    carried_out(world, now)
    assert statuses(world, delayed) == [ADMITTED], "by the end of the other, without another look"
    assert look(world, seen) == world.clock.now()


def test_a_delayed_run_that_nobody_let_go_is_found(world: World) -> None:
    """As if the control plane whose look it was had died: the reconciler looks at states."""
    world.project()
    run = world.trigger(start_at=NOW + 60)
    world.clock.turn(60 + QUIET)
    assert [found.id for found in world.recovery.look().quiet] == [run.id]
    assert world.recovery.repair(run.id, Held(frozenset(), frozenset()))
    assert statuses(world, run) == [ADMITTED]


def test_a_delayed_run_can_be_cancelled_and_moved(world: World) -> None:
    world.project()
    first, second, third = (world.trigger(start_at=NOW + 60) for _ in range(3))
    world.runs.cancel(ADMIN, first.id)
    world.queue.change(ADMIN, second.id, start_at=NOW + 120)
    assert world.queue.change(ADMIN, third.id, at_once=True).status is ADMITTED
    world.clock.turn(61)
    seen = look(world)
    assert statuses(world, first, second) == [RunStatus.CANCELLED, WAITING]
    world.clock.turn(60)
    look(world, seen)
    assert statuses(world, second) == [ADMITTED]
    with pytest.raises(InvalidInput):
        world.queue.change(ADMIN, second.id, start_at=NOW + 2 * MAX_AHEAD)


@pytest.mark.parametrize("start_at", [NOW + MAX_AHEAD + 1, float("inf"), float("nan")])
def test_what_is_too_far_ahead_is_refused(world: World, start_at: float) -> None:
    world.project()
    with pytest.raises(InvalidInput) as refused:
        world.trigger(start_at=start_at)
    assert refused.value.field == "start_at"


def test_a_delayed_run_takes_nobodys_place(world: World) -> None:
    world.project()
    with pytest.raises(InvalidInput):
        world.trigger(start_at=NOW + 60, concurrency=Concurrency("deploy", OnConflict.CANCEL))


# ------------------------------------------------------------ what they wait for


def test_what_runs_wait_for(world: World) -> None:
    world.project(max_runs=2)
    group: dict[str, Any] = {"concurrency": Concurrency("deploy")}
    first, second, third, fourth = world.trigger(**group), world.trigger(**group), world.trigger(), world.trigger()
    nobody = "waits for a worker of pool 'default': none is alive"
    assert [waiting_for(world, run) for run in (first, second, third, fourth)] == [
        nobody, f"waits for run {first.id} (group 'deploy')", nobody, "waits: the project's limit of 2 runs is reached",
    ]  # fmt: skip
    worker(world, "gpu")
    assert waiting_for(world, first) == nobody
    worker(world)
    assert waiting_for(world, first) == "waits for a free slot of pool 'default'"
    done = carried_out(world, first)
    assert waiting_for(world, done) == ""
    everything = world.queue.waiting_for([world.run(id) for id in range(1, 5)])
    assert set(everything) == {second.id, third.id, fourth.id}
    assert world.queue.waiting_for([]) == {}
    world.clock.turn(31)
    assert waiting_for(world, second) == nobody
