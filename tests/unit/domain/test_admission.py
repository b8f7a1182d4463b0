"""Which waiting runs go ahead: for any runs, any limit, any groups, priorities and times."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain.admission import (
    MAX_AHEAD,
    Concurrency,
    Place,
    admissible,
    check_priority,
    check_start,
    due,
    in_order,
    rank,
    superseded,
    turns,
)
from resit.domain.errors import InvalidInput
from resit.domain.status import RunStatus
from resit.domain.waiting import why_waiting

WAITING = RunStatus.REQUESTED
WORKING = [RunStatus.ADMITTED, RunStatus.PLANNING, RunStatus.RUNNING, RunStatus.FINALIZING]
NOW = 1000.0


@st.composite
def opened(draw: st.DrawFn) -> list[Place]:
    """Open runs as they can stand: of each group at most one is at work."""
    busy: set[str] = set()
    found: list[Place] = []
    for id in draw(st.lists(st.integers(1, 1000), unique=True, max_size=12)):
        group = draw(st.sampled_from(["", "a", "b"]))
        status = draw(st.sampled_from([WAITING, WAITING, *WORKING]))
        if group and status is not WAITING:
            status = WAITING if group in busy else status
            busy.add(group)
        found.append(
            Place(
                id=id,
                status=status,
                group=group,
                priority=draw(st.sampled_from([-100, -1, 0, 0, 0, 1, 100])),
                start_at=draw(st.sampled_from([None, None, NOW - 50.0, NOW, NOW + 0.5, NOW + 50.0])),
                created_at=NOW - 1000.0 + id,
            )
        )
    return found


def working(runs: list[Place]) -> list[Place]:
    return [found for found in runs if found.status is not WAITING]


@given(opened(), st.integers(0, 6))
def test_limit_groups_and_times_are_kept(runs: list[Place], limit: int) -> None:
    chosen = admissible(runs, limit, NOW)
    assert all(found.status is WAITING for found in chosen)
    assert all(found.start_at is None or found.start_at <= NOW for found in chosen)
    if limit:
        assert len(chosen) <= max(0, limit - len(working(runs)))
    groups = Counter(found.group for found in [*working(runs), *chosen] if found.group)
    assert all(number == 1 for number in groups.values())


@given(opened(), st.integers(0, 6))
def test_nobody_is_passed_over(runs: list[Place], limit: int) -> None:
    """Who is left waits for its time, for its own group, or for the limit with all who come after it."""
    chosen = admissible(runs, limit, NOW)
    assert chosen == in_order(chosen)
    taken = {found.group for found in [*working(runs), *chosen]}
    full = bool(limit) and len(working(runs)) + len(chosen) >= limit
    order = in_order(run for run in runs if run.status is WAITING)
    for left in [found for found in order if due(found, NOW) and found not in chosen]:
        assert full or (left.group and left.group in taken), "nothing is left that could go ahead"
        later = [found for found in chosen if order.index(found) > order.index(left)]
        assert not later or (left.group and left.group in taken)
        assert not any(found.group == left.group for found in later if left.group)


@given(opened())
def test_the_highest_priority_goes_first_and_among_equals_who_could_start_first(runs: list[Place]) -> None:
    order = in_order(runs)
    assert sorted(run.id for run in order) == sorted(run.id for run in runs)
    for first, second in pairwise(order):
        assert first.priority >= second.priority
        if first.priority == second.priority:
            since = [max(run.created_at, run.start_at or 0.0) for run in (first, second)]
            assert since == sorted(since)


@given(opened(), st.integers(1, 6), st.integers(-100, 100))
def test_a_higher_priority_never_makes_a_run_wait_longer(runs: list[Place], limit: int, priority: int) -> None:
    for run in runs:
        if run.status is not WAITING or run not in admissible(runs, limit, NOW):
            continue
        raised = Place(
            id=run.id, status=run.status, group=run.group, start_at=run.start_at, created_at=run.created_at,
            priority=max(priority, run.priority),
        )  # fmt: skip
        again = [raised if other is run else other for other in runs]
        assert raised in admissible(again, limit, NOW)


@given(opened(), st.integers(0, 6))
def test_whose_time_has_not_come_is_as_if_it_were_not_there(runs: list[Place], limit: int) -> None:
    there = [run for run in runs if run.status is not WAITING or due(run, NOW)]
    assert admissible(runs, limit, NOW) == admissible(there, limit, NOW)


@given(opened(), st.integers(0, 6))
def test_asking_again_admits_nobody_else(runs: list[Place], limit: int) -> None:
    chosen = {found.id for found in admissible(runs, limit, NOW)}
    after = [
        Place(id=run.id, status=RunStatus.ADMITTED, group=run.group, priority=run.priority) if run.id in chosen else run
        for run in runs
    ]
    assert admissible(after, limit, NOW) == []


@given(opened(), st.integers(0, 6))
def test_without_newcomers_everybody_gets_a_turn(runs: list[Place], limit: int) -> None:
    """Runs end one after the other; in the end all have been at work, however low their priority."""
    left, late = list(runs), NOW + 100.0
    for _ in range(2 * len(runs)):
        chosen = admissible(left, limit, late)
        left = [Place(id=r.id, status=RunStatus.RUNNING, group=r.group) if r in chosen else r for r in left]
        ended = next((run for run in left if run.status is not WAITING), None)
        left = [run for run in left if run is not ended]
    assert not left


@given(opened(), st.integers(0, 6))
def test_who_waits_says_what_for(runs: list[Place], limit: int) -> None:
    chosen = admissible(runs, limit, NOW)
    held = {run.id: hold for run, hold in turns(runs, limit, NOW)}
    for run in runs:
        words = why_waiting(run, runs, limit, NOW, pool="gpu", workers=1)
        if run.status is RunStatus.ADMITTED:
            assert words == "waits for a free slot of pool 'gpu'"
        elif run.status is not WAITING:
            assert words == ""
        elif not due(run, NOW):
            assert words == f"starts at 1970-01-01 00:{'16:40' if run.start_at == NOW + 0.5 else '17:30'} UTC"
        elif run in chosen:
            assert words == "waits to be admitted"
        else:
            hold = held[run.id]
            assert hold is not None
            if hold.run is not None:
                other = next(found for found in runs if found.id == hold.run)
                assert other.group == run.group
                assert other.status is not WAITING or in_order([run, other]) == [other, run]
                assert words == f"waits for run {other.id} (group {run.group!r})"
            else:
                assert words.startswith("waits: the project's limit of ")


def test_words_of_the_limit() -> None:
    busy = Place(id=1, status=RunStatus.RUNNING)
    queue = [busy, *(Place(id=id, status=WAITING) for id in (2, 3, 4))]
    words = [why_waiting(run, queue, 1, NOW, pool="x", workers=1) for run in queue]
    limit = "waits: the project's limit of 1 run is reached"
    assert words == ["", limit, f"{limit}; 1 goes before it", f"{limit}; 2 go before it"]
    assert "limit of 2 runs" in why_waiting(queue[3], [*queue, Place(id=9, status=RunStatus.RUNNING)], 2, NOW,
                                            pool="x", workers=1)  # fmt: skip


@pytest.mark.parametrize("status", [RunStatus.ADMITTED, RunStatus.PLANNING, RunStatus.RUNNING])
def test_without_a_worker_nothing_goes_on(status: RunStatus) -> None:
    run = Place(id=1, status=status)
    assert why_waiting(run, (), 0, NOW, pool="gpu", workers=0) == "waits for a worker of pool 'gpu': none is alive"


@pytest.mark.parametrize("status", [RunStatus.FINISHED, RunStatus.CANCELLED])
def test_what_is_over_waits_for_nothing(status: RunStatus) -> None:
    assert why_waiting(Place(id=1, status=status), (), 0, NOW, pool="gpu", workers=0) == ""


@given(opened())
def test_a_run_takes_the_place_of_the_earlier_ones_of_its_group(runs: list[Place]) -> None:
    for found in runs:
        gone = superseded(runs, found)
        assert all(other.group == found.group and other.group and other.id < found.id for other in gone)
        assert found not in gone


def test_a_group_has_a_name_of_bounded_length() -> None:
    Concurrency("x" * 512).check()
    with pytest.raises(InvalidInput):
        Concurrency("x" * 513).check()


def test_priorities_and_starts_have_bounds() -> None:
    for fine in (-100, 0, 100):
        check_priority(fine)
    for wrong in (-101, 101):
        with pytest.raises(InvalidInput):
            check_priority(wrong)
    for start in (None, 0.0, NOW, NOW + MAX_AHEAD):
        check_start(start, NOW)
    for start in (NOW + MAX_AHEAD + 1, -1.0, float("inf"), float("nan")):
        with pytest.raises(InvalidInput):
            check_start(start, NOW)
    assert [rank(priority) for priority in (-100, -1, 0, 1, 100)] == [-1, -1, 0, 1, 1]
