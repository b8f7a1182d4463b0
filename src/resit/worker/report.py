"""What a worker reports of a run: in order, in batches, kept until the broker holds it."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from resit.domain import wire
from resit.domain.events import TestEvent
from resit.domain.plan import PlannedTest
from resit.ports import BrokerAway, WorkerBroker

log = logging.getLogger(__name__)
GATHER_SECONDS = 0.1
MAX_BYTES = 256 * 1024
"""Of one message; the broker takes no more than 8 MiB."""
RETRY_SECONDS = (0.1, 0.25, 0.5, 1.0)


class Reporter:
    """One run's way to the ledger. Putting never waits; :meth:`flush` waits until the broker holds everything."""

    def __init__(self, broker: WorkerBroker, run: int, name: str) -> None:
        self._broker, self._run, self._name = broker, run, name
        self._queue: list[dict[str, Any]] = []
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._now = asyncio.Event()
        self._number = 0
        self._task = asyncio.create_task(self._send_all(), name=f"report run {run}")

    def put(self, claim: str, what: str, **members: Any) -> None:
        """Report something."""
        self._queue.append({"run": self._run, "claim": claim, "what": what, **members})
        self._empty.clear()
        self._wake.set()

    def event(self, claim: str, about: Mapping[str, Any], event: TestEvent) -> None:
        """Report an event of a batch; events that follow each other share a message."""
        data = wire.to_wire(event)
        last = self._queue[-1] if self._queue else None
        if last is not None and last["what"] == "batch.events" and last["claim"] == claim:
            last["events"].append(data)
        else:
            self.put(claim, "batch.events", **about, events=[data])
        self._wake.set()

    def log(self, shard: int, text: str) -> None:
        """Report what was printed; pieces that follow each other share a message."""
        last = self._queue[-1] if self._queue else None
        if last is not None and last["what"] == "log" and last["shard"] == shard and len(last["text"]) < MAX_BYTES // 4:
            last["text"] += text
        else:
            self.put("", "log", shard=shard, text=text)

    def plan(self, claim: str, tests: Sequence[PlannedTest]) -> int:
        """Report the tests of a suite in pieces; returns their number."""
        pieces = _pieces([wire.test_to_wire(test) for test in tests])
        for number, piece in enumerate(pieces):
            self.put(claim, "plan.tests", number=number, tests=piece)
        return len(pieces)

    async def flush(self) -> None:
        """Until everything that was put is with the broker."""
        self._now.set()
        await self._empty.wait()

    async def close(self) -> None:
        """Flush and end."""
        await self.flush()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _send_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                # Results of the next moment travel along; a flush does not wait for them.
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._now.wait()
            except TimeoutError:
                pass
            self._now.clear()
            queue, self._queue = self._queue, []
            for report in queue:
                for part in _split(report):
                    await self._send(part)
            if not self._queue:
                self._empty.set()

    async def _send(self, report: Mapping[str, Any]) -> None:
        data = json.dumps(report, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
        self._number += 1
        id = f"{self._name}.{self._number}"
        tries = 0
        while True:
            try:
                await self._broker.publish(self._run, data, id)
            except BrokerAway as away:
                log.info("run %s: reports wait for the broker: %s", self._run, away)
                await asyncio.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])
                tries += 1
            else:
                return


def _pieces(items: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Cut into lists of at most about ``MAX_BYTES``; at least one, though it be empty."""
    cut: list[list[dict[str, Any]]] = [[]]
    size = 0
    for item in items:
        length = len(json.dumps(item, ensure_ascii=False).encode(errors="replace"))
        if cut[-1] and size + length > MAX_BYTES:
            cut.append([])
            size = 0
        cut[-1].append(item)
        size += length
    return cut


def _split(report: dict[str, Any]) -> list[dict[str, Any]]:
    """A report in messages that the broker takes."""
    if report["what"] != "batch.events":
        return [report]
    return [{**report, "events": piece} for piece in _pieces(report["events"])]
