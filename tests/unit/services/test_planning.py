"""From a selection to a plan: nothing that was asked for vanishes, and nothing to run is never green."""

from dataclasses import replace
from typing import Any

import pytest

from resit.domain import wire
from resit.domain.errors import InvalidInput
from resit.domain.ids import case_uuid
from resit.domain.plan import PlannedTest
from resit.domain.rerun import Again
from resit.domain.status import RunStatus, SelectionKind, Verdict
from resit.services import planning
from resit.services.recovery import Held
from resit.testing.factories import ADMIN, planned, result, suite
from resit.testing.world import World

TAGGED = [planned("a", tags=("@slow",)), planned("b"), planned("c", variant="chrome")]


@pytest.mark.parametrize(
    ("tests", "request_", "environment", "words"),
    [
        ([], {}, {}, "the suite has no tests"),
        (TAGGED, {"tags": ("@smoke",)}, {}, "none of the suite's 3 tests has a tag of @smoke"),
        (TAGGED, {}, {"match": ["firefox"]}, "leave no test"),
        (TAGGED, {}, {"ignore": ["*"]}, "leave no test"),
        (TAGGED, {"tags": ("slow",)}, {"match": ["chrome"]}, "within the environment's filters"),
    ],
)
def test_nothing_to_run_is_errored_and_says_why(
    world: World, tests: list[PlannedTest], request_: dict[str, object], environment: dict[str, object], words: str
) -> None:
    world.project()
    world.environment(**environment)
    run = world.plan(world.trigger(environment="staging", **request_), tests)
    assert (run.status, run.verdict, run.counts.total) == (RunStatus.FINISHED, Verdict.ERRORED, 0)
    assert run.error
    assert run.error.code == "no_tests"
    assert words in run.error.message


def test_ids_that_are_gone_are_not_found_and_the_rest_runs(world: World) -> None:
    world.project()
    run = world.plan(world.trigger(tests=("b", "gone", "a", "gone")), TAGGED)
    assert world.outcomes(run) == {"a": None, "b": None, "gone": "not_found"}
    run = world.carry_out(run)
    assert (run.verdict, run.counts.not_found, run.counts.passed) == (Verdict.FAILED, 1, 2)


def test_only_ids_that_are_gone_end_the_run_red(world: World) -> None:
    world.project()
    run = world.plan(world.trigger(tests=("gone",)), TAGGED)
    assert (run.status, run.verdict, run.counts.not_found) == (RunStatus.FINISHED, Verdict.FAILED, 1)


def test_a_test_that_the_filters_leave_out_does_not_pass_for_run(world: World) -> None:
    world.project()
    world.environment(match=["chrome"])
    run = world.plan(world.trigger(environment="staging", tests=("a", "c")), TAGGED)
    assert world.outcomes(run) == {"a": "not_found", "c": None}


def test_tests_by_their_case(world: World) -> None:
    project = world.project()
    world.plan(world.trigger(), TAGGED)
    uuid, unknown = case_uuid(project.uuid, "b"), case_uuid(project.uuid, "never seen")
    run = world.plan(world.trigger(tests=(uuid, unknown)), TAGGED)
    assert world.outcomes(run) == {"b": None, unknown: "not_found"}


def test_a_test_that_is_listed_twice_is_planned_once(world: World) -> None:
    world.project()
    assert world.plan(world.trigger(), [planned("a"), planned("a"), planned("b")]).counts.planned == 2


def test_plans_in_pieces_in_any_order_and_told_twice(world: World) -> None:
    world.project()
    run, tests = world.trigger(), suite(3, 2)
    said = {"run": run.id, "claim": "p"}
    pieces = [
        {**said, "what": "plan.tests", "number": n, "tests": [wire.test_to_wire(test) for test in piece]}
        for n, piece in enumerate((tests[:3], tests[3:]))
    ]
    facts = {"framework": "f", "lanes": 1, "shares_process": False, "dispatch_cost": 1.0, "approximate": False}
    ended = {**said, "what": "plan.ended", "parts": 2, "facts": facts}
    world.report({**said, "what": "plan.started"}, pieces[1])
    assert "1 of 2 parts" in world.report(ended)[0]
    assert world.run(run.id).status is RunStatus.PLANNING
    world.report(pieces[1], pieces[0], ended, ended, *pieces)
    assert world.run(run.id).counts.planned == 5
    assert list(world.outcomes(run)) == [test.id for test in tests]
    with world.store.read() as tx:
        assert not tx.ledger.staged(run.id, "p")


def test_only_the_planner_that_holds_the_run_is_heard(world: World) -> None:
    world.project()
    run = world.trigger()
    world.report(*({"run": run.id, "claim": claim, "what": "plan.started"} for claim in ("old", "new")))
    facts = {"framework": "f", "lanes": 1, "shares_process": False, "dispatch_cost": 1.0, "approximate": False}
    world.report({"run": run.id, "claim": "old", "what": "plan.failed", "code": "x", "message": "too late"})
    world.report({"run": run.id, "claim": "old", "what": "plan.ended", "parts": 0, "facts": facts})
    assert world.run(run.id).status is RunStatus.PLANNING


def test_a_plan_that_fails_ends_the_run_with_its_cause(world: World) -> None:
    world.project()
    run = world.trigger()
    world.report(
        {"run": run.id, "claim": "p", "what": "plan.started"},
        {"run": run.id, "claim": "p", "what": "plan.failed", "code": "collection_failed", "message": "SyntaxError"},
    )
    run = world.run(run.id)
    assert (run.status, run.verdict) == (RunStatus.FINISHED, Verdict.ERRORED)
    assert run.error
    assert (run.error.code, run.error.message) == ("collection_failed", "SyntaxError")


def test_what_kills_three_planners_ends_the_run(world: World) -> None:
    world.project()
    run = world.trigger()
    for n in range(planning.MAX_PLANS + 1):
        world.report({"run": run.id, "claim": f"p{n}", "what": "plan.started"})
    run = world.run(run.id)
    assert run.error
    assert (run.verdict, run.error.code) == (Verdict.ERRORED, "plan_lost")


@pytest.mark.parametrize("cost", [0, -1, 1e-300])
def test_odd_facts_of_an_executor(world: World, cost: float) -> None:
    world.project(shards=4)
    world.carry_out(world.plan(world.trigger(), suite(1, 1, 1, 1), dispatch_cost=cost))
    run = world.plan(world.trigger(), suite(1, 1, 1, 1), dispatch_cost=cost, lanes=0)
    assert 1 <= run.total_shards <= 4
    assert world.carry_out(run).verdict is Verdict.PASSED


def test_one_process_for_all_lanes_makes_one_batch_a_worker(world: World) -> None:
    world.project(shards=4)
    for worker in ("w1", "w2"):
        world.work.alive("default", {"worker": worker, "pool": "default", "slots": 2})
    run = world.plan(world.trigger(), suite(*[1] * 8), shares_process=True)
    with world.store.read() as tx:
        assert len(tx.batches.open(run.id)) == 2
    assert run.total_shards == 4
    world.clock.turn(60)
    run = world.plan(world.trigger(), suite(*[1] * 8), shares_process=True)
    with world.store.read() as tx:
        assert len(tx.batches.open(run.id)) == 1


def test_what_a_run_took_is_expected_of_the_next_one(world: World) -> None:
    project = world.project()
    world.carry_out(world.planned("a"))
    assert [case.expected for case in world.reads.test_cases(project.id, "", 0, 9).items] == [0.5]
    world.carry_out(world.planned("a"), {"a": []})
    case = world.reads.test_cases(project.id, "", 0, 9).items[0]
    assert (case.expected, case.last_outcome) == (0.5, "errored")


def test_a_plan_job_that_the_broker_lost_is_handed_out_anew(world: World) -> None:
    world.project()
    run = world.trigger()
    world.settle()
    world.clock.turn(6)
    assert [found.id for found in world.recovery.look().quiet] == [run.id]
    assert world.recovery.repair(run.id, Held(frozenset(), frozenset()))
    assert [message.kind for message in world.settle()] == ["plan"]


def test_a_rerun_whose_planner_died_after_its_source_had_a_plan_goes_on(world: World) -> None:
    world.project()
    source = world.trigger()
    made = world.runs.rerun(ADMIN, source.id, Again(kind=SelectionKind.ALL))[0]
    world.settle()
    world.report({"run": made.id, "claim": "dies", "what": "plan.started"})
    world.plan(source, [planned("a")])
    world.clock.turn(30)
    assert world.recovery.repair(made.id, Held(frozenset(), frozenset()))
    world.settle()
    assert world.run(made.id).status is RunStatus.RUNNING
    assert list(world.outcomes(made)) == ["a"]


def test_a_worker_that_goes_politely_is_no_loss(world: World) -> None:
    world.project()
    run = world.trigger()
    world.settle()
    for n in range(2 * planning.MAX_PLANS):
        world.report({"run": run.id, "claim": f"p{n}", "what": "plan.started"})
        world.report({"run": run.id, "claim": "somebody else", "what": "plan.returned"})
        assert (world.run(run.id).plan_claim, world.run(run.id).plan_attempts) == (f"p{n}", 1)
        world.report({"run": run.id, "claim": f"p{n}", "what": "plan.returned"})
        assert (world.run(run.id).plan_claim, world.run(run.id).plan_attempts) == ("", 0)
    assert world.plan(run, TAGGED).status is RunStatus.RUNNING
    world.report({"run": run.id, "claim": "planner", "what": "plan.returned"})
    assert world.run(run.id).status is RunStatus.RUNNING


def test_a_target_time_chooses_the_shards(world: World) -> None:
    """As many as are expected to be done by then."""
    world.project()
    tests = [replace(test, apart=True) for test in suite(10, 10)]
    costs: dict[str, Any] = {"dispatch_cost": 0.5, "batch_cost": 0.02, "lane_cost": 0.01}
    said = {test.id: [result(test.id, duration=6.0)] for test in tests}
    world.carry_out(world.plan(world.trigger(), tests, shares_process=True, **costs), said)
    for target, shards in ((600.0, 1), (61.0, 2), (31.0, 4), (1.0, 20)):
        run = world.plan(world.trigger(target_time=target), tests, shares_process=True, **costs)
        assert (run.target_time, run.total_shards) == (target, shards)
        world.runs.cancel(ADMIN, run.id)


@pytest.mark.parametrize("request_", [{"target_time": 0.0}, {"target_time": 1e9}, {"target_time": 60.0, "shards": 2}])
def test_a_target_time_that_can_not_be_meant(world: World, request_: dict[str, Any]) -> None:
    world.project()
    with pytest.raises(InvalidInput, match="target"):
        world.trigger(**request_)
