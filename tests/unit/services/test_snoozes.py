"""Snoozes: made, changed, ended; and what they do to a run at its end."""

from collections.abc import Callable
from typing import Any

import pytest

from resit.domain.errors import InvalidInput, NotFound
from resit.domain.ids import case_key, case_uuid
from resit.domain.project import Project
from resit.domain.rerun import Again
from resit.domain.run import Run
from resit.domain.snooze import Snooze
from resit.domain.status import SelectionKind, Verdict
from resit.ports.reads import LedgerFilter
from resit.services import snoozes
from resit.services.recovery import Held
from resit.testing.factories import ADMIN, NOW, did_not_run, flaky, not_collected, planned, result
from resit.testing.world import World

DAY = 86400.0


def snooze(world: World, *tests: str, **more: Any) -> Snooze:
    return world.snoozes.add(ADMIN, "shop", tests=tests, **{"until": world.clock.now() + DAY, **more})


def run_of(world: World, said: dict[str, Any] | None = None, *tests: str, **request: Any) -> Run:
    """A run in which ``fails`` fails and ``passes`` passes."""
    run = world.planned(*(tests or ("passes", "fails")), **request)
    return world.carry_out(run, {"fails": [result("fails", "failed")], **(said or {})})


def covered(world: World, run: Run) -> set[str]:
    """The tests of a run that are snoozed."""
    rows = world.reads.ledger(run.id, LedgerFilter(), 1000).items
    return {item.test.id for item in rows if item.row.snoozed}


NAMES: dict[str, Callable[[Project], str]] = {
    "id": lambda _: "fails",
    "key": lambda _: case_key(planned("fails")),
    "uuid": lambda project: case_uuid(project.uuid, "fails"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_run_whose_every_failure_is_snoozed_passes(world: World, name: str) -> None:
    project = world.project()
    snooze(world, NAMES[name](project))
    run = run_of(world)
    assert (run.verdict, covered(world, run)) == (Verdict.PASSED, {"fails"})
    assert (run.counts.failed, run.counts.snoozed, run.counts.red, run.counts.blocking) == (1, 1, 1, 0)
    assert world.outcomes(run)["fails"] == "failed", "a result is never edited"


def test_what_is_not_snoozed_blocks(world: World) -> None:
    world.project()
    snooze(world, "fails", "nobody knows it")
    run = run_of(world, {"other": [result("other", "failed")]}, "fails", "other")
    assert (run.verdict, run.counts.blocking, covered(world, run)) == (Verdict.FAILED, 1, {"fails"})


def test_what_is_covered_and_what_never_is(world: World) -> None:
    world.project()
    tests = ("passes", "fails", "flaky", "skipped", "gone", "left out", "errored")
    snooze(world, *tests)
    said = {
        "flaky": flaky("flaky"),
        "skipped": [result("skipped", "skipped")],
        "gone": [not_collected("gone")],
        "left out": [did_not_run("left out")],
        "errored": [],
    }
    run = run_of(world, said, *tests)
    assert covered(world, run) == {"fails", "left out", "errored"}
    assert (run.verdict, run.counts.blocking) == (Verdict.FAILED, 1), "the test that is gone blocks"


def test_lost_tests_are_never_covered(world: World) -> None:
    world.project()
    snooze(world, "a")
    run = world.planned("a")
    for claim in ("one", "two"):
        world.report({**world.voice(run, claim=claim), "what": "batch.started"})
        world.clock.turn(60)
        world.recovery.repair(run.id, Held(frozenset(), frozenset()))
    run = world.run(run.id)
    assert (run.counts.lost, run.counts.snoozed, run.verdict) == (1, 0, Verdict.FAILED)


def test_a_snooze_holds_in_its_environment_alone(world: World) -> None:
    world.project()
    staging = world.environment()
    snooze(world, "fails", environment_id=staging.id)
    assert run_of(world).verdict is Verdict.FAILED
    assert run_of(world, environment="staging").verdict is Verdict.PASSED


def test_snoozes_of_another_project_hold_nothing(world: World) -> None:
    world.project()
    world.project("bank")
    world.snoozes.add(ADMIN, "bank", tests=["fails"], until=NOW + DAY)
    assert run_of(world).verdict is Verdict.FAILED


def test_what_counts_is_how_things_stood_when_the_work_began(world: World) -> None:
    world.project()
    early = world.planned("fails")
    world.clock.turn(10)
    made = snooze(world, "fails")
    said = {"fails": [result("fails", "failed")]}
    assert world.carry_out(early, said).verdict is Verdict.FAILED, "made after the work began"
    late = world.planned("fails")
    world.clock.turn(10)
    world.snoozes.expire(ADMIN, made.id)
    assert world.carry_out(late, said).verdict is Verdict.PASSED, "ended after the work began"
    world.clock.turn(10)
    assert run_of(world).verdict is Verdict.FAILED


def test_no_snooze_changes_a_run_that_is_over(world: World) -> None:
    world.project()
    run = run_of(world)
    before = world.dump(run)
    snooze(world, "fails")
    assert world.dump(run) == before


def test_a_snooze_ends_by_itself(world: World) -> None:
    world.project()
    snooze(world, "fails")
    world.clock.turn(DAY)
    assert run_of(world).verdict is Verdict.FAILED


def test_a_run_with_a_problem_is_never_green(world: World) -> None:
    world.project()
    snooze(world, "fails")
    run = world.planned("fails", "open")
    voice = world.voice(run)
    world.report({**voice, "what": "batch.started"})
    assert world.runs.cancel(ADMIN, run.id)[0].verdict is Verdict.ERRORED


def test_the_failed_tests_of_a_run_include_snoozed_ones(world: World) -> None:
    """Empirical, study 2.5."""
    world.project()
    snooze(world, "fails")
    run = run_of(world)
    again = world.runs.rerun(ADMIN, run.id, Again(kind=SelectionKind.FAILED))[0]
    world.settle()
    again = world.carry_out(world.run(again.id), {"fails": [result("fails", "failed")]})
    assert (again.counts.total, again.verdict) == (1, Verdict.PASSED)


def test_changes_and_what_stays(world: World) -> None:
    world.project()
    staging = world.environment()
    made = snooze(world, "a", "a", description="why", created_by="ann", environment_id=staging.id)
    assert made.tests == ("a",)
    world.clock.turn(5)
    changed = world.snoozes.change(ADMIN, made.id, {"environment_id": None})
    assert changed == world.snoozes.get(ADMIN, made.id)
    assert (changed.environment_id, changed.until, changed.description) == (None, made.until, "why")
    assert (changed.created_at, changed.updated_at) == (NOW, NOW + 5)
    expired = world.snoozes.expire(ADMIN, made.id)
    world.clock.turn(5)
    assert world.snoozes.expire(ADMIN, made.id) == expired, "the end does not move"
    assert world.snoozes.change(ADMIN, made.id, {"description": "over"}).until == expired.until


@pytest.mark.parametrize(
    "odd",
    [
        {"tests": []},
        {"tests": [""]},
        {"tests": ["x"] * 2000 + [str(n) for n in range(1001)]},
        {"tests": ["x" * 5000]},
        {"tests": ["\0"]},
        {"until": NOW},
        {"until": float("nan")},
        {"until": NOW + 400 * DAY},
        {"description": "x" * 3000},
        {"created_by": "x" * 201},
        {"environment_id": 99},
        {"environment_id": -1},
        {"environment_id": 2**70},
        {"from_run_id": 99},
    ],
    ids=lambda odd: str(odd)[:40],
)
def test_odd_snoozes_are_refused_and_nothing_is_half_done(world: World, odd: dict[str, Any]) -> None:
    project = world.project()
    words: dict[str, Any] = {"tests": ["a"], "until": NOW + 1, **odd}
    with pytest.raises(InvalidInput):
        world.snoozes.add(ADMIN, "shop", **words)
    assert world.reads.snoozes(project.id, None, None, NOW, 0, 10).total == 0
    made = snooze(world, "a")
    changeable = {name: value for name, value in odd.items() if name not in ("created_by", "from_run_id")}
    if changeable:
        with pytest.raises(InvalidInput):
            world.snoozes.change(ADMIN, made.id, changeable)
        assert world.snoozes.get(ADMIN, made.id) == made


def test_an_environment_or_run_of_another_project_is_refused(world: World) -> None:
    world.project()
    world.project("bank")
    theirs = world.environment("bank")
    run = world.trigger("bank")
    for odd in ({"environment_id": theirs.id}, {"from_run_id": run.id}):
        with pytest.raises(InvalidInput):
            snooze(world, "a", **odd)
    with pytest.raises(InvalidInput):
        world.snoozes.change(ADMIN, snooze(world, "a").id, {"id": 7})
    with pytest.raises(NotFound):
        world.snoozes.add(ADMIN, "none", tests=["a"], until=NOW + 1)


def test_a_project_has_so_many_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.project()
    monkeypatch.setattr(snoozes, "MAX_LASTING", 2)
    first = snooze(world, "a")
    snooze(world, "a")
    with pytest.raises(InvalidInput):
        snooze(world, "a")
    world.snoozes.expire(ADMIN, first.id)
    snooze(world, "a")
