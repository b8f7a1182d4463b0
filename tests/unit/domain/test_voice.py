"""Whatever the broker does, each numbered report is taken once, and in order."""

from hypothesis import given
from hypothesis import strategies as st

from resit.domain.voice import GAP_SECONDS, MOST_SECONDS, Turn, Voice, patience, taken, turn

VOICE = Voice(run_id=1, name="w")


@given(st.integers(1, 30), st.randoms(use_true_random=False))
def test_any_order_and_repetition_is_taken_once_and_in_order(count: int, chance: object) -> None:
    waiting = list(range(1, count + 1)) * 2
    chance.shuffle(waiting)  # type: ignore[attr-defined]
    voice, heard = VOICE, list[int]()
    while waiting:
        number = waiting.pop(0)
        match turn(voice, number, age=0.0):
            case Turn.TAKE:
                heard.append(number)
                voice = taken(voice, number)
            case Turn.EARLY:
                waiting.append(number)
            case Turn.KNOWN:
                pass
    assert heard == list(range(1, count + 1))
    assert voice.taken == count
    assert not voice.gap


@given(st.sets(st.integers(1, 40), min_size=1))
def test_what_is_lost_for_good_holds_nobody_up_for_ever_and_is_remembered_as_a_gap(numbers: set[int]) -> None:
    voice = VOICE
    for number in sorted(numbers):
        early = number > voice.taken + 1
        assert turn(voice, number, age=0.0) is (Turn.EARLY if early else Turn.TAKE)
        assert turn(voice, number, age=GAP_SECONDS + 1) is Turn.TAKE
        voice = taken(voice, number)
    assert voice.gap == (numbers != set(range(1, max(numbers) + 1)))
    assert all(turn(voice, number, age) is Turn.KNOWN for number in range(1, voice.taken + 1) for age in (0.0, 1e9))


def test_patience_grows_and_ends() -> None:
    waits = [patience(n) for n in range(100)]
    assert waits == sorted(waits)
    assert 0 < waits[0] < 0.2
    assert waits[-1] == MOST_SECONDS
