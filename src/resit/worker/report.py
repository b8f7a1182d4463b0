"""What a worker reports of a run: numbered, in batches, kept until it is in the ledger.

The broker holds reports on disk, and control planes may be away for hours while tests go on. Should the broker lose its
store, what was not confirmed is said again: by the same numbers, so that nothing counts twice (domain/voice.py).
"""

import asyncio
import json
import logging
import time
from collections import deque
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
MAX_KEPT = 64 * 1024 * 1024
"""Bytes of one voice kept in memory until they are confirmed; beyond, the broker's copy must do."""
AGAIN_SECONDS = 1.0
"""The least time between two repetitions."""
UNHEARD_SECONDS = 10.0
"""What was sent so long ago and is not confirmed may be lost: it is said again, unless the control plane has it."""
MAX_UNHEARD_SECONDS = 120.0
"""The wait doubles up to this with every repetition that is not heard either: a control plane that is behind by more
than ten seconds falls back for good when everything comes once a second."""
LAST_SECONDS = 2.0
"""How long a worker that ends waits for its last words to be confirmed."""


class Voices:
    """The voices of a worker whose words are not all confirmed. ``address``: where control planes tell it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.behind = 0.0
        """How many seconds the control plane lets reports wait: what was said since then is not lost."""
        self._open: dict[str, Reporter] = {}
        self._abandoned = False

    def add(self, reporter: "Reporter") -> None:
        """A voice begins."""
        self._open[reporter.name] = reporter
        if self._abandoned:
            reporter.abandon()

    def abandon(self) -> None:
        """Nobody will hear us any more: what is not said stays unsaid, and nobody waits for it."""
        self._abandoned = True
        for reporter in self._open.values():
            reporter.abandon()

    def unheard(self) -> dict[str, int]:
        """The runs of voices with words that are not confirmed, by name."""
        return {reporter.name: reporter.run for reporter in self._open.values() if reporter.waiting}

    def stuck(self) -> float:
        """For how many seconds the broker has not stored what was said; 0 when it does."""
        since = [reporter.stuck_since for reporter in self._open.values() if reporter.stuck_since]
        return time.monotonic() - min(since) if since else 0.0

    def told(self, data: bytes) -> None:
        """A control plane says how far it has taken a voice. What can't be read is not for us."""
        try:
            word = json.loads(data)
            name, taken, missing = str(word["from"]), int(word["taken"]), bool(word.get("missing"))
        except (KeyError, TypeError, ValueError):
            log.warning("a word of a control plane can't be read: %r", data[:200])
            return
        self.heard(name, taken, missing=missing)

    def heard(self, name: str, taken: int, *, missing: bool = False) -> None:
        """A voice was taken up to this number. ``missing``: the next one has not come, though later ones have."""
        reporter = self._open.get(name)
        if reporter is None:
            return
        reporter.confirmed(taken, missing=missing)
        self.forget_silent()

    def forget_silent(self) -> None:
        """Let go of voices that have ended and are confirmed."""
        for name, reporter in list(self._open.items()):
            if reporter.ended and not reporter.waiting:
                del self._open[name]

    async def close(self) -> None:
        """Wait a moment for the last confirmations; the broker holds what is left."""
        end = time.monotonic() + LAST_SECONDS
        while self.unheard() and time.monotonic() < end:
            await asyncio.sleep(0.05)


class Reporter:
    """One run's way to the ledger. Putting never waits; :meth:`flush` waits until the broker holds everything."""

    def __init__(self, broker: WorkerBroker, run: int, name: str, voices: Voices) -> None:
        self._broker, self.run, self.name = broker, run, name
        self._voices, self._address = voices, voices.address
        self._kept: deque[tuple[int, bytes]] = deque()
        self._kept_bytes = 0
        self._sent_at = self._repeated_at = 0.0
        self._unheard = 0
        """Repetitions since the last word of a control plane that had taken something."""
        self._repeating: asyncio.Task[None] | None = None
        self.stuck_since = 0.0
        """Since when a report is said in vain, by the monotonic clock; 0: none is."""
        self.ended = False
        """Nothing more will be said."""
        self._abandoned = False
        self._queue: list[dict[str, Any]] = []
        self._growing: dict[tuple[str, str | int], dict[str, Any]] = {}
        """Reports in the queue that more of the same kind can go into: events by claim, logs by shard."""
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._now = asyncio.Event()
        self._number = 0
        self._task = asyncio.create_task(self._send_all(), name=f"report run {run}")
        voices.add(self)

    def put(self, claim: str, what: str, **members: Any) -> None:
        """Report something."""
        if self._abandoned:
            return
        self._growing.pop(("events", claim), None)  # what is said later of a batch comes later
        self._queue.append({"run": self.run, "claim": claim, "what": what, **members})
        self._empty.clear()
        self._wake.set()

    def event(self, claim: str, about: Mapping[str, Any], event: TestEvent) -> None:
        """Report an event of a batch; the events of a moment share a message."""
        data = wire.to_wire(event)
        growing = self._growing.get(("events", claim))
        if growing is not None:
            growing["events"].append(data)
        else:
            self.put(claim, "batch.events", **about, events=[data])
            self._grows("events", claim)
        self._wake.set()

    def _grows(self, kind: str, of: str | int) -> None:
        if self._queue:  # nothing is put after the last word
            self._growing[kind, of] = self._queue[-1]

    def log(self, shard: int, text: str) -> None:
        """Report what was printed; the pieces of a moment share a message."""
        growing = self._growing.get(("log", shard))
        if growing is not None and len(growing["text"]) < MAX_BYTES // 4:
            growing["text"] += text
        else:
            self.put("", "log", shard=shard, text=text)
            self._grows("log", shard)

    def plan(self, claim: str, tests: Sequence[PlannedTest]) -> int:
        """Report the tests of a suite in pieces; returns their number."""
        data = [wire.test_to_wire(test) for test in tests]
        pieces, begun = _pieces(list(map(_dumps, data))), 0
        for number, piece in enumerate(pieces):
            self.put(claim, "plan.tests", number=number, tests=data[begun : begun + len(piece)])
            begun += len(piece)
        return len(pieces)

    def abandon(self) -> None:
        """Say nothing more, and wait for nothing."""
        self._abandoned = True
        self._task.cancel()
        self._queue.clear()
        self._kept.clear()
        self._kept_bytes = 0
        self._empty.set()

    async def flush(self) -> None:
        """Until everything that was put is with the broker."""
        self._now.set()
        await self._empty.wait()

    async def close(self) -> None:
        """Flush and end; what is not confirmed is kept."""
        await self.flush()
        self.ended = True
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
            self._growing.clear()
            for report in queue:
                events = report.pop("events", None)
                for piece in [None] if events is None else _pieces(list(map(_dumps, events))):
                    await self._send(report, piece)
            if not self._queue:
                self._empty.set()

    async def _send(self, report: Mapping[str, Any], events: Sequence[bytes] | None) -> None:
        self._number += 1
        data = _dumps({**report, "from": self.name, "n": self._number, "to": self._address})
        if events is not None:
            data = data[:-1] + b',"events":[' + b",".join(events) + b"]}"
        self._keep(data)
        await self._publish(data, f"{self.name}.{self._number}")
        self._sent_at = time.monotonic()

    async def _publish(self, data: bytes, id: str) -> None:
        tries, began = 0, time.monotonic()
        while True:
            try:
                await self._broker.publish(self.run, data, id)
            except BrokerAway as away:
                self.stuck_since = self.stuck_since or began
                log.info("run %s: reports wait for the broker: %s", self.run, away)
                await asyncio.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])
                tries += 1
            else:
                self.stuck_since = 0.0
                return

    def _keep(self, data: bytes) -> None:
        self._kept.append((self._number, data))
        self._kept_bytes += len(data)
        while self._kept_bytes > MAX_KEPT and len(self._kept) > 1:
            self._kept_bytes -= len(self._kept.popleft()[1])

    @property
    def waiting(self) -> bool:
        """True while something is not confirmed."""
        return bool(self._kept)

    def confirmed(self, taken: int, *, missing: bool) -> None:
        """The ledger has everything up to ``taken``; what follows is said again when it seems to be lost."""
        while self._kept and self._kept[0][0] <= taken:
            self._kept_bytes -= len(self._kept.popleft()[1])
            self._unheard = 0
        now = time.monotonic()
        lost = missing or now - max(self._sent_at, self._repeated_at) > self._patience()
        if self._kept and lost and now - self._repeated_at > AGAIN_SECONDS and not self._repeating:
            self._repeated_at = now
            if not missing:
                self._unheard += 1
            self._repeating = asyncio.create_task(self._repeat(), name=f"repeat run {self.run}")

    def _patience(self) -> float:
        """How long to wait for a word: the longer, the more often nothing was heard."""
        return self._voices.behind + min(UNHEARD_SECONDS * 2 ** min(self._unheard, 10), MAX_UNHEARD_SECONDS)

    async def _repeat(self) -> None:
        """Say again what is not confirmed, under new ids: the broker may take the old ones for known."""
        log.info("run %s: %s reports are said again", self.run, len(self._kept))
        try:
            for number, data in list(self._kept):
                if self._kept and number >= self._kept[0][0]:
                    await self._publish(data, f"{self.name}.{number}.{time.monotonic_ns()}")
        finally:
            self._repeating = None


def _dumps(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _pieces(items: Sequence[bytes]) -> list[list[bytes]]:
    """Cut into lists of at most about ``MAX_BYTES``, which the broker takes; at least one, though it be empty."""
    cut: list[list[bytes]] = [[]]
    size = 0
    for item in items:
        if cut[-1] and size + len(item) > MAX_BYTES:
            cut.append([])
            size = 0
        cut[-1].append(item)
        size += len(item)
    return cut
