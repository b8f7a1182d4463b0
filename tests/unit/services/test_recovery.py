"""When things die: nothing stays running for ever, nothing is lost in silence."""

import pytest

from resit.domain.attempt import LEASE_SECONDS, AttemptState
from resit.domain.run import Run
from resit.domain.status import RunStatus, Verdict
from resit.ports import ANEW, Job
from resit.services.desk import QUEUE_SECONDS
from resit.services.recovery import IN_VAIN, Held, Recovery
from resit.testing.factories import planned
from resit.testing.world import World

NOTHING = Held(frozenset(), frozenset())


def running(world: World) -> Run:
    world.project(shards=2, time_limit=3600)
    run = world.plan(world.trigger(), [planned("a::1"), planned("b::1")])
    world.settle()
    return run


def everything(run: Run) -> Held:
    return Held(frozenset({Job("shard", run.id, 1)}), frozenset({1, 2}))


def start(world: World, run: Run, claim: str, batch: int = 1) -> None:
    world.report({**world.voice(run, batch, claim, worker=f"worker {claim}"), "what": "batch.started"})


def kinds(world: World) -> list[tuple[str, int]]:
    return sorted((message.kind, message.number) for message in world.settle())


def test_what_the_broker_holds_needs_no_repair(world: World) -> None:
    run = running(world)
    before = world.dump(run)
    assert not world.recovery.repair(run.id, everything(run))
    assert world.dump(run) == before
    assert kinds(world) == []


def test_a_broker_whose_store_is_gone_is_filled_anew(world: World) -> None:
    run = running(world)
    assert world.recovery.repair(run.id, NOTHING)
    assert set(kinds(world)) == {("batch", 1), ("batch", 2), ("consumer", 2), ("shard", 1)}
    assert world.carry_out(run).verdict is Verdict.PASSED


def test_a_broker_that_does_not_hand_out_what_it_holds_gets_a_new_consumer(world: World) -> None:
    """Shards come, find nothing, and leave: the third time the consumer is made from nothing."""
    run = running(world)
    held = Held(frozenset(), frozenset({1, 2}))
    for _ in range(2):
        for _ in range(IN_VAIN - 1):
            assert world.recovery.repair(run.id, held)
            assert kinds(world) == [("shard", 1)]
        assert world.recovery.repair(run.id, held)
        orders = [(order.kind, order.data) for order in world.settle()]
        assert orders == [("consumer", ANEW), ("shard", "")]


def test_a_batch_that_somebody_has_is_not_taken_away_with_the_consumer(world: World) -> None:
    run = running(world)
    start(world, run, "x")
    for _ in range(IN_VAIN + 1):
        assert world.recovery.repair(run.id, Held(frozenset(), frozenset({1, 2})))
        assert kinds(world) == [("shard", 1)]


def test_a_batch_under_way_is_left_alone(world: World) -> None:
    run = running(world)
    start(world, run, "x")
    start(world, run, "y", 2)
    world.clock.turn(LEASE_SECONDS)
    assert not world.recovery.repair(run.id, NOTHING)


def test_a_worker_that_is_lost_after_its_last_result_leaves_nothing_to_execute(world: World) -> None:
    """The word of the end of its process is lost with it; nobody is sent to wait for it."""
    run = running(world)
    for claim, batch, test in (("x", 1, "a::1"), ("y", 2, "b::1")):
        start(world, run, claim, batch)
        world.report({**world.voice(run, batch, claim), "what": "batch.events", "events": [passed(test)]})
    world.report({**world.voice(run, 2, "y"), "what": "batch.ended"})
    assert world.run(run.id).status is RunStatus.RUNNING
    world.clock.turn(LEASE_SECONDS + 1)
    assert world.recovery.repair(run.id, everything(run))
    assert (world.run(run.id).status, world.run(run.id).verdict) == (RunStatus.FINISHED, Verdict.PASSED)


def test_a_worker_that_is_heard_of_keeps_its_batch_for_as_long_as_it_takes(world: World) -> None:
    run = running(world)
    start(world, run, "x")
    for _ in range(100):
        world.clock.turn(9)
        world.work.alive("default", {"worker": "w", "pool": "default", "slots": 1, "runs": [run.id], "claims": ["x"]})
        assert not world.recovery.repair(run.id, everything(run))


def test_a_silent_worker_loses_its_batch_and_a_second_one_makes_the_tests_lost(world: World) -> None:
    run = running(world)
    start(world, run, "x")
    world.clock.turn(LEASE_SECONDS + 1)
    assert [found.id for found in world.recovery.look().quiet] == [run.id]
    assert world.recovery.repair(run.id, everything(run))
    assert world.outcomes(run) == {"a::1": None, "b::1": None}
    start(world, run, "y")
    start(world, run, "z", 2)
    world.report({**world.voice(run, 2, "z"), "what": "batch.events", "events": [passed("b::1")]})
    world.report({**world.voice(run, 2, "z"), "what": "batch.ended"})
    world.clock.turn(LEASE_SECONDS + 1)
    assert world.recovery.repair(run.id, NOTHING)
    run = world.run(run.id)
    assert (run.status, run.verdict) == (RunStatus.FINISHED, Verdict.FAILED)
    assert world.outcomes(run) == {"a::1": "lost", "b::1": "passed"}


def passed(test: str) -> dict[str, object]:
    return {"kind": "result", "test": test, "status": "passed"}


def test_a_batch_that_two_workers_died_of_is_given_to_no_third_one(world: World) -> None:
    run = running(world)
    start(world, run, "x")
    assert world.work.batch("default", run.id, 1)["tests"]
    start(world, run, "y")
    assert not world.work.batch("default", run.id, 1)["tests"]


def test_a_lost_attempt_that_speaks_again_before_anybody_took_over_goes_on(world: World) -> None:
    run = running(world)
    start(world, run, "x")
    world.clock.turn(LEASE_SECONDS + 1)
    world.recovery.repair(run.id, everything(run))
    world.report({**world.voice(run, 1, "x"), "what": "batch.events", "events": [passed("a::1")]})
    assert world.outcomes(run)["a::1"] == "passed"
    with world.store.read() as tx:
        assert tx.batches.losses(run.id, 1) == 0


def alive(world: World, run: Run, *claims: str) -> None:
    report = {"worker": "w1", "pool": "default", "slots": 1, "claims": list(claims), "runs": [run.id]}
    assert world.work.alive("default", report)["stop"] == []


def test_a_given_up_attempt_whose_worker_lives_goes_on_unless_another_took_over(world: World) -> None:
    run = running(world)
    start(world, run, "x")
    world.clock.turn(LEASE_SECONDS + 1)
    world.recovery.repair(run.id, everything(run))
    with world.store.read() as tx:
        assert tx.batches.losses(run.id, 1) == 1
    alive(world, run, "x")
    with world.store.read() as tx:
        assert tx.batches.losses(run.id, 1) == 0
    start(world, run, "y")
    alive(world, run, "x", "y")
    with world.store.read() as tx:
        assert tx.batches.losses(run.id, 1) == 1, "y holds the fence: x stays lost, however long it lives"


def test_a_batch_that_was_given_back_is_handed_out_without_a_loss(world: World) -> None:
    run = running(world)
    for claim in ("x", "y", "z"):
        start(world, run, claim)
        world.report({**world.voice(run, 1, claim), "what": "batch.returned"})
        assert world.recovery.repair(run.id, NOTHING)
        assert ("batch", 1) in kinds(world)
    assert world.carry_out(run).verdict is Verdict.PASSED


def test_silence_before_this_control_plane_began_to_listen_proves_nothing(world: World) -> None:
    run = running(world)
    start(world, run, "x")
    start(world, run, "y", 2)
    world.clock.turn(3000)
    fresh = Recovery(world.store, world.clock)
    assert not fresh.repair(run.id, NOTHING)
    world.clock.turn(LEASE_SECONDS + 1)
    assert fresh.repair(run.id, NOTHING)


def test_a_run_that_nobody_takes_ends_and_its_time_limit_counts_from_its_first_work(world: World) -> None:
    world.project(time_limit=60)
    waits, late = world.trigger(), world.trigger()
    world.clock.turn(QUEUE_SECONDS - 10)
    world.report({"run": late.id, "claim": "p", "what": "plan.started"})
    world.clock.turn(20)
    assert world.recovery.look().ended == [waits.id]
    error = world.run(waits.id).error
    assert error
    assert (error.code, error.message) == ("no_worker", "no worker took the run within 24 hours: is one running?")
    world.clock.turn(60)
    assert world.recovery.look().ended == [late.id]


@pytest.mark.parametrize("stage", ["planning", "running"])
def test_a_run_past_its_time_limit_ends_and_says_so(world: World, stage: str) -> None:
    world.project(time_limit=60)
    run = world.trigger()
    if stage == "planning":
        world.report({"run": run.id, "claim": "p", "what": "plan.started"})
    if stage == "running":
        world.plan(run, [planned("a"), planned("b")])
        world.report({**world.voice(run), "what": "batch.events", "events": [passed("a")]})
    world.clock.turn(59)
    assert world.recovery.look().ended == []
    world.clock.turn(2)
    assert world.recovery.look().ended == [run.id]
    run = world.run(run.id)
    assert run.status is RunStatus.FINISHED
    assert run.verdict is not Verdict.PASSED
    assert run.error
    assert run.error.code == "time_limit"
    assert "60 s" in run.error.message
    assert all(world.outcomes(run).values())
    assert world.recovery.look().busy is False
    before = world.dump(run)
    assert not world.recovery.repair(run.id, NOTHING)
    assert world.dump(run) == before


def test_nothing_of_a_run_that_is_over_stays_running(world: World) -> None:
    run = running(world)
    start(world, run, "x")
    world.recovery.repair(run.id, NOTHING)
    world.clock.turn(10_000)
    world.recovery.look()
    with world.store.read() as tx:
        found = tx.batches.attempt("x")
        assert found
        assert found.state is AttemptState.ENDED
        assert tx.batches.silent(world.clock.now()) == []
        assert tx.batches.open(run.id) == []
