"""Whether a control plane is ready: parts that fail, hang and come back."""

import asyncio
import logging
from threading import Event

import pytest

from resit.control import health
from resit.control.health import Check, Health


class Part:
    """Something to look at."""

    def __init__(self) -> None:
        self.wrong: Exception | None = None
        self.looks = 0
        self.hangs: Event | None = None

    def look(self) -> None:
        self.looks += 1
        if self.hangs is not None:
            self.hangs.wait(10)
        if self.wrong is not None:
            raise self.wrong


def test_each_part_says_how_it_is(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(health, "KEEP_SECONDS", 0.0)

    async def scene() -> None:
        good, bad = Part(), Part()
        told = Health({"good": Check(good.look, "no good"), "bad": Check(bad.look, "it is bad")}, lambda: False)
        assert [(found.name, found.ok) for found in await told.look()] == [
            ("serving", True),
            ("good", True),
            ("bad", True),
        ]
        bad.wrong = OSError("password=hunter22")
        for _ in range(3):
            (_, _, found) = await told.look()
            assert (found.ok, found.words) == (False, "it is bad")
        bad.wrong = None
        assert (await told.look())[2].ok

    with caplog.at_level(logging.INFO):
        asyncio.run(scene())
    assert [record.getMessage() for record in caplog.records] == [
        "not ready: bad: OSError: password=hunter22",
        "ready again: bad",
    ]


def test_a_part_that_hangs_has_failed_and_costs_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LIMIT_SECONDS", 0.05)

    async def scene() -> None:
        slow = Part()
        slow.hangs = Event()
        told = Health({"slow": Check(slow.look, "it is away")}, lambda: False)
        for found in await asyncio.gather(told.look(), told.look()):
            assert not found[1].ok
            assert found[1].words.startswith("it is away")
        assert not (await told.look())[1].ok
        assert slow.looks == 1
        slow.hangs.set()
        async with asyncio.timeout(5):
            while not (await told.look())[1].ok:
                await asyncio.sleep(0.01)

    asyncio.run(scene())


def test_a_part_is_not_asked_more_often_than_that() -> None:
    async def scene() -> None:
        part = Part()
        told = Health({"part": Check(part.look, "")}, lambda: False)
        for _ in range(20):
            await told.look()
        assert part.looks == 1

    asyncio.run(scene())


def test_who_ends_takes_no_new_clients() -> None:
    async def scene() -> None:
        ends = False
        told = Health({}, lambda: ends)
        assert (await told.look())[0].ok
        ends = True
        assert [(found.ok, found.words) for found in await told.look()] == [(False, "it ends")]

    asyncio.run(scene())
