"""Batches: every test in exactly one, none empty, what belongs together stays together and in order."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain import balance
from resit.domain.balance import Load
from resit.domain.plan import PlannedTest
from resit.testing.factories import planned, suite

COSTS = st.sampled_from([0.0, 0.001, 0.5, 1.0, 30.0])


@st.composite
def plans(draw: st.DrawFn) -> list[PlannedTest]:
    """Tests of some files, variants and serial groups, some of which reach over files."""
    shapes = draw(st.lists(st.tuples(st.sampled_from("fgh"), st.sampled_from(["", "x", "y"]), st.sampled_from(" uvw"))))
    return [planned(f"{f}::{n}", variant=v, unit=u.strip()) for n, (f, v, u) in enumerate(shapes)]


@st.composite
def loads(draw: st.DrawFn) -> Load:
    known = st.dictionaries(st.sampled_from([f"{f}::{n}" for f in "fgh" for n in range(8)]), st.floats(0, 500))
    return Load(draw(known), draw(COSTS))


@given(plans(), st.integers(-1, 9), loads())
def test_every_test_is_in_exactly_one_batch(tests: list[PlannedTest], places: int, load: Load) -> None:
    cut = balance.batches(tests, places, load)
    assert Counter(test for batch in cut for test in batch) == Counter(tests)
    assert all(cut)
    order = {test.id: n for n, test in enumerate(tests)}
    for batch in cut:
        numbers = [order[test.id] for test in batch]
        assert numbers == sorted(numbers)


@given(plans(), st.integers(1, 9), loads())
def test_files_and_units_are_never_torn_apart(tests: list[PlannedTest], places: int, load: Load) -> None:
    cut = balance.batches(tests, places, load)
    home = {test.id: n for n, batch in enumerate(cut) for test in batch}
    for key in (lambda t: ("file", t.file, t.variant), lambda t: ("unit", t.unit or t.id)):
        homes: dict[object, set[int]] = {}
        for test in tests:
            homes.setdefault(key(test), set()).add(home[test.id])
        assert all(len(found) == 1 for found in homes.values())


@given(plans(), st.integers(1, 300), loads())
def test_lanes_are_as_many_as_are_wanted_or_worth_it(tests: list[PlannedTest], wanted: int, load: Load) -> None:
    found = balance.lanes(tests, wanted, load)
    assert 1 <= found <= wanted
    assert found <= max(1, len(balance.units(tests)))


@pytest.mark.parametrize(
    ("expected", "wanted", "lanes"),
    [({}, 4, 4), ({"tests/test_1.py::test_1": 0.01}, 4, 1), ({"tests/test_1.py::test_1": 100.0}, 4, 4), ({}, 99, 5)],
)
def test_a_lane_whose_start_costs_more_than_it_saves_is_not_opened(
    expected: dict[str, float], wanted: int, lanes: int
) -> None:
    assert balance.lanes(suite(2, 2, 2, 2, 2), wanted, Load(expected, 1.0)) == lanes


def test_short_work_is_cut_into_even_batches_longest_first() -> None:
    tests = suite(1, 1, 1, 1)
    seconds = dict(zip([test.id for test in tests], [4.0, 3.0, 2.0, 1.0], strict=True))
    cut = balance.batches(tests, 2, Load(seconds, 1.0))
    assert [[seconds[test.id] for test in batch] for batch in cut] == [[4.0, 1.0], [3.0, 2.0]]


def test_long_work_is_cut_into_shrinking_batches() -> None:
    tests = suite(*[1] * 100)
    load = Load({test.id: 10.0 for test in tests}, 1.0)
    sizes = [len(batch) for batch in balance.batches(tests, 4, load)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) > 8
    assert sizes[-1] < sizes[0]


def test_a_lane_that_costs_little_is_worth_little_work() -> None:
    tests = [replace(test, apart=True) for test in suite(8)]
    known = {test.id: 1.0 for test in tests}
    assert balance.lanes(tests, 4, Load(known, 2.4)) == 1
    assert balance.lanes(tests, 4, Load(known, 2.4, lane=0.7)) == 4
    assert balance.lanes(suite(8), 4, Load(known, 2.4, lane=0.7)) == 1
    assert balance.lanes(tests[:1], 4, Load(known, 2.4, lane=0.7)) == 1


def test_batches_that_cost_nothing_shrink_from_the_beginning_and_are_joined() -> None:
    """Also for one worker: another one may join."""
    tests = [replace(test, apart=True) for test in suite(*[5] * 40)]
    load = Load({test.id: 0.6 for test in tests}, 0.8, batch=0.02, lane=0.05)
    for places in (1, 2, 3):
        seconds = [load.seconds(batch) for batch in balance.batches(tests, places, load, 4)]
        assert seconds == sorted(seconds, reverse=True)
        assert seconds[0] == pytest.approx(120 / (1.3 * max(places, 2)), rel=0.1)
        assert seconds[-2] >= balance.JOINED_SECONDS
    assert len(balance.batches(tests, 1, load, 1)) == 1


def test_a_slow_file_is_cut_where_it_may_be() -> None:
    tests = suite(10, 1, 1)
    known = Load({test.id: 1.0 for test in tests}, 0.5)
    assert max(map(known.seconds, balance.batches(tests, 3, known))) == 10.0
    free = [replace(test, apart=True) for test in tests]
    assert max(map(known.seconds, balance.batches(free, 3, known))) == 4.0


def test_what_is_known_of_a_file_is_expected_of_its_new_tests() -> None:
    tests = suite(4, 2, 1)
    seconds = dict(zip([test.id for test in tests], [1.0, 2.0, 9.0], strict=False))
    filled = balance.filled(seconds | {tests[4].id: 5.0}, tests)
    assert [filled.get(test.id) for test in tests] == [1.0, 2.0, 9.0, 2.0, 5.0, 5.0, None]
    assert Load(filled, 1.0).seconds(tests[6:]) == 3.5


@pytest.mark.parametrize(
    ("target", "most", "lanes"),
    [(200.0, 9, 1), (64.0, 9, 2), (33.0, 9, 4), (33.0, 3, 3), (1.0, 50, 11), (1.0, 4, 4)],
)
def test_as_many_lanes_as_a_time_asks_for(target: float, most: int, lanes: int) -> None:
    """But none that would make it later: nothing is shorter than the longest test."""
    tests = [replace(test, apart=True) for test in suite(10, 10)]
    load = Load({test.id: 6.0 for test in tests} | {tests[0].id: 12.0}, 0.5, lane=0.01)
    assert balance.lanes_within(tests, target, most, load) == lanes


@given(plans(), st.integers(1, 9), loads(), st.floats(0, 0.2))
def test_cheap_batches_hold_every_test_once_and_tear_no_piece(
    tests: list[PlannedTest], places: int, load: Load, cost: float
) -> None:
    tests = [replace(test, apart=n % 3 > 0) for n, test in enumerate(tests)]
    cut = balance.batches(tests, places, replace(load, batch=cost), places * 2)
    assert Counter(test for batch in cut for test in batch) == Counter(tests)
    home = {test.id: n for n, batch in enumerate(cut) for test in batch}
    for piece in balance.pieces(tests):
        assert len({home[test.id] for test in piece}) == 1
