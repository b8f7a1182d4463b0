"""Which waiting runs go ahead: for any runs, any limit and any groups."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain.admission import Concurrency, admissible, superseded
from resit.domain.errors import InvalidInput
from resit.domain.run import Run
from resit.domain.status import RunStatus
from resit.testing import factories

WAITING = RunStatus.REQUESTED
WORKING = [RunStatus.ADMITTED, RunStatus.PLANNING, RunStatus.RUNNING, RunStatus.FINALIZING]


def run(id: int, status: RunStatus = WAITING, group: str = "") -> Run:
    return factories.run(1, 1, id=id, status=status, group=group)


@st.composite
def opened(draw: st.DrawFn) -> list[Run]:
    """Open runs as they can stand: of each group at most one is at work."""
    busy: set[str] = set()
    found: list[Run] = []
    for id in draw(st.lists(st.integers(1, 1000), unique=True, max_size=12)):
        group = draw(st.sampled_from(["", "a", "b"]))
        status = draw(st.sampled_from([WAITING, *WORKING]))
        if group and status is not WAITING:
            status = WAITING if group in busy else status
            busy.add(group)
        found.append(run(id, status, group))
    return found


def working(runs: list[Run]) -> list[Run]:
    return [found for found in runs if found.status is not WAITING]


@given(opened(), st.integers(0, 6))
def test_limit_and_groups_are_kept(runs: list[Run], limit: int) -> None:
    chosen = admissible(runs, limit)
    assert all(found.status is WAITING for found in chosen)
    if limit:
        assert len(chosen) <= max(0, limit - len(working(runs)))
    groups = Counter(found.group for found in [*working(runs), *chosen] if found.group)
    assert all(number == 1 for number in groups.values())


@given(opened(), st.integers(0, 6))
def test_first_come_first_served(runs: list[Run], limit: int) -> None:
    """Who is passed over waits for the limit with all who came later, or for its own group."""
    chosen = admissible(runs, limit)
    assert chosen == sorted(chosen, key=lambda found: found.id)
    taken = {found.group for found in [*working(runs), *chosen]}
    full = bool(limit) and len(working(runs)) + len(chosen) >= limit
    for left in [found for found in runs if found.status is WAITING and found not in chosen]:
        assert full or (left.group and left.group in taken), "nothing is left that could go ahead"
        later = [found for found in chosen if found.id > left.id]
        assert not later or (left.group and left.group in taken)
        assert not any(found.group == left.group for found in later if left.group)


@given(opened(), st.integers(0, 6))
def test_asking_again_admits_nobody_else(runs: list[Run], limit: int) -> None:
    chosen = {found.id for found in admissible(runs, limit)}
    after = [run(found.id, RunStatus.ADMITTED, found.group) if found.id in chosen else found for found in runs]
    assert admissible(after, limit) == []


@given(opened())
def test_a_run_takes_the_place_of_the_earlier_ones_of_its_group(runs: list[Run]) -> None:
    for found in runs:
        gone = superseded(runs, found)
        assert all(other.group == found.group and other.group and other.id < found.id for other in gone)
        assert found not in gone


def test_a_group_has_a_name_of_bounded_length() -> None:
    Concurrency("x" * 512).check()
    with pytest.raises(InvalidInput):
        Concurrency("x" * 513).check()
