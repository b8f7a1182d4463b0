"""A worker's words: numbered, kept until they are in the ledger, said again when they were lost."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

import pytest

from resit.ports import BrokerAway, WorkerBroker
from resit.worker import report
from resit.worker.report import Reporter, Voices


class Wire:
    """Where reports go; away for the first ``away`` of them."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.heard: list[dict[str, Any]] = []
        self.ids: list[str] = []

    async def publish(self, run: int, data: bytes, id: str) -> None:
        if self.away > 0:
            self.away -= 1
            raise BrokerAway("not here")
        said = json.loads(data)
        assert said["run"] == run
        self.heard.append(said)
        self.ids.append(id)


def spoken(test: Callable[[Wire, Voices, Reporter], Awaitable[None]], away: int = 0) -> Wire:
    wire = Wire(away)

    async def run() -> None:
        voices = Voices("there")
        reporter = Reporter(cast("WorkerBroker", wire), 7, "voice", voices)
        await test(wire, voices, reporter)

    asyncio.run(cast("Coroutine[Any, Any, None]", run()))
    return wire


def test_reports_are_numbered_and_forgotten_when_they_are_confirmed() -> None:
    async def test(_wire: Wire, voices: Voices, reporter: Reporter) -> None:
        reporter.put("claim", "batch.started", batch=1)
        reporter.log(1, "words\n")
        reporter.log(1, "more\n")
        await reporter.flush()
        assert voices.unheard() == {"voice": 7}
        voices.heard("voice", 1)
        assert voices.unheard() == {"voice": 7}
        await reporter.close()
        voices.told(json.dumps({"run": 7, "from": "voice", "taken": 2}).encode())
        assert voices.unheard() == {}

    wire = spoken(test, away=1)
    assert [(said["n"], said["from"], said["to"]) for said in wire.heard] == [
        (1, "voice", "there"),
        (2, "voice", "there"),
    ]
    assert wire.heard[1]["text"] == "words\nmore\n"


def test_what_is_missing_is_said_again_under_other_ids() -> None:
    async def test(wire: Wire, voices: Voices, reporter: Reporter) -> None:
        for number in range(4):
            reporter.put("claim", "batch.started", batch=number)
        await reporter.flush()
        voices.heard("voice", 1, missing=True)
        voices.heard("voice", 1, missing=True)  # at most once a second
        while len(wire.heard) < 7:
            await asyncio.sleep(0)
        await reporter.close()

    wire = spoken(test)
    assert [said["n"] for said in wire.heard] == [1, 2, 3, 4, 2, 3, 4]
    assert len(set(wire.ids)) == 7


def test_the_last_words_are_said_again_when_nothing_is_heard_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(wire: Wire, voices: Voices, reporter: Reporter) -> None:
        reporter.put("claim", "batch.ended", batch=1)
        await reporter.flush()
        voices.heard("voice", 0)
        await asyncio.sleep(0)
        assert len(wire.heard) == 1
        monkeypatch.setattr(report, "UNHEARD_SECONDS", -1.0)
        voices.heard("voice", 0)
        while len(wire.heard) < 2:
            await asyncio.sleep(0)
        await reporter.close()

    spoken(test)


def test_memory_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MAX_KEPT", 1000)

    async def test(_wire: Wire, voices: Voices, reporter: Reporter) -> None:
        for number in range(50):
            reporter.put("claim", "batch.started", batch=number)
        await reporter.flush()
        assert sum(len(data) for _, data in reporter._kept) <= 1000
        assert reporter._kept[-1][0] == 50
        voices.heard("voice", 50)
        assert not reporter.waiting
        await reporter.close()

    spoken(test)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"from": "voice", "taken": "many"}', b"\xff"])
def test_words_that_cannot_be_read_do_no_harm(data: bytes) -> None:
    async def test(_wire: Wire, voices: Voices, reporter: Reporter) -> None:
        voices.told(data)
        await reporter.close()

    spoken(test)


def test_a_worker_that_nobody_hears_any_more_waits_for_nothing() -> None:
    async def test(_wire: Wire, voices: Voices, reporter: Reporter) -> None:
        reporter.put("claim", "batch.started", batch=1)
        voices.abandon()
        reporter.put("claim", "batch.ended", batch=1)
        later = Reporter(cast("WorkerBroker", _wire), 8, "later", voices)
        for one in (reporter, later):
            one.log(1, "words")
            await asyncio.wait_for(one.close(), 5)
        assert voices.unheard() == {}

    assert spoken(test, away=10**9).heard == []


def test_how_long_nothing_has_been_stored_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    async def test(wire: Wire, voices: Voices, reporter: Reporter) -> None:
        assert voices.stuck() == 0.0
        reporter.put("claim", "batch.started", batch=1)
        while not voices.stuck():
            await asyncio.sleep(0.01)
        seen.append(voices.stuck())
        await asyncio.sleep(0.02)
        seen.append(voices.stuck())
        wire.away = 0
        await reporter.flush()
        seen.append(voices.stuck())

    monkeypatch.setattr(report, "RETRY_SECONDS", (0.01,))
    spoken(test, away=10_000)
    assert 0 < seen[0] < seen[1]
    assert seen[2] == 0.0


def test_what_a_control_plane_has_not_come_to_is_not_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(wire: Wire, voices: Voices, reporter: Reporter) -> None:
        monkeypatch.setattr(report, "UNHEARD_SECONDS", -1.0)
        voices.behind = 60.0
        reporter.put("claim", "batch.ended", batch=1)
        await reporter.flush()
        for _ in range(10):
            voices.heard("voice", 0)
            await asyncio.sleep(0)
        assert len(wire.heard) == 1
        voices.behind = 0.0
        voices.heard("voice", 0)
        while len(wire.heard) < 2:
            await asyncio.sleep(0)
        await reporter.close()

    spoken(test)
