"""Runs that wait: for their project's limit, and for the run before them in their group."""

from dataclasses import replace

from resit.domain.access import Principal, Scope
from resit.domain.admission import Concurrency, OnConflict
from resit.domain.rerun import Again
from resit.domain.run import Run
from resit.domain.status import RunStatus, SelectionKind, Verdict
from resit.services.recovery import QUIET, Held
from resit.services.requests import Request
from resit.testing.factories import ADMIN, planned
from resit.testing.world import World

WAITING, ADMITTED = RunStatus.REQUESTED, RunStatus.ADMITTED
NOTHING = Held(frozenset(), frozenset())


def in_group(world: World, group: str = "deploy", on_conflict: OnConflict = OnConflict.WAIT) -> Run:
    return world.trigger(concurrency=Concurrency(group, on_conflict))


def statuses(world: World, *runs: Run) -> list[RunStatus]:
    return [world.run(run.id).status for run in runs]


def carried_out(world: World, run: Run) -> Run:
    return world.carry_out(world.plan(run, [planned("a")], claim=f"planner {run.id}"))


def test_a_later_run_of_a_group_waits_for_the_earlier_one(world: World) -> None:
    world.project()
    first, second, third, other = in_group(world), in_group(world), in_group(world), in_group(world, "other")
    assert statuses(world, first, second, third, other) == [ADMITTED, WAITING, WAITING, ADMITTED]
    assert not [m for m in world.settle() if m.run_id in (second.id, third.id)], "who waits is sent to nobody"
    assert carried_out(world, first).verdict is Verdict.PASSED
    assert statuses(world, second, third) == [ADMITTED, WAITING]
    assert [(m.kind, m.run_id) for m in world.settle()] == []
    world.runs.cancel(ADMIN, second.id)
    assert statuses(world, second, third) == [RunStatus.CANCELLED, ADMITTED]


def test_groups_of_two_projects_are_two_groups(world: World) -> None:
    world.project()
    world.project("bank")
    first = in_group(world)
    second = world.trigger("bank", concurrency=Concurrency("deploy"))
    assert statuses(world, first, second) == [ADMITTED, ADMITTED]


def test_a_later_run_takes_the_place_of_all_before_it(world: World) -> None:
    world.project()
    first, second = in_group(world), in_group(world)
    free, third = world.trigger(), in_group(world, on_conflict=OnConflict.CANCEL)
    assert statuses(world, first, second, free, third) == [
        RunStatus.CANCELLED, RunStatus.CANCELLED, ADMITTED, ADMITTED,
    ]  # fmt: skip
    for gone in (world.run(first.id), world.run(second.id)):
        assert (gone.superseded_by, gone.cancelled_by) == (third.id, "admin")
        assert gone.cancel_reason == f"superseded by run {third.id} (group 'deploy')"
    assert third.status is ADMITTED, "the answer says how it stands"


def test_over_the_limit_runs_wait_in_their_order(world: World) -> None:
    world.project(max_runs=2)
    runs = [world.trigger() for _ in range(5)]
    assert statuses(world, *runs) == [ADMITTED, ADMITTED, WAITING, WAITING, WAITING]
    carried_out(world, runs[1])
    assert statuses(world, *runs[2:]) == [ADMITTED, WAITING, WAITING]
    world.runs.cancel(ADMIN, runs[3].id)
    assert statuses(world, *runs[2:]) == [ADMITTED, RunStatus.CANCELLED, WAITING]
    carried_out(world, runs[0])
    assert statuses(world, runs[4]) == [ADMITTED]


def test_who_waits_for_its_group_holds_up_nobody_else(world: World) -> None:
    world.project(max_runs=2)
    runs = [in_group(world), in_group(world), world.trigger()]
    assert statuses(world, *runs) == [ADMITTED, WAITING, ADMITTED]


def test_taking_a_place_does_not_break_the_limit(world: World) -> None:
    world.project(max_runs=1)
    busy, first = world.trigger(), in_group(world)
    second = in_group(world, on_conflict=OnConflict.CANCEL)
    assert statuses(world, busy, first, second) == [ADMITTED, RunStatus.CANCELLED, WAITING]
    carried_out(world, busy)
    assert statuses(world, second) == [ADMITTED]


def test_a_rerun_waits_too(world: World) -> None:
    world.project()
    done = carried_out(world, world.trigger())
    world.catalog.change_project(ADMIN, "shop", {"max_runs": 1})
    busy = world.trigger()
    again = world.runs.rerun(ADMIN, done.id, Again(kind=SelectionKind.ALL))[0]
    assert statuses(world, again) == [WAITING]
    world.runs.cancel(ADMIN, busy.id)
    assert statuses(world, again) == [ADMITTED]


def test_a_rerun_can_be_of_a_group(world: World) -> None:
    world.project()
    done = carried_out(world, world.trigger())
    in_group(world)
    request = Request(environment="default", concurrency=Concurrency("deploy"))
    again = world.runs.rerun(ADMIN, done.id, Again(kind=SelectionKind.ALL), request)[0]
    assert statuses(world, again) == [WAITING]


def test_a_greater_limit_lets_runs_go_ahead_and_a_smaller_one_stops_none(world: World) -> None:
    world.project(max_runs=1)
    runs = [world.trigger() for _ in range(4)]
    world.catalog.change_project(ADMIN, "shop", {"max_runs": 3})
    assert statuses(world, *runs) == [ADMITTED, ADMITTED, ADMITTED, WAITING]
    world.catalog.change_project(ADMIN, "shop", {"max_runs": 1})
    assert statuses(world, *runs) == [ADMITTED, ADMITTED, ADMITTED, WAITING]
    world.catalog.change_project(ADMIN, "shop", {"max_runs": 0})
    assert statuses(world, *runs) == [ADMITTED] * 4


def test_a_waiting_run_never_runs_out_of_time(world: World) -> None:
    world.project(max_runs=1)
    _, waiting = world.trigger(), world.trigger()
    world.clock.turn(10 * 86400)
    assert waiting.id not in world.recovery.look().ended
    assert statuses(world, waiting) == [ADMITTED], "the run before it did"


def test_a_waiting_run_that_nobody_admitted_is_found(world: World) -> None:
    world.project(max_runs=1)
    world.project("bank", max_runs=1)
    first, *waiting = [world.trigger() for _ in range(4)]
    world.trigger("bank")
    bank = [world.trigger("bank") for _ in range(2)]
    world.settle()
    with world.store.write() as tx:
        # As if the control plane had died between the end of the first and what follows from it.
        tx.runs.save(replace(world.run(first.id), status=RunStatus.FINISHED, verdict=Verdict.PASSED))
    world.clock.turn(QUIET + 1)
    seen = [run.id for run in world.recovery.look().quiet if run.status is WAITING]
    assert seen == [waiting[0].id, bank[0].id], "one a project is enough"
    assert world.recovery.repair(waiting[0].id, NOTHING)
    assert not world.recovery.repair(bank[0].id, NOTHING)
    assert statuses(world, *waiting, *bank) == [ADMITTED, WAITING, WAITING, WAITING, WAITING]


def test_who_takes_a_place_is_named(world: World) -> None:
    project = world.project()
    ci = Principal("ci", project.id, frozenset({Scope.RUNS_WRITE}))
    first = in_group(world)
    request = Request(concurrency=Concurrency("deploy", OnConflict.CANCEL))
    second = world.runs.trigger(ci, "shop", request)[0]
    assert (world.run(first.id).cancelled_by, world.run(first.id).superseded_by) == ("ci", second.id)
