"""Runs: requested, run again, cancelled. The source of a re-run is what it was, byte for byte."""

from collections.abc import Callable
from typing import Any

import pytest

from resit.domain.access import Principal, Scope
from resit.domain.errors import (
    Forbidden,
    InvalidInput,
    NotFound,
    NothingToRun,
    RequestReused,
    ResitError,
    RunStillOpen,
)
from resit.domain.ids import case_uuid
from resit.domain.rerun import Again
from resit.domain.run import Build, Run
from resit.domain.status import RunStatus, SelectionKind, Verdict
from resit.services.desk import QUEUE_SECONDS
from resit.services.requests import Request
from resit.testing.factories import ADMIN, did_not_run, flaky, not_collected, planned, result
from resit.testing.world import World

ALL, FAILED, CHOSEN = SelectionKind.ALL, SelectionKind.FAILED, SelectionKind.CHOSEN


def again(world: World, run: Run, kind: SelectionKind = FAILED, *tests: str, **more: Any) -> Run:
    made = world.runs.rerun(ADMIN, run.id, Again(kind=kind, tests=tuple(tests), **more))[0]
    world.settle()
    return world.run(made.id)


def mixed(world: World) -> Run:
    """A finished run with one test of each kind."""
    run = world.planned("passes", "fails", "flaky", "skipped", "gone", "left out", "errored")
    said = {
        "fails": [result("fails", "failed")],
        "flaky": flaky("flaky"),
        "skipped": [result("skipped", "skipped")],
        "gone": [not_collected("gone")],
        "left out": [did_not_run("left out")],
        "errored": [],
    }
    return world.carry_out(run, said)


def test_a_run_from_request_to_verdict(world: World) -> None:
    world.project(shards=2, time_limit=60)
    run = world.trigger(build=Build(url="https://shop.test"), metadata={"pr": 7}, reason="deploy")
    assert run.status is RunStatus.ADMITTED
    assert run.deadline == run.created_at + QUEUE_SECONDS
    assert [message.kind for message in world.settle()] == ["plan"]
    run = world.plan(run, [planned("a::1"), planned("b::1")])
    assert (run.status, run.counts.planned, run.commit, run.total_shards) == (RunStatus.RUNNING, 2, "c0ffee", 2)
    assert {message.kind for message in world.settle()} == {"consumer", "batch", "shard"}
    run = world.carry_out(run)
    assert (run.status, run.verdict, run.counts.passed) == (RunStatus.FINISHED, Verdict.PASSED, 2)
    assert run.finished_at == world.clock.now()


def test_outcomes_of_a_mixed_run(world: World) -> None:
    world.project()
    run = mixed(world)
    assert world.outcomes(run) == {
        "passes": "passed", "fails": "failed", "flaky": "flaky", "skipped": "skipped", "gone": "not_found",
        "left out": "skipped", "errored": "errored",
    }  # fmt: skip
    assert run.verdict is Verdict.FAILED
    assert run.counts.red == 4


@pytest.mark.parametrize(
    ("kind", "tests", "expected"),
    [
        (ALL, (), ["passes", "fails", "flaky", "skipped", "gone", "left out", "errored"]),
        (FAILED, (), ["fails", "gone", "left out", "errored"]),
        (CHOSEN, ("passes", "flaky", "passes"), ["passes", "flaky"]),
    ],
)
def test_running_again_takes_up_what_was_asked_for(
    world: World, kind: SelectionKind, tests: tuple[str, ...], expected: list[str]
) -> None:
    world.project()
    source = mixed(world)
    before = world.dump(source)
    made = again(world, source, kind, *tests, reason="again")
    assert list(world.outcomes(made)) == expected
    assert (made.source_run_id, made.status, made.reason) == (source.id, RunStatus.RUNNING, "again")
    assert made.facts == source.facts
    world.carry_out(made)
    assert world.dump(source) == before
    world.runs.cancel(ADMIN, again(world, source, kind, *tests).id)
    assert world.dump(source) == before


def test_running_again_by_test_case(world: World) -> None:
    project = world.project()
    source = mixed(world)
    made = again(world, source, CHOSEN, case_uuid(project.uuid, "gone"), "passes")
    assert list(world.outcomes(made)) == ["passes", "gone"]
    assert set(made.selection.tests) == {"passes", "gone"}


def test_a_serial_group_runs_again_as_a_whole(world: World) -> None:
    world.project()
    tests = [planned("a", unit="group"), planned("b"), planned("c", unit="group")]
    source = world.carry_out(world.plan(world.trigger(), tests), {"c": [result("c", "failed")]})
    assert list(world.outcomes(again(world, source))) == ["a", "c"]


def test_a_rerun_of_a_rerun_links_to_it_and_the_family_tells_the_effective_verdict(world: World) -> None:
    world.project()
    first = mixed(world)
    second = world.carry_out(again(world, first), {"gone": [not_collected("gone")]})
    before = world.dump(first), world.dump(second)
    third = again(world, second)
    assert list(world.outcomes(third)) == ["gone"]
    world.carry_out(third)
    assert [view.run.id for view in world.reads.lineage(second.id)] == [first.id, second.id, third.id]
    assert (world.dump(first), world.dump(second)) == before


def test_a_rerun_takes_over_what_was_said_of_the_source(world: World) -> None:
    world.project(branch="main")
    world.environment(variables={"A": "1"})
    words: dict[str, Any] = {
        "environment": "staging", "build": Build(version="7"), "commit": "abc", "metadata": {"pr": 7},
        "variables": {"B": "2"}, "shards": 3,
    }  # fmt: skip
    source = world.carry_out(world.planned("a", **words))
    made = again(world, source, ALL)
    for name in ("environment_id", "build", "metadata", "variables", "shards", "branch", "pool", "pinned"):
        assert getattr(made, name) == getattr(source, name), name
    assert made.commit == "c0ffee"  # pinned, and checked out
    assert not again(world, world.carry_out(world.planned("a")), ALL).commit


def test_a_rerun_of_a_run_that_had_no_plan_asks_the_same_question_again(world: World) -> None:
    world.project()
    source = world.trigger(tests=("a",))
    world.runs.cancel(ADMIN, source.id)
    made = again(world, source, ALL)
    assert (made.status, made.selection.tests) == (RunStatus.ADMITTED, ("a",))
    assert list(world.outcomes(world.plan(made, [planned("a"), planned("b")]))) == ["a"]


def test_a_rerun_of_a_rerun_that_had_no_plan_runs_what_that_one_was_to_run(world: World) -> None:
    world.project()
    source = mixed(world)
    stopped = world.runs.rerun(ADMIN, source.id, Again(kind=FAILED))[0]
    world.runs.cancel(ADMIN, stopped.id)
    world.settle()
    assert not world.outcomes(stopped)
    made = again(world, stopped, ALL)
    assert made.source_run_id == stopped.id
    assert list(world.outcomes(made)) == ["fails", "gone", "left out", "errored"]


REFUSED: list[tuple[Callable[[World, Run, Run], object], type[ResitError]]] = [
    (lambda w, done, _: w.runs.rerun(ADMIN, done.id, Again(kind=CHOSEN)), NothingToRun),
    (lambda w, done, _: w.runs.rerun(ADMIN, done.id, Again(kind=CHOSEN, tests=("no such",))), InvalidInput),
    (lambda w, done, _: w.runs.rerun(ADMIN, done.id, Again(kind=ALL, tests=("a",))), InvalidInput),
    (lambda w, done, _: w.runs.rerun(ADMIN, done.id, Again(kind=FAILED)), NothingToRun),
    (lambda w, done, _: w.runs.rerun(ADMIN, done.id, Again(kind=CHOSEN, tests=("",))), InvalidInput),
    (lambda w, done, _: w.runs.rerun(ADMIN, done.id, Again(kind=CHOSEN, tests=("a\ud800",))), InvalidInput),
    (lambda w, done, _: w.runs.rerun(ADMIN, done.id, Again(kind=ALL, reason="x" * 3000)), InvalidInput),
    (lambda w, done, _: w.runs.rerun(ADMIN, done.id, Again(kind=CHOSEN, tests=tuple(["a"] * 50_001))), InvalidInput),
    (lambda w, _, open_: w.runs.rerun(ADMIN, open_.id, Again(kind=FAILED)), RunStillOpen),
    (lambda w, *_: w.runs.rerun(ADMIN, 999, Again(kind=ALL)), NotFound),
    (lambda w, *_: w.runs.rerun(ADMIN, "9" * 18, Again(kind=ALL)), NotFound),
    (lambda w, *_: w.runs.rerun(ADMIN, "run" + "j" * 17, Again(kind=ALL)), NotFound),
    (lambda w, *_: w.runs.rerun(ADMIN, "x" * 36, Again(kind=ALL)), NotFound),
    (lambda w, *_: w.runs.rerun(Principal("r", None, frozenset({Scope.RUNS_READ})), 1, Again(kind=ALL)), Forbidden),
    (lambda w, *_: w.runs.rerun(Principal("o", 999, frozenset({Scope.RUNS_WRITE})), 1, Again(kind=ALL)), NotFound),
    (lambda w, *_: w.trigger("nowhere"), NotFound),
    (lambda w, *_: w.trigger(environment="nowhere"), InvalidInput),
    (lambda w, *_: w.trigger(shards=-1), InvalidInput),
    (lambda w, *_: w.trigger(shards=257), InvalidInput),
    (lambda w, *_: w.trigger(branch="--upload-pack=x"), InvalidInput),
    (lambda w, *_: w.trigger(commit="-x"), InvalidInput),
    (lambda w, *_: w.trigger(tags=("a\0",)), InvalidInput),
    (lambda w, *_: w.trigger(tags=("a",) * 101), InvalidInput),
    (lambda w, *_: w.trigger(tests=("x" * 4001,)), InvalidInput),
    (lambda w, *_: w.trigger(metadata={"a": float("nan")}), InvalidInput),
    (lambda w, *_: w.trigger(metadata={"a": float("-inf")}), InvalidInput),
    (lambda w, *_: w.trigger(metadata={"a": 10**400}), InvalidInput),
    (lambda w, *_: w.trigger(metadata={"a": "\udc80"}), InvalidInput),
    (lambda w, *_: w.trigger(metadata={str(n): n for n in range(101)}), InvalidInput),
    (lambda w, *_: w.trigger(build=Build(url="\0")), InvalidInput),
    (lambda w, *_: w.trigger(variables={"RESIT_X": "1"}), InvalidInput),
    (lambda w, *_: w.runs.trigger(ADMIN, "shop", Request(), "k" * 256), InvalidInput),
    (lambda w, *_: w.runs.trigger(Principal("r", None, frozenset({Scope.RUNS_READ})), "shop", Request()), Forbidden),
    (lambda w, *_: w.runs.cancel(ADMIN, 999), NotFound),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_refused_and_nothing_half_done(world: World, case: int) -> None:
    world.project()
    done, open_ = world.carry_out(world.planned("a")), world.planned("a", "b")
    before = [world.dump(done), world.dump(open_)]
    ask, error = REFUSED[case]
    with pytest.raises(error) as refused:
        ask(world, done, open_)
    assert refused.value.message
    assert [world.dump(done), world.dump(open_)] == before
    with world.store.read() as tx:
        assert not [message for message in tx.outbox.pending(100) if message.run_id > open_.id]
        assert tx.runs.get(open_.id + 1) is None


def test_a_rerun_of_a_rerun_of_failed_tests_that_gets_its_plan_only_then(world: World) -> None:
    world.project()
    run = world.carry_out(world.planned("a", "b"), {"a": [result("a", "failed")]})
    first, _ = world.runs.rerun(ADMIN, run.id, Again(kind=SelectionKind.FAILED))
    second, _ = world.runs.rerun(ADMIN, first.id, Again(kind=SelectionKind.ALL))
    world.settle()
    assert set(world.outcomes(first)) == set(world.outcomes(second)) == {"a"}
    assert world.run(second.id).status is RunStatus.RUNNING


def test_a_repeated_key_gives_the_run_that_it_made(world: World) -> None:
    world.project()
    world.project("other")
    run, new = world.runs.trigger(ADMIN, "shop", Request(reason="a"), "key")
    assert new
    assert world.runs.trigger(ADMIN, "shop", Request(reason="a"), "key") == (run, False)
    with pytest.raises(RequestReused):
        world.runs.trigger(ADMIN, "shop", Request(reason="b"), "key")
    assert world.runs.trigger(ADMIN, "other", Request(reason="b"), "key")[1]  # keys are a project's own
    assert world.runs.trigger(ADMIN, "shop", Request(reason="a"), "another")[1]
    assert world.runs.trigger(ADMIN, "shop", Request(reason="a"))[1]


def test_a_repeated_key_of_a_rerun_however_the_source_is_named(world: World) -> None:
    world.project()
    source = mixed(world)
    made, new = world.runs.rerun(ADMIN, source.id, Again(kind=FAILED), key="key")
    assert new
    for name in (source.id, str(source.id), source.uuid, world.ids.short(source.id)):
        assert world.runs.rerun(ADMIN, name, Again(kind=FAILED), key="key") == (made, False)
    with pytest.raises(RequestReused):
        world.runs.rerun(ADMIN, source.id, Again(kind=ALL), key="key")
    with pytest.raises(RequestReused):
        world.runs.trigger(ADMIN, "shop", Request(), "key")


def test_cancel_ends_what_is_open_at_once_and_keeps_what_is_known(world: World) -> None:
    world.project()
    run = world.planned("a", "b")
    world.report(
        {**world.voice(run), "what": "batch.started"},
        {**world.voice(run), "what": "batch.events", "events": [{"kind": "result", "test": "a", "status": "passed"}]},
    )
    world.settle()
    run, _ = world.runs.cancel(ADMIN, run.id)
    assert (run.status, run.verdict) == (RunStatus.CANCELLED, Verdict.ERRORED)
    assert world.outcomes(run) == {"a": "passed", "b": "cancelled"}
    assert {message.kind for message in world.settle()} == {"purge", "cancel"}
    before = world.dump(run)
    assert world.runs.cancel(ADMIN, run.id) == (run, False)
    assert world.dump(run) == before
    assert not world.work.spec("default", run.id)["open"]
    assert world.work.batch("default", run.id, 1) == {"tests": []}
    assert world.work.alive("default", {"worker": "w1", "slots": 1, "runs": [run.id, 999]})["stop"] == [run.id, 999]


def test_cancel_before_the_plan_and_a_plan_that_comes_too_late(world: World) -> None:
    world.project()
    run = world.trigger()
    world.runs.cancel(ADMIN, run.id)
    late = world.plan(run, [planned("a")])
    assert (late.status, late.verdict, late.counts.total) == (RunStatus.CANCELLED, Verdict.ERRORED, 0)
    with world.store.read() as tx:
        assert not tx.ledger.staged(run.id, "planner")


def test_all_passed_and_then_cancelled_is_not_green(world: World) -> None:
    world.project()
    run = world.planned("a")
    world.report(
        {**world.voice(run), "what": "batch.events", "events": [{"kind": "result", "test": "a", "status": "passed"}]}
    )
    assert world.runs.cancel(ADMIN, run.id)[0].verdict is Verdict.ERRORED
