"""A run stops after so many failures, on all its shards, and is never green for it."""

from collections.abc import Sequence

import pytest

from resit.domain.events import TestEvent
from resit.domain.lineage import effective
from resit.domain.rerun import Again
from resit.domain.run import Run
from resit.domain.selection import Taken
from resit.domain.status import Outcome, RunStatus, SelectionKind, Verdict
from resit.domain.wire import to_wire
from resit.testing.factories import ADMIN, flaky, planned, result
from resit.testing.world import World

BOTH_DATABASES = True
TESTS = tuple(f"f{number}::t" for number in range(1, 7))
RED = "failed"


def begun(world: World, most: int, **more: object) -> Run:
    """A run of six tests that stops after so many failures, in the hands of a worker."""
    run = world.planned(*TESTS, max_failures=most, **more)
    world.settle()
    with world.store.read() as tx:
        for state in tx.batches.open(run.id):
            world.report({**world.voice(run, state.number, claim=f"{run.id}/{state.number}"), "what": "batch.started"})
    return run


def say(world: World, run: Run, *events: TestEvent) -> Run:
    """A worker tells, of whatever batch the tests are."""
    with world.store.read() as tx:
        of = {row.test: row.batch for row in tx.ledger.rows(run.id)}
    for event in events:
        voice = world.voice(run, of[event.test], claim=f"{run.id}/{of[event.test]}")
        world.report({**voice, "what": "batch.events", "events": [to_wire(event)]})
    return world.run(run.id)


def kinds(world: World) -> set[str]:
    return {message.kind for message in world.settle()}


def test_it_stops_at_the_last_failure_that_is_allowed(world: World) -> None:
    world.project()
    run = begun(world, 2)
    assert say(world, run, result(TESTS[0]), result(TESTS[1], RED)).status is RunStatus.RUNNING
    assert say(world, run, *flaky(TESTS[2])).status is RunStatus.RUNNING, "what passes in the end did not fail"
    run = say(world, run, result(TESTS[3], "errored"))
    assert (run.status, run.verdict, run.problems) == (RunStatus.FINISHED, Verdict.FAILED, ())
    assert run.cancel_reason == "stopped after 2 failures (--max-failures 2)"
    assert (run.cancelled_by, run.superseded_by) == ("", None)
    assert world.outcomes(run) == dict(
        zip(TESTS, ["passed", "failed", "flaky", "errored", "cancelled", "cancelled"], strict=True)
    )
    with world.store.read() as tx:
        reasons = {row.reason for row in tx.ledger.rows(run.id) if row.outcome is Outcome.CANCELLED}
    assert reasons == {run.cancel_reason}
    assert {"cancel", "purge"} <= kinds(world), "its workers are told to stop"
    before = world.dump(run)
    say(world, run, result(TESTS[4]))
    assert world.outcomes(run)[TESTS[4]] == "cancelled", "what comes late does not count"
    assert "finished" in before


def test_without_a_number_it_goes_on(world: World) -> None:
    world.project()
    run = begun(world, 0)
    assert say(world, run, *(result(test, RED) for test in TESTS[:5])).status is RunStatus.RUNNING


def test_the_last_failure_of_a_run_cuts_nothing_off(world: World) -> None:
    world.project()
    run = begun(world, 1)
    run = say(world, run, *(result(test) for test in TESTS[:5]), result(TESTS[5], RED))
    assert run.status is RunStatus.RUNNING, "there is nothing left to spare; its end comes as always"
    done = world.carry_out(run)
    assert (done.status, done.verdict, done.cancel_reason) == (RunStatus.FINISHED, Verdict.FAILED, "")


def test_lost_tests_are_failures(world: World) -> None:
    world.project()
    run = begun(world, 1)
    with world.store.write() as tx:
        from resit.domain import ledger
        from resit.services.desk import Desk

        desk = Desk(tx, world.clock.now())
        rows = [row for row in tx.ledger.open_rows(run.id) if row.test == TESTS[0]]
        desk.move(desk.run(run.id), rows, [ledger.lost(row, "gone") for row in rows])
        desk.file()
    assert world.run(run.id).status is RunStatus.FINISHED


def test_what_was_not_found_was_never_tried(world: World) -> None:
    world.project()
    run = world.plan(world.trigger(max_failures=1, tests=("a", "gone")), [planned("a"), planned("b")])
    assert (run.status, run.counts.not_found) == (RunStatus.RUNNING, 1)


@pytest.mark.parametrize("snoozed", [TESTS[:1], TESTS[:2]])
def test_snoozed_failures_do_not_stop_it(world: World, snoozed: Sequence[str]) -> None:
    world.project()
    world.snoozes.add(ADMIN, "shop", tests=snoozed, until=world.clock.now() + 3600, created_by="ann")
    run = begun(world, 2)
    run = say(world, run, result(TESTS[0], RED), result(TESTS[1], RED))
    assert run.status is RunStatus.RUNNING
    run = say(world, run, result(TESTS[2], RED))
    if len(snoozed) == 2:
        assert run.status is RunStatus.RUNNING
        run = say(world, run, result(TESTS[3], RED))
    assert (run.status, run.verdict) == (RunStatus.FINISHED, Verdict.FAILED)
    assert run.cancel_reason == "stopped after 2 failures (--max-failures 2)"
    assert run.counts.snoozed == len(snoozed)


def test_the_next_run_in_line_goes_ahead(world: World) -> None:
    world.project(max_runs=1)
    run = begun(world, 1)
    waiting = world.trigger()
    say(world, run, result(TESTS[0], RED))
    assert world.run(waiting.id).status is RunStatus.ADMITTED


def test_what_was_spared_can_be_run_with_what_failed(world: World) -> None:
    world.project()
    run = say(world, begun(world, 1), result(TESTS[0]), result(TESTS[1], RED))
    failed = world.runs.rerun(ADMIN, run.id, Again(kind=SelectionKind.FAILED, max_failures=0))[0]
    rest = world.runs.rerun(ADMIN, run.id, Again(kind=SelectionKind.FAILED, taken=Taken.NOT_GREEN, max_failures=0))[0]
    world.settle()
    assert set(world.outcomes(failed)) == {TESTS[1]}
    assert set(world.outcomes(rest)) == set(TESTS[1:])

    def together(*runs: Run) -> Verdict | None:
        return effective(world.reads.outcomes([one.id for one in runs]), [bool(one.problems) for one in runs])

    failed, rest = world.carry_out(failed), world.carry_out(rest)
    assert together(run, failed) is Verdict.ERRORED, "four tests were never executed: that is not green"
    assert together(run, failed, rest) is Verdict.PASSED
