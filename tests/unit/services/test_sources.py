"""What a run will execute is known before it has its plan, and the plan keeps to it."""

from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resit.domain.errors import NothingToRun
from resit.domain.ids import case_key, case_uuid
from resit.domain.plan import PlannedTest
from resit.domain.rerun import Again, SourceMust
from resit.domain.run import Run
from resit.domain.selection import Taken
from resit.domain.status import SelectionKind
from resit.services import sources
from resit.testing.factories import ADMIN, did_not_run, not_collected, planned, result
from resit.testing.world import World, empty

ALL, FAILED, CHOSEN = SelectionKind.ALL, SelectionKind.FAILED, SelectionKind.CHOSEN
SUITE = [
    planned("ui/a.py::one", tags=("@smoke",), variant="firefox"),
    planned("ui/a.py::two", tags=("slow",), variant="firefox", unit="serial"),
    planned("ui/a.py::three", variant="firefox", unit="serial"),
    planned("api/b.py::four", tags=("smoke", "slow"), variant="chromium"),
    planned("api/b.py::five"),
]
IDS = [test.id for test in SUITE]


def foreseen(world: World, run: Run) -> list[str]:
    return [test.id for test in world.runs.foreseen(ADMIN, run.id)]


def size(world: World, run: Run) -> int:
    with world.store.read() as tx:
        return sources.size(tx, world.run(run.id))


def plan_of(world: World, run: Run) -> list[str]:
    """What stands in its ledger and was not given up at once as not found."""
    return [test for test, outcome in world.outcomes(run).items() if outcome != "not_found"]


def listed(world: World, tests: Collection[PlannedTest] = SUITE) -> Run:
    """A run that was carried through, whose listing is now known."""
    return world.carry_out(world.plan(world.trigger(), list(tests)))


def names(world: World, test: PlannedTest) -> list[str]:
    with world.store.read() as tx:
        project = tx.projects.by_slug("shop")
    assert project is not None
    uuid = project.uuid
    return [test.id, case_key(test), case_uuid(uuid, test.id)]


def test_nothing_is_foreseen_of_a_suite_that_was_never_listed(world: World) -> None:
    world.project()
    run = world.trigger()
    assert foreseen(world, run) == []
    assert size(world, run) == 0
    assert size(world, world.trigger(tests=("a", "b", "a"))) == 2


def test_the_last_listing_is_foreseen(world: World) -> None:
    world.project()
    listed(world)
    assert foreseen(world, world.trigger()) == IDS
    listed(world, SUITE[:2])
    run = world.trigger()
    assert foreseen(world, run) == IDS[:2]
    run = world.plan(run, SUITE[:3])
    assert foreseen(world, run) == IDS[:3]
    assert size(world, run) == 3
    listed(world, SUITE[:1])
    assert foreseen(world, run) == IDS[:3]


def test_tags_that_were_set_here_are_foreseen_and_planned(world: World) -> None:
    world.project()
    listed(world)
    with world.store.write() as tx:
        case = tx.cases.named(1, [IDS[4]])[0]
        tx.cases.set_tags(case.id, ["mine"], 1)
        tx.cases.set_tags(tx.cases.named(1, [IDS[0]])[0].id, [], 1)
    for tags, found in ((("@mine",), [IDS[4]]), (("smoke",), [IDS[3]])):
        run = world.trigger(tags=tags)
        assert foreseen(world, run) == found
        assert plan_of(world, world.plan(run, SUITE)) == found


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_tests_by_any_of_their_names(world: World, kind: int) -> None:
    world.project()
    listed(world)
    asked = (names(world, SUITE[4])[kind], names(world, SUITE[0])[kind], SUITE[0].id, "gone")
    run = world.trigger(tests=asked)
    with world.store.read() as tx:
        assert sources.by_id(tx, run).tests == (IDS[4], IDS[0], "gone")
    assert foreseen(world, run) == [IDS[0], IDS[4]]
    assert size(world, run) == 3
    run = world.plan(run, SUITE)
    assert plan_of(world, run) == [IDS[0], IDS[4]]
    assert run.counts.total == 3


def test_a_selection_without_names_stays_as_it_is(world: World) -> None:
    world.project()
    run = world.trigger(tags=("a",))
    with world.store.read() as tx:
        assert sources.by_id(tx, run) is run.selection


def test_names_of_another_project_are_unknown(world: World) -> None:
    world.project()
    world.project("other")
    listed(world)
    uuid = names(world, SUITE[0])[2]
    run = world.trigger("other", tests=(uuid,))
    with world.store.read() as tx:
        assert sources.by_id(tx, run).tests == (uuid,)


def test_nothing_is_foreseen_of_a_run_that_ended_without_a_plan(world: World) -> None:
    world.project()
    listed(world)
    run = world.runs.cancel(ADMIN, world.trigger().id, reason="")[0]
    assert foreseen(world, run) == []
    assert size(world, run) == 0


def test_a_run_that_would_execute_nothing_can_be_refused(world: World) -> None:
    world.project()
    world.trigger(tags=("nothing",), refuse_empty=True)
    listed(world)
    with pytest.raises(NothingToRun):
        world.trigger(tags=("nothing",), refuse_empty=True)
    world.trigger(tags=("smoke",), refuse_empty=True)


def test_a_rerun_of_a_rerun_without_a_plan_takes_its_ancestors(world: World) -> None:
    world.project()
    first = listed(world)
    second = world.runs.rerun(ADMIN, first.id, Again(kind=CHOSEN, tests=(IDS[0],)))[0]
    world.runs.cancel(ADMIN, second.id, reason="")
    third = world.runs.rerun(ADMIN, second.id, Again(kind=ALL))[0]
    with world.store.read() as tx:
        source = sources.planned_source(tx, third)
    assert source is not None
    assert source.id == first.id
    said = foreseen(world, third)
    world.settle()
    assert plan_of(world, third) == said


SAID = {
    "passed": lambda test: [result(test)],
    "failed": lambda test: [result(test, "failed")],
    "skipped": lambda test: [result(test, "skipped")],
    "errored": lambda _: [],
    "did not run": lambda test: [did_not_run(test)],
    "not found": lambda test: [not_collected(test)],
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    said=st.lists(st.sampled_from(sorted(SAID)), min_size=5, max_size=5),
    taken=st.sampled_from(Taken),
    kind=st.sampled_from(SelectionKind),
    chosen=st.lists(st.sampled_from(IDS), min_size=1, max_size=3),
)
def test_a_rerun_executes_exactly_what_was_foreseen(
    world: World, said: list[str], taken: Taken, kind: SelectionKind, chosen: list[str]
) -> None:
    empty(world.engine)
    world.project()
    run = world.plan(world.trigger(), SUITE)
    run = world.carry_out(run, {id: SAID[word](id) for id, word in zip(IDS, said, strict=True)})
    asked = Again(kind=kind, tests=tuple(chosen) if kind is CHOSEN else (), taken=taken, source=SourceMust.EXIST)
    before = world.dump(run)
    try:
        again = world.runs.rerun(ADMIN, run.id, asked)[0]
    except NothingToRun:
        assert kind is FAILED
        assert not taken.size(run.counts)
        return
    found, many = foreseen(world, again), size(world, again)
    world.settle()
    assert plan_of(world, again) == found == foreseen(world, again)
    assert many == len(found) == world.run(again.id).counts.total
    if kind is FAILED:
        assert len(found) >= taken.size(run.counts)
    assert world.dump(run) == before


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    tests=st.lists(st.sampled_from([*IDS, "gone"]), max_size=3),
    tags=st.lists(st.sampled_from(["smoke", "@slow", "none"]), max_size=2),
    match=st.lists(st.sampled_from(["firefox", "chrom*", "api/*"]), max_size=2),
    lenient=st.booleans(),
)
def test_a_run_plans_what_was_foreseen_while_the_suite_stays(
    world: World, tests: list[str], tags: list[str], match: list[str], lenient: bool
) -> None:
    empty(world.engine)
    world.project()
    listed(world)
    words: dict[str, Any] = {"tests": tuple(tests), "tags": tuple(tags), "lenient": lenient}
    world.environment(match=match)
    run = world.trigger(environment="staging", **words)
    found, many = foreseen(world, run), size(world, run)
    run = world.plan(run, SUITE)
    assert plan_of(world, run) == found
    assert run.counts.total == many
