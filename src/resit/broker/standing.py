"""Waiting at several consumers at once, the first of which goes first.

A waiting request can't be withdrawn (see :mod:`resit.broker.pull`), and when a message comes from one consumer, the
requests to the others are open still. They stay so, and serve the next call; what they bring while nobody waits goes
back at once, and then they are not made again before somebody does.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from resit.broker.client import Client
from resit.broker.link import BREATH, PAUSE, Link, seam, subscribe
from resit.broker.pull import LONGEST, ConnectionLost, call_for, ends, give_back, is_usual, next_of, request
from resit.ports import BrokerAway


class Standing:
    """One place to wait, for one caller at a time."""

    def __init__(self, link: Link, stream: str, consumers: Sequence[str]) -> None:
        """``consumers``: of the stream, in the order in which they are looked at."""
        self._link, self._stream, self._consumers = link, stream, consumers
        self._came: list[Msg] = []
        self._news = asyncio.Event()
        self._waited_for = False
        self._open: dict[str, float] = {}
        """When the open request to a consumer ends, by the monotonic clock; without an answer it is lost then."""
        self._client: Client | None = None
        self._times_up = -1
        self._inbox = ""
        self._subscription: Subscription | None = None

    async def take(self, limit: int, wait: float) -> list[Msg]:
        """Up to ``limit`` messages: what is there, in the order of the consumers, else the first that comes.

        An empty list after ``wait`` seconds. Raises :class:`Missing` when a consumer does not exist, and
        :class:`BrokerAway` when the broker is away at the end of ``wait``.
        """
        end, found = time.monotonic() + wait, list[Msg]()
        self._waited_for = True
        try:
            while not found:
                left = end - time.monotonic()
                try:
                    await self._look(limit, found, max(left, 1.0))
                    if not found and left > 0:
                        await self._wait(left)
                        await self._heard(found)
                except ConnectionLost:
                    await asyncio.sleep(BREATH)
                if time.monotonic() >= end:
                    break
            if not found and not self._link.connected:
                raise BrokerAway("pull: the connection is lost")
        except BaseException:
            limit = 0
            raise
        finally:
            self._waited_for = False
            found += [message for message in self._came if message.reply]
            self._came.clear()
            give_back(self._link, found[limit:])
        return found[:limit]

    async def _look(self, limit: int, found: list[Msg], patience: float) -> None:
        """What is there now."""
        with seam("pull"):
            async with self._link.within(patience) as client:
                if client is not self._client:
                    self._client, self._inbox = client, client.new_inbox()
                    self._subscription = await subscribe(client, f"{self._inbox}.*", self._take)
        now = time.monotonic()
        self._open = {consumer: until for consumer, until in self._open.items() if until > now}
        if self._times_up != self._link.times_up:  # the requests of a former connection are lost with it
            self._times_up = self._link.times_up
            self._open.clear()
        for consumer in self._consumers:
            if len(found) < limit and consumer not in self._open:  # where a request is open, nothing is there
                found += await request(self._link, self._stream, consumer, limit - len(found), None, 1.0)
        await self._heard(found)

    async def _wait(self, left: float) -> None:
        """Have an open request at each consumer, and wait for an answer."""
        try:
            with seam("pull"):
                async with self._link.within(LONGEST + 2.0) as client:
                    for consumer in self._consumers:
                        if consumer not in self._open:
                            self._open[consumer] = time.monotonic() + LONGEST + 1.0
                            where, call = next_of(self._stream, consumer), call_for(1, LONGEST)
                            await client.publish(where, call, reply=f"{self._inbox}.{consumer}")
                    # A server that hangs says nothing: when a request should have ended, we ask again.
                    longest = min(self._open.values()) - time.monotonic()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(max(0.0, min(left, longest))):
                            await self._news.wait()
        except BrokerAway as away:
            raise ConnectionLost(str(away)) from away

    async def _take(self, message: Msg) -> None:
        self._open.pop(message.metadata.consumer if message.reply else message.subject.rpartition(".")[2], None)
        if self._waited_for:
            self._came.append(message)
            self._news.set()
        elif message.reply:
            give_back(self._link, [message])

    async def _heard(self, found: list[Msg]) -> None:
        """Look through what has come meanwhile. Raises :class:`Missing`."""
        self._news.clear()
        came, self._came = self._came, []
        found += [message for message in came if message.reply]
        statuses = [message for message in came if not message.reply]
        if not found and any(ends(message) and not is_usual(message) for message in statuses):
            await asyncio.sleep(PAUSE)  # e.g. a new leader in a cluster: ask again, not at once

    async def close(self) -> None:
        """No longer wait; what the server is just routing comes back with its lease."""
        if self._subscription:
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._subscription.drain()
