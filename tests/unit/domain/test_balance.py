"""Batches: every test in exactly one, none empty, what belongs together stays together and in order."""

from collections import Counter

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


def test_a_lane_of_a_shared_process_costs_less_and_may_cut_up_a_file() -> None:
    tests = suite(8)
    load = Load({test.id: 1.0 for test in tests}, 2.4)
    assert balance.lanes(tests, 4, load) == 1
    assert balance.lanes(tests, 4, load, shared=True) == 4
    assert balance.lanes(tests[:1], 4, load, shared=True) == 1
