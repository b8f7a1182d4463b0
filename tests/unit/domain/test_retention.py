"""Which runs go."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain.errors import InvalidInput
from resit.domain.retention import DAY, GRACE_SECONDS, Policy, Standing, check_policy, doomed

NOW = 1_700_000_000.0
OLD = NOW - 2 * GRACE_SECONDS


def runs(*bytes: int, **more: object) -> list[Standing]:
    """Runs 1, 2, ... that ended before the grace, with these bytes."""
    return [Standing(id=n, ended_at=OLD, bytes=size, **more) for n, size in enumerate(bytes, 1)]  # type: ignore[arg-type]


def test_without_limits_nothing_goes() -> None:
    assert doomed(runs(*[10**12] * 9), Policy(), NOW) == []


def test_by_number() -> None:
    assert doomed(runs(0, 0, 0, 0), Policy(runs=3), NOW) == [1]
    assert doomed(runs(0, 0, 0, 0), Policy(runs=1), NOW) == [1, 2, 3]


def test_by_size() -> None:
    assert doomed(runs(1, 2, 3, 4), Policy(bytes=10), NOW) == []
    assert doomed(runs(1, 2, 3, 4), Policy(bytes=9), NOW) == [1]
    assert doomed(runs(1, 2, 3, 4), Policy(bytes=7), NOW) == [1, 2]
    # The last one stays, however large it is.
    assert doomed(runs(1, 2, 3, 4), Policy(bytes=1), NOW) == [1, 2, 3]


def test_by_age() -> None:
    found = [Standing(id=n, ended_at=NOW - days * DAY) for n, days in enumerate((31, 29, 30.5, 0.5), 1)]
    assert doomed(found, Policy(days=30), NOW) == [1, 3]
    # Age spares nothing but what may not go: there is no last run that outlives it.
    assert doomed(found[:1], Policy(days=30), NOW) == [1]


@pytest.mark.parametrize(
    "spared",
    [
        Standing(id=1, ended_at=None),
        Standing(id=1, ended_at=OLD, kept=True),
        Standing(id=1, ended_at=OLD, needed=True),
        Standing(id=1, ended_at=NOW - GRACE_SECONDS + 1),
    ],
)
def test_what_never_goes(spared: Standing) -> None:
    policy = Policy(days=0.01, runs=1, bytes=1)
    assert doomed([spared, *runs(0, 5, 5)[1:]], policy, NOW) == [2, 3]
    assert doomed([replace(spared, bytes=10**9), Standing(id=9, ended_at=NOW)], policy, NOW) == []


def test_kept_runs_drive_nobody_out() -> None:
    found = [*runs(1, 1, 1), Standing(id=4, ended_at=OLD, kept=True, bytes=10**12)]
    assert doomed(found, Policy(bytes=3, runs=3), NOW) == []


STANDING = st.builds(
    Standing,
    id=st.integers(1, 10**6),
    ended_at=st.none() | st.floats(NOW - 100 * DAY, NOW),
    kept=st.booleans(),
    needed=st.booleans(),
    bytes=st.integers(0, 1000),
)
MANY = st.lists(STANDING, max_size=30, unique_by=lambda run: run.id)
POLICY = st.builds(Policy, days=st.just(0.0) | st.floats(0.01, 90), runs=st.integers(0, 10), bytes=st.integers(0, 3000))


@given(MANY, POLICY)
def test_only_what_may_go_goes_and_the_oldest_first(found: list[Standing], policy: Policy) -> None:
    gone = doomed(found, policy, NOW)
    assert gone == sorted(set(gone))
    assert all(run.may_go(NOW) for run in found if run.id in gone)
    assert policy.any or not gone


@given(MANY, POLICY)
def test_once_is_enough(found: list[Standing], policy: Policy) -> None:
    gone = doomed(found, policy, NOW)
    assert doomed([run for run in found if run.id not in gone], policy, NOW) == []


@given(MANY, POLICY)
def test_what_is_left_keeps_to_the_limits(found: list[Standing], policy: Policy) -> None:
    gone = doomed(found, policy, NOW)
    left = sorted((run for run in found if run.id not in gone and not run.kept), key=lambda run: -run.id)
    ended = [run for run in left if run.ended_at is not None]
    for number, run in enumerate(left, 1):
        if not run.may_go(NOW):
            continue
        assert not policy.runs or number <= policy.runs or run is ended[0]
        assert not policy.bytes or sum(r.bytes for r in left[:number]) <= policy.bytes or run is ended[0]
        assert not policy.days or run.ended_at is None or run.ended_at >= NOW - policy.days * DAY


@given(MANY, POLICY, st.randoms())
def test_no_order_matters_and_more_room_dooms_no_other(found: list[Standing], policy: Policy, chance: object) -> None:
    gone = doomed(found, policy, NOW)
    mixed = list(found)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    assert doomed(mixed, policy, NOW) == gone
    wider = Policy(
        days=policy.days * 2, runs=policy.runs and policy.runs + 1, bytes=policy.bytes and policy.bytes + 100
    )
    assert set(doomed(found, wider, NOW)) <= set(gone)


@pytest.mark.parametrize(
    ("days", "number", "size"), [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (40_000, 0, 0), (0, 2**40, 0)]
)
def test_limits_that_are_none(days: float, number: int, size: int) -> None:
    with pytest.raises(InvalidInput, match="no limit"):
        check_policy(days, number, size)
