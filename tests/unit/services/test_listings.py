"""Listings that are used again: a run of the same source is planned without a word of the framework."""

from dataclasses import replace

import pytest

from resit.domain.events import NotFound
from resit.domain.rerun import Again
from resit.domain.run import PlanFacts, Run
from resit.domain.selection import SelectionKind
from resit.domain.status import RunStatus, Verdict
from resit.services.planning import LISTING_SECONDS, Listed
from resit.storage.listings import KEPT
from resit.testing.factories import ADMIN, planned
from resit.testing.world import World

TESTS = [replace(planned("a::1"), apart=True), planned("b::2", tags=("slow",))]


def listed(world: World, key: str = "k") -> Run:
    """A run whose listing is kept."""
    return world.plan(world.trigger(), TESTS, key=key, digest="d", lanes=2)


def use(world: World, run: Run, key: str = "k", *, look: bool = False, pool: str = "default") -> bool:
    world.settle()
    found = Listed(0, PlanFacts(), "beef", "", key)
    return world.work.plan(pool, run.id, "second", found, look=look)


@pytest.fixture(autouse=True)
def project(world: World) -> None:
    world.project()


def test_a_run_is_planned_from_what_an_earlier_one_listed(world: World) -> None:
    first = listed(world)
    run = world.trigger()
    assert use(world, run, look=True)
    assert world.run(run.id).status is RunStatus.ADMITTED
    assert use(world, run)
    run = world.run(run.id)
    assert (run.status, run.commit, run.facts) == (RunStatus.RUNNING, "beef", replace(first.facts, reused=first.id))
    with world.store.read() as tx:
        assert tx.ledger.plan(run.id) == TESTS
    assert world.carry_out(run).verdict is Verdict.PASSED
    # Asked again, because the answer was lost: nothing happens twice.
    before = world.dump(run)
    assert use(world, run)
    assert world.dump(run) == before


def test_its_own_selection_holds(world: World) -> None:
    listed(world)
    run = world.trigger(tags=("slow",))
    assert use(world, run)
    assert world.outcomes(run) == {"b::2": None}


def test_what_was_not_listed_has_to_be(world: World) -> None:
    listed(world)
    run = world.trigger()
    assert not use(world, run, "other", look=True)
    assert not use(world, run, "other")
    assert world.run(run.id).status is RunStatus.ADMITTED
    assert use(world, run, pool="another")  # none of its business: over, as far as it is concerned
    assert world.run(run.id).status is RunStatus.ADMITTED
    world.plan(run, TESTS[:1], claim="second")
    assert world.outcomes(run) == {"a::1": None}


def test_nothing_is_remembered_for_ever(world: World) -> None:
    listed(world)
    run = world.trigger()
    world.clock.turn(LISTING_SECONDS + 1)
    assert not use(world, run)
    for number in range(KEPT + 2):
        world.clock.turn(1)
        listed(world, f"key {number}")
    with world.store.read() as tx:
        kept = [number for number in range(KEPT + 2) if tx.listings.get(run.project_id, f"key {number}", 0.0)]
    assert kept == list(range(2, KEPT + 2))


def test_another_project_has_listings_of_its_own(world: World) -> None:
    listed(world)
    world.project("other")
    assert not use(world, world.trigger(project="other"))


@pytest.mark.parametrize("sign", ["a test is gone", "tests were not planned"])
def test_a_listing_that_proved_wrong_is_forgotten(world: World, sign: str) -> None:
    listed(world)
    run = world.trigger()
    use(world, run)
    if sign == "a test is gone":
        world.carry_out(world.run(run.id), {"a::1": [NotFound("a::1")]})
    else:
        world.carry_out(world.run(run.id), problems=["the suite has 2 tests that were not planned"])
    assert world.run(run.id).verdict is not Verdict.PASSED
    assert not use(world, world.trigger())


def test_a_rerun_of_one_says_nothing_of_tests_that_were_not_planned(world: World) -> None:
    listed(world)
    run = world.trigger()
    use(world, run)
    world.carry_out(world.run(run.id))
    again = world.runs.rerun(ADMIN, run.id, Again(kind=SelectionKind.ALL))[0]
    world.settle()
    facts = world.run(again.id).facts
    assert (facts.framework, facts.digest, facts.reused) == ("pytest 9", "", 0)
