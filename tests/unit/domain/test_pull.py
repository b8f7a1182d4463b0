"""Lanes that pull tests: every test once, units whole and in order, and all lanes done at nearly the same time."""

import random
from collections import Counter
from dataclasses import replace
from heapq import heappop, heappush
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain import balance
from resit.domain.plan import PlannedTest
from resit.domain.pull import Pull
from resit.testing.factories import planned, suite


@st.composite
def plans(draw: st.DrawFn) -> list[PlannedTest]:
    """Tests of some files, some of which may run apart, and serial groups that reach over files."""
    shapes = draw(st.lists(st.tuples(st.sampled_from("fgh"), st.booleans(), st.sampled_from("   uv"))))
    return [replace(planned(f"{f}::{n}", unit=u.strip()), apart=apart) for n, (f, apart, u) in enumerate(shapes)]


@given(plans(), st.integers(1, 5), st.lists(st.integers(0, 4), max_size=60), st.randoms(use_true_random=False))
def test_every_test_is_taken_once_and_what_belongs_together_stays_together(
    tests: list[PlannedTest], lanes: int, turns: list[int], chance: random.Random
) -> None:
    pull = Pull(lanes)
    half = len(tests) // 2
    pull.add(tests[:half], {test.id: chance.random() * 9 for test in tests if chance.random() < 0.5})
    taken: list[tuple[PlannedTest, ...]] = []
    for turn in turns:
        if turn == 4:
            pull.leave(chance.randrange(lanes))
        elif piece := pull.take(turn % lanes):
            taken.append(piece)
    pull.add(tests[half:], {})
    while piece := pull.take(chance.randrange(lanes)):
        taken.append(piece)
    assert Counter(test for piece in taken for test in piece) == Counter(tests)
    assert pull.left == 0
    assert pull.clear() == []
    wanted = {*balance.pieces(tests[:half]), *balance.pieces(tests[half:])}
    assert set(taken) == wanted


def test_what_no_lane_has_can_be_given_up() -> None:
    tests = [replace(test, apart=True) for test in suite(2, 2)]
    pull = Pull(2)
    pull.add(tests, {})
    [first] = pull.take(0)
    assert {test.id for test in pull.clear()} == {test.id for test in tests} - {first.id}
    assert pull.take(1) == ()
    pull.add(tests[:1], {})
    assert pull.left == 1


def test_a_lane_keeps_to_its_file_in_order_and_helps_when_no_other_is_left() -> None:
    tests = [replace(test, apart=True) for test in suite(6, 4)]
    long, short = tests[:6], tests[6:]
    pull = Pull(2)
    pull.add(tests, {test.id: 1.0 for test in tests} | {short[3].id: 0.9})
    first = [pull.take(lane)[0] for _ in range(4) for lane in (0, 1)]
    assert first[::2] == long[:4]
    assert first[1::2] == short
    assert pull.take(1) == (long[4],)
    assert pull.take(0) == (long[5],)


def test_a_file_stays_whole_when_its_fixtures_cost_more_than_help_brings() -> None:
    tests = [replace(test, apart=True) for test in suite(9)]
    for cost, found in ((5.0, True), (60.0, False)):
        pull = Pull(2)
        pull.add(tests, {test.id: 1.0 for test in tests})
        pull.take(0)
        pull.learn(tests[0].file, cost)
        assert bool(pull.take(1)) is found


def test_a_long_test_begins_at_once_wherever_it_stands() -> None:
    tests = [replace(test, apart=True) for test in suite(5, 5, 5)]
    pull = Pull(3)
    pull.add(tests, {test.id: 10.0 if test is tests[4] else 1.0 for test in tests})
    assert pull.take(0) == (tests[4],)


# ------------------------------------------------------------ how near to the ideal


def heavy_tailed(seed: int, tests: int = 200, files: int = 40) -> list[tuple[PlannedTest, float]]:
    """Tests with log-normal durations, spread within a file and between files."""
    chance = random.Random(seed)
    sizes = [1] * files
    weights = [chance.lognormvariate(0, 0.6) for _ in sizes]
    for _ in range(tests - files):
        sizes[chance.choices(range(files), weights)[0]] += 1
    found: list[tuple[PlannedTest, float]] = []
    for number, size in enumerate(sizes):
        scale = chance.lognormvariate(0, 0.6)
        for each in range(size):
            test = replace(planned(f"f{number}::{each}"), apart=True)
            found.append((test, scale * chance.lognormvariate(0, 0.8)))
    return found


def makespan(plan: list[tuple[PlannedTest, float]], lanes: int, expected: dict[str, float]) -> float:
    """When the last lane is done, as a multiple of the least that is possible."""
    pull = Pull(lanes)
    seconds = {test.id: duration for test, duration in plan}
    pull.add([test for test, _ in plan], expected)
    free = [(0.0, lane) for lane in range(lanes)]
    end = 0.0
    while free:
        now, lane = heappop(free)
        piece = pull.take(lane)
        end = max(end, now)
        if piece:
            heappush(free, (now + sum(seconds[test.id] for test in piece), lane))
        else:
            pull.leave(lane)
    return end / max(*seconds.values(), sum(seconds.values()) / lanes)


@pytest.mark.parametrize(
    ("lanes", "files", "known", "rough", "unknown"),
    [(4, 40, 1.01, 1.02, 1.08), (8, 40, 1.01, 1.03, 1.2), (4, 8, 1.01, 1.02, 1.08), (8, 8, 1.02, 1.05, 1.2)],
)
def test_lanes_end_together(lanes: int, files: int, known: float, rough: float, unknown: float) -> None:
    exactly, roughly, blindly = [], [], []
    for seed in range(12):
        plan = heavy_tailed(seed, files=files)
        chance = random.Random(seed)
        exactly.append(makespan(plan, lanes, {test.id: seconds for test, seconds in plan}))
        off = {test.id: seconds * chance.lognormvariate(0, 0.5) for test, seconds in plan}
        roughly.append(makespan(plan, lanes, off))
        blindly.append(makespan(plan, lanes, {}))
    assert mean(exactly) <= known
    assert mean(roughly) <= rough
    assert mean(blindly) <= unknown


def test_a_hundred_thousand_tests_are_no_burden() -> None:
    """Each is looked at a few times, not once for each other."""
    tests = [replace(planned(f"f{n // 50}::{n}"), apart=True) for n in range(20_000)]
    pull = Pull(4)
    pull.add(tests, {})
    taken = 0
    while any(pull.take(lane) for lane in range(4)):
        taken += 4
    assert taken >= len(tests)
