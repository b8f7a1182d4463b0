"""What has come from workers and waits: no message twice, those of a run one after the other."""

import asyncio
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.control.intake import AT_ONCE, Intake, Tray
from resit.control.signals import Signals
from resit.domain.errors import Unavailable
from resit.services.ingest import Taken, Told


def message(run: int, number: int, said: float = 0.0) -> Any:
    return SimpleNamespace(subject=f"events.{run}", number=number, stored_at=said)


def numbers(found: Sequence[Any]) -> list[int]:
    return [each.number for each in found]


def test_hands_get_fair_shares_and_never_the_same_run() -> None:
    tray = Tray()
    tray.put([message(run, 10 * run + n) for n in range(4) for run in (1, 2, 3)], 0)
    first, second = tray.take(3), tray.take(3)
    assert (numbers(first), numbers(second)) == ([10, 11, 12, 13], [20, 21, 22, 23])
    tray.put([message(1, 14)], 0)
    assert numbers(tray.take(3)) == [30, 31, 32, 33]
    assert tray.take(3) == []
    tray.done(first)
    assert numbers(tray.take(3)) == [14]
    assert tray.size == 0


def test_one_hand_takes_all_but_no_more_than_a_transaction_holds() -> None:
    tray = Tray()
    tray.put([message(run, run) for run in range(AT_ONCE)] + [message(7, AT_ONCE + n) for n in range(AT_ONCE)], 0)
    found = tray.take(1)
    assert len(found) == AT_ONCE
    tray.done(found)
    assert len(tray.take(1)) == AT_ONCE
    assert (tray.size, tray.take(1)) == (0, [])


def test_the_oldest_is_known_wherever_it_is() -> None:
    tray, now = Tray(), time.monotonic()
    assert tray.oldest is None
    tray.put([message(1, 1, said=90), message(2, 2, said=80)], 100)
    assert tray.oldest == pytest.approx(now - 20, abs=1)
    found = tray.take(2)
    assert numbers(found) == [1]
    tray.done(found)
    found = tray.take(2)
    assert tray.oldest == pytest.approx(now - 20, abs=1)
    tray.done(found)
    assert tray.oldest is None


@given(st.lists(st.one_of(st.integers(1, 5), st.just("take"), st.just("done"))), st.integers(1, 4))
def test_nothing_is_lost_twice_or_out_of_turn(steps: list[int | str], hands: int) -> None:
    tray, out, heard, told = Tray(), list[list[Any]](), list[Any](), 0
    for step in steps:
        if step == "take":
            found = tray.take(hands)
            assert {each.subject for each in found}.isdisjoint(each.subject for some in out for each in some)
            heard += found
            out.append(found)
        elif step == "done" and out:
            tray.done(out.pop(0))
        elif isinstance(step, int):
            tray.put([message(step, told)], 0)
            told += 1
    left = tray.empty()
    assert tray.size == 0
    assert sorted(numbers(heard) + numbers(left)) == list(range(told))
    for run in range(1, 6):
        turn = [each.number for each in (*heard, *left) if each.subject == f"events.{run}"]
        assert turn == sorted(turn)


class Word:
    """A message of a run that notes what becomes of it."""

    def __init__(self, run: int, number: int) -> None:
        self.subject, self.pool, self.deliveries = f"events.{run}", "default", 1
        self.data = b"%d" % number
        self.stored_at = time.time()
        self.settled = ""

    async def done(self, *, wait: bool = True) -> None:
        del wait
        self.settled = "done"

    async def give_back(self, delay: float = 0.0) -> None:
        del delay
        self.settled = "back"


def test_what_comes_while_another_is_taken_waits_and_goes_back_when_all_ends() -> None:
    words = [Word(1, 1), Word(2, 2), Word(1, 3), Word(2, 4)]

    async def scene() -> list[list[bytes]]:
        seen: list[list[bytes]] = []
        loop, begun, go_on = asyncio.get_running_loop(), asyncio.Semaphore(0), asyncio.Event()
        coming, asked = asyncio.Queue[list[Word]](), asyncio.Semaphore(0)

        class Broker:
            async def events(self, limit: int, wait: float) -> list[Word]:
                del limit, wait
                asked.release()
                return await coming.get()

        class Ingest:
            def take(self, told: Sequence[Told]) -> Taken:
                seen.append([each.data for each in told])
                loop.call_soon_threadsafe(begun.release)
                asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)
                if told[0].data == b"2":
                    raise Unavailable("the database is away")
                return Taken()

        intake = Intake(cast("Any", Broker()), cast("Any", Ingest()), Signals(), side_by_side=2)
        running = asyncio.create_task(intake.run())
        for some in (words[:1], words[1:2]):
            coming.put_nowait(some)
            await begun.acquire()
        coming.put_nowait(words[2:])
        for _ in range(4):
            await asked.acquire()
        assert intake.behind < 10
        go_on.set()
        await begun.acquire()
        while words[2].settled != "done":
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return seen

    assert asyncio.run(scene()) == [[b"1"], [b"2"], [b"3"]]
    assert [word.settled for word in words] == ["done", "back", "done", "back"]
