"""Telling the loops and live pages of this process, and of other control planes, that something has changed. A hint,
never the truth: who waits also looks by itself from time to time."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable


class Signals:
    """Made and awaited in the event loop; told from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._outbox = asyncio.Event()
        self._notices = asyncio.Event()
        self._ends = asyncio.Event()
        self._times = asyncio.Event()
        self.peers = False
        """True while somebody takes what is told to other control planes."""
        self._peers = asyncio.Event()
        self._for_peers: set[int] = set()
        self._outbox_for_peers = False
        self._runs: defaultdict[int, set[asyncio.Event]] = defaultdict(set)
        self.closing = False
        """True once the server ends: live pages end then too, and come back to its successor."""

    def outbox(self) -> None:
        """There may be something to send: to the broker, or to a webhook."""
        self._loop.call_soon_threadsafe(self._tell_outbox)
        self.notices()

    def _tell_outbox(self) -> None:
        self._wake()
        if self.peers:
            self._outbox_for_peers = True
            self._peers.set()

    def notices(self) -> None:
        """There may be something to tell a webhook."""
        self._loop.call_soon_threadsafe(self._notices.set)

    def changed(self, runs: Iterable[int]) -> None:
        """These runs have changed."""
        found = list(runs)
        self._loop.call_soon_threadsafe(self._tell_all, found)

    def _tell_all(self, runs: list[int]) -> None:
        self._tell(runs)
        if self.peers:
            self._for_peers.update(runs)
            self._peers.set()

    def heard(self, runs: list[int], *, outbox: bool) -> None:
        """Another control plane tells; called in the event loop."""
        self._tell(runs)
        if outbox:
            self._wake()
            self._notices.set()

    def _wake(self) -> None:
        """Who makes or ends a run, or says when one begins, has something in the outbox as well."""
        for event in (self._outbox, self._ends, self._times):
            event.set()

    async def wait_peers(self) -> None:
        """Until there is something to tell other control planes."""
        await self._peers.wait()

    def for_peers(self) -> tuple[list[int], bool]:
        """The runs that have changed since the last call, and whether there may be something in the outbox."""
        found = sorted(self._for_peers), self._outbox_for_peers
        self._peers.clear()
        self._for_peers.clear()
        self._outbox_for_peers = False
        return found

    def _tell(self, runs: list[int]) -> None:
        for run in runs:
            for event in self._runs.get(run, ()):
                event.set()

    def close(self) -> None:
        """The server ends: wake everybody up."""
        self.closing = True
        self._tell(list(self._runs))

    async def wait_outbox(self, seconds: float) -> None:
        """Until :meth:`outbox` was called, or ``seconds`` have passed."""
        await _wait(self._outbox, seconds)

    async def wait_notices(self, seconds: float) -> None:
        """Until :meth:`outbox` or :meth:`notices` was called, or ``seconds`` have passed."""
        await _wait(self._notices, seconds)

    async def wait_ends(self, seconds: float) -> None:
        """Until a run may have ended, or ``seconds`` have passed."""
        await _wait(self._ends, seconds)

    async def wait_times(self, seconds: float) -> None:
        """Until there may be another time at which something begins, or ``seconds`` have passed."""
        await _wait(self._times, seconds)

    def watch(self, run: int) -> asyncio.Event:
        """An event that is set whenever the run changes; give it back with :meth:`unwatch`."""
        event = asyncio.Event()
        self._runs[run].add(event)
        return event

    def unwatch(self, run: int, event: asyncio.Event) -> None:
        """No longer wait for the run."""
        self._runs[run].discard(event)
        if not self._runs[run]:
            del self._runs[run]


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
    event.clear()


async def changed(event: asyncio.Event, seconds: float) -> None:
    """Until a watched run changes, or ``seconds`` have passed."""
    await _wait(event, seconds)
