"""Two runs beside each other."""

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from resit.domain.comparison import GOOD, RED, Comparison, Standing, compare
from resit.domain.status import Outcome

STATES = [*(outcome.value for outcome in Outcome), "planned", "running", "did_not_run"]
runs = st.dictionaries(
    st.sampled_from("abcdefgh"), st.tuples(st.sampled_from(STATES), st.floats(0, 9)), max_size=8
).map(lambda said: [(test, place, *state) for place, (test, state) in enumerate(said.items())])
CHANGES = ("newly_failing", "newly_passing", "still_failing", "missing", "new_failing", "new")


def names(found: Comparison) -> dict[str, list[str]]:
    said = {field.name: getattr(found, field.name) for field in fields(found) if field.name != "total"}
    return {name: [pair.test for pair in value] for name, value in said.items() if value}


def test_what_differs_is_told_apart() -> None:
    before = [
        ("broke", 0, "passed", 1.0), ("mended", 1, "lost", 1.0), ("still", 2, "failed", 1.0),
        ("gone", 3, "passed", 1.0),
        ("slow", 4, "passed", 1.0), ("slower", 5, "passed", 1.0), ("a little", 6, "passed", 0.1),
        ("stopped", 7, "failed", 1.0), ("not asked", 8, "failed", 1.0), ("the same", 9, "passed", 1.0),
    ]  # fmt: skip
    after = [
        ("broke", 0, "failed", 1.0), ("mended", 1, "flaky", 1.0), ("still", 2, "errored", 1.0),
        ("new", 3, "passed", 1.0),
        ("slow", 4, "flaky", 3.0), ("slower", 5, "passed", 4.0), ("a little", 6, "passed", 0.3),
        ("stopped", 7, "cancelled", 1.0), ("not asked", 8, "skipped", 0.0), ("the same", 9, "passed", 1.4),
        ("new and red", 10, "did_not_run", 0.0),
    ]  # fmt: skip
    found = compare(before, after)
    assert found.total == 12
    assert names(found) == {
        "newly_failing": ["broke"],
        "newly_passing": ["mended"],
        "still_failing": ["still"],
        "missing": ["gone"],
        "new_failing": ["new and red"],
        "new": ["new"],
        "slower": ["slower", "slow"],
    }
    assert (found.missing[0].place, found.missing[0].old_place, found.new[0].old_place) == (-1, 3, -1)


@given(runs, runs)
def test_each_test_stands_in_one_list_at_most(before: list[Standing], after: list[Standing]) -> None:
    found = compare(before, after)
    listed = [pair.test for name in CHANGES for pair in getattr(found, name)]
    assert len(listed) == len(set(listed))
    assert found.total == len({each[0] for each in (*before, *after)})
    # Whatever is red now is named somewhere: nothing that fails can be overlooked here.
    red = {test for test, _, state, _ in after if state in RED}
    assert red == {
        pair.test for name in ("newly_failing", "still_failing", "new_failing") for pair in getattr(found, name)
    }
    assert all(pair.after in GOOD for pair in found.newly_passing)


@given(runs)
def test_a_run_does_not_differ_from_itself(run: list[Standing]) -> None:
    assert set(names(compare(run, run))) <= {"still_failing"}
