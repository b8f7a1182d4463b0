"""A shard that can't be prepared: a second opinion, and never against those who are at work."""

from typing import Any

from resit.domain.attempt import AttemptState
from resit.domain.run import Run
from resit.domain.status import RunStatus, Verdict
from resit.testing.world import World


def fails(world: World, run: Run, claim: str, message: str = "npm ci: exit 1") -> Run:
    """A worker asks for the run and can't prepare its shard."""
    asks(world, run, claim)
    about: dict[str, Any] = {"run": run.id, "claim": claim, "worker": f"w-{claim}", "shard": 1}
    world.report({**about, "what": "shard.failed", "code": "setup_failed", "message": message})
    return world.run(run.id)


def asks(world: World, run: Run, claim: str) -> None:
    """A worker begins to prepare a shard."""
    world.work.shard("default", run.id, claim, f"w-{claim}", 1)


def planned(world: World) -> Run:
    world.project()
    return world.planned("a::1", "b::1")


def test_two_opinions_end_the_run_with_the_cause(world: World) -> None:
    run = planned(world)
    assert fails(world, run, "one").status is RunStatus.RUNNING
    run = fails(world, run, "two", "npm ci: exit 2")
    assert (run.status, run.verdict, run.counts.errored) == (RunStatus.FINISHED, Verdict.FAILED, 2)
    assert run.error
    assert (run.error.code, run.error.message) == ("setup_failed", "npm ci: exit 2")
    assert "cancel" in {message.kind for message in world.settle()}
    before = world.run(run.id)
    assert fails(world, run, "three") == before


def test_the_same_word_twice_is_one_opinion(world: World) -> None:
    run = planned(world)
    for _ in range(3):
        assert fails(world, run, "one").status is RunStatus.RUNNING


def test_who_executes_a_batch_is_not_stopped_by_those_who_can_not(world: World) -> None:
    run = planned(world)
    world.report({**world.voice(run), "what": "batch.started"})
    for claim in ("one", "two", "three"):
        assert fails(world, run, claim).status is RunStatus.RUNNING
    # Its worker falls silent: then there is nobody who can.
    world.clock.turn(11)
    assert fails(world, run, "four").status is RunStatus.FINISHED


def test_who_prepares_is_waited_for(world: World) -> None:
    run = planned(world)
    asks(world, run, "slow")
    assert fails(world, run, "one").status is RunStatus.RUNNING
    assert fails(world, run, "two").status is RunStatus.RUNNING
    world.clock.turn(8)
    world.work.alive("default", {"worker": "w-slow", "slots": 1, "claims": ["slow"], "runs": [run.id]})
    world.clock.turn(8)
    assert fails(world, run, "three").status is RunStatus.RUNNING
    assert fails(world, run, "slow").status is RunStatus.FINISHED


def test_a_shard_that_is_done_is_at_work_no_more(world: World) -> None:
    run = planned(world)
    asks(world, run, "done")
    world.report({"run": run.id, "claim": "done", "what": "shard.ended"})
    assert fails(world, run, "one").status is RunStatus.RUNNING
    assert fails(world, run, "two").status is RunStatus.FINISHED


def test_a_silent_preparation_is_no_business_of_the_reconcilers(world: World) -> None:
    run = planned(world)
    asks(world, run, "one")
    world.clock.turn(60)
    with world.store.read() as tx:
        assert tx.batches.silent(world.clock.now() - 10) == []


def test_only_the_runs_own_attempts_are_believed(world: World) -> None:
    run = planned(world)
    other = world.planned("a::1")
    fails(world, run, "one")
    fails(world, other, "one")
    assert fails(world, run, "two").status is RunStatus.FINISHED
    assert fails(world, other, "three").status is RunStatus.RUNNING
    # An attempt at a batch is none at a shard.
    world.report({**world.voice(other, claim="batch"), "what": "batch.started"})
    world.report({"run": other.id, "claim": "batch", "what": "shard.ended"})
    with world.store.read() as tx:
        attempt = tx.batches.attempt("batch")
    assert attempt
    assert attempt.state is AttemptState.RUNNING


def test_a_run_of_another_pool_is_not_begun(world: World) -> None:
    run = planned(world)
    world.work.shard("other", run.id, "spy", "w", 1)
    with world.store.read() as tx:
        assert tx.batches.attempt("spy") is None
