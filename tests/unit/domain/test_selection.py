"""Selections: what was asked for is planned or told as missing; nothing vanishes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain import ledger
from resit.domain.plan import PlannedTest, unique
from resit.domain.selection import Filters, Selection, failed, resolve, with_units
from resit.domain.status import SelectionKind
from resit.testing.factories import planned, result, row

NAMES = "abcdefgh"
IDS = st.sampled_from(NAMES)
TAGS = st.sets(st.sampled_from(["slow", "@slow", "smoke"])).map(lambda tags: tuple(sorted(tags)))
VARIANTS = st.sampled_from(["", "chrome", "firefox"])
UNITS = st.sampled_from(["", "", "u", "v"])
TESTS = st.lists(
    st.builds(lambda name, tags, v, u: planned(name, tags=tags, variant=v, unit=u), IDS, TAGS, VARIANTS, UNITS)
)
GLOBS = st.lists(st.sampled_from(["*", "chrome", "f*", "a*", "nothing"]), max_size=2).map(tuple)
SELECTIONS = st.builds(
    Selection, st.just(SelectionKind.CHOSEN), st.lists(st.sampled_from([*NAMES, "gone"]), max_size=5).map(tuple), TAGS
)


@given(TESTS, SELECTIONS, st.builds(Filters, GLOBS, GLOBS))
def test_every_id_that_was_asked_for_is_planned_or_missing(
    tests: list[PlannedTest], asked: Selection, filters: Filters
) -> None:
    found = resolve(asked, tests, filters)
    planned_ids = [test.id for test in found.planned]
    missing = [id for id, _ in found.missing]
    assert len(set(planned_ids)) == len(planned_ids)
    assert not set(planned_ids) & set(missing)
    if asked.tests:
        assert set(planned_ids) | set(missing) == set(asked.tests)
        assert len(missing) == len(set(missing))
    else:
        assert not missing
    order = [test.id for test in unique(tests)]
    assert planned_ids == [id for id in order if id in planned_ids]
    assert all(filters.admits(test) for test in found.planned)
    assert all(reason for _, reason in found.missing)


@given(TESTS)
def test_without_a_selection_everything_is_planned_once(tests: list[PlannedTest]) -> None:
    assert resolve(Selection(), tests, Filters()).planned == unique(tests)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [((), "abc"), (("slow",), "ab"), (("@slow",), "ab"), (("smoke", "slow"), "abc"), (("none",), "")],
)
def test_tags_with_or_without_their_at_sign(tags: tuple[str, ...], expected: str) -> None:
    tests = [planned("a", tags=("@slow",)), planned("b", tags=("slow",)), planned("c", tags=("@smoke",))]
    found = resolve(Selection(SelectionKind.CHOSEN, tags=tags), tests, Filters())
    assert "".join(test.id for test in found.planned) == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), "abc"),
        (Filters(match=("chrom*",)), "a"),
        (Filters(ignore=("chrom*",)), "bc"),
        (Filters(match=("*",), ignore=("firefox",)), "ac"),
        (Filters(match=("c",)), "c"),  # no variant: the file
        (Filters(match=("Chrome",)), ""),
    ],
)
def test_filters_are_over_the_variant_or_else_the_file(filters: Filters, expected: str) -> None:
    tests = [planned("a", variant="chrome"), planned("b", variant="firefox"), planned("c")]
    assert "".join(test.id for test in resolve(Selection(), tests, filters).planned) == expected


def test_an_id_that_the_filters_leave_out_is_told_apart_from_one_that_does_not_exist() -> None:
    asked = Selection(SelectionKind.CHOSEN, ("a", "b", "gone"))
    tests = [planned("a", variant="chrome"), planned("b", variant="firefox")]
    found = resolve(asked, tests, Filters(match=("chrome",)))
    assert [test.id for test in found.planned] == ["a"]
    assert dict(found.missing) == {
        "b": "left out by the environment's filters or the tags",
        "gone": "no such test in the suite",
    }


def test_failed_takes_up_all_that_is_red() -> None:
    rows = [
        ledger.result(row(0), result("")),
        ledger.result(row(1), result("", "failed")),
        ledger.result(row(2), result("", "errored")),
        ledger.lost(row(3), ""),
        ledger.not_found(row(4), ""),
        ledger.did_not_run(row(5), ""),
        ledger.result(row(6), result("", "skipped")),
        ledger.result(row(7), result("", retry=1)),
        ledger.cancelled(row(8)),
        row(9),
    ]
    assert failed(rows) == tuple(f"test {n}" for n in (1, 2, 3, 4, 5))
    assert len(failed(rows)) == ledger.count(rows).red


@given(TESTS.map(unique), st.sets(IDS))
def test_chosen_tests_bring_their_whole_units_in_order(plan: tuple[PlannedTest, ...], chosen: set[str]) -> None:
    found = with_units(chosen, plan)
    assert {test.id for test in plan} & chosen <= {test.id for test in found}
    units = {test.unit for test in found if test.unit}
    assert all(test in found for test in plan if test.unit in units)
    assert all(test.id in chosen or test.unit for test in found)
    assert list(found) == [test for test in plan if test in found]
