"""Taking messages under a lease: nothing is lost on the way, or waits in a forgotten inbox until its lease ends.

A request for messages can't be withdrawn. Where its inbox is closed while it is open, a message that the server is just
routing goes nowhere, and comes back only with its lease. So an inbox stays open as long as its request, and gives back
at once what nobody wants any more.
"""

import asyncio
import contextlib
import json
import time

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from resit.broker.client import Client
from resit.broker.link import BREATH, GIVE_BACK, PAUSE, Link, Missing, seam, subscribe
from resit.ports import BrokerAway

LONGEST = 30.0
"""Seconds of one waiting request for messages; longer waits are made of several."""


class ConnectionLost(BrokerAway):
    """A request for messages was cut off; it may be made again."""


async def pull(link: Link, stream: str, consumer: str, limit: int, wait: float) -> list[Msg]:
    """Up to ``limit`` messages: as soon as there is one, with what else is there; an empty list after ``wait``.

    A reconnection in between is bridged. Raises :class:`Missing` at once when the consumer does not exist, and
    :class:`BrokerAway` when the broker was away at the end of ``wait``.
    """
    end = time.monotonic() + wait
    if limit > 1 or wait <= 0:
        with contextlib.suppress(ConnectionLost):
            if found := await request(link, stream, consumer, limit, None, max(wait, 1.0)):
                return found
    while (left := end - time.monotonic()) > 0:
        try:
            found = await request(link, stream, consumer, 1, min(left, LONGEST), left)
        except ConnectionLost:
            await asyncio.sleep(BREATH)
            continue
        if found:
            return found + await _more(link, stream, consumer, limit - 1, found)
    if not link.connected:
        raise BrokerAway("pull: the connection is lost")
    return []


async def _more(link: Link, stream: str, consumer: str, limit: int, found: list[Msg]) -> list[Msg]:
    """What else is there now; ``found`` goes back when the caller leaves meanwhile."""
    if limit < 1:
        return []
    try:
        return await request(link, stream, consumer, limit, None, 1.0)
    except BrokerAway:
        return []
    except BaseException:
        give_back(link, found)
        raise


def give_back(link: Link, messages: list[Msg]) -> None:
    """End the leases of these now."""
    for message in messages:
        link.hint(message.reply, GIVE_BACK)


def call_for(count: int, expires: float | None) -> bytes:
    """A request for ``count`` messages: what is there now, or what comes within ``expires`` seconds."""
    if expires is None:
        return json.dumps({"batch": count, "no_wait": True}).encode()
    return json.dumps({"batch": count, "expires": int(expires * 1e9)}).encode()


def next_of(stream: str, consumer: str) -> str:
    """Where to ask for messages."""
    return f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"


async def request(
    link: Link, stream: str, consumer: str, count: int, expires: float | None, patience: float
) -> list[Msg]:
    """One request for ``count`` messages: what is there now, or what comes within ``expires`` seconds.

    The server answers with each message and, when it ends the request before ``count``, with a status: nothing can come
    after a normal end. Raises :class:`Missing`, :class:`ConnectionLost`, and BrokerAway without a connection within
    ``patience`` seconds.
    """
    with seam("pull"):
        async with link.within(patience) as client:
            inbox = _Inbox(link, client)
    try:
        with seam("pull"):
            # A server that hangs says nothing: one second more than agreed, and we ask again.
            async with link.within((expires or 0.0) + 1.0):
                await inbox.open()
                await client.publish(next_of(stream, consumer), call_for(count, expires), reply=inbox.subject)
                await inbox.fill(count)
                await inbox.close()
    except Missing:
        link.spawn(inbox.close())
        raise
    except BrokerAway as away:
        inbox.abandon(expires or 0.0)
        raise ConnectionLost(str(away)) from away
    except BaseException:
        inbox.abandon(expires or 0.0)
        raise
    return inbox.found


def ends(message: Msg) -> bool:
    """Whether this answer of the server, which is no message, ends a request. Raises :class:`Missing`."""
    headers = message.headers or {}
    status, words = headers.get("Status", ""), headers.get("Description", "")
    if status == "503" or "Consumer Deleted" in words:
        raise Missing(words or "no such consumer")
    return status != "100"  # the server is alive and has nothing


def is_usual(message: Msg) -> bool:
    """Whether a request ended because there was nothing, and not e.g. because of a new leader in a cluster."""
    return (message.headers or {}).get("Status") in {"404", "408"}


class _Inbox:
    """Where the answers to one request for messages arrive."""

    def __init__(self, link: Link, client: Client) -> None:
        self._link, self._client = link, client
        self.subject = client.new_inbox()
        self.found: list[Msg] = []
        self._queue: asyncio.Queue[Msg] = asyncio.Queue()
        self._subscription: Subscription | None = None
        self._abandoned = False

    async def open(self) -> None:
        """Begin to receive."""
        self._subscription = await subscribe(self._client, self.subject, self._take)

    async def _take(self, message: Msg) -> None:
        if not self._abandoned:
            self._queue.put_nowait(message)
        elif message.reply:
            give_back(self._link, [message])

    async def fill(self, count: int) -> None:
        """Wait for ``count`` messages or the end of the request. Raises :class:`Missing`."""
        while len(self.found) < count:
            message = await self._queue.get()
            if message.reply:
                self.found.append(message)
            elif self.found:
                return
            elif ends(message):
                if not is_usual(message):  # ask again, not at once
                    await asyncio.sleep(PAUSE)
                return

    async def close(self) -> None:
        """Forget the inbox after the normal end of its request."""
        if self._subscription:
            with contextlib.suppress(NatsError, OSError):
                await self._subscription.unsubscribe()

    def abandon(self, still_open: float) -> None:
        """Nobody waits any more: give back what came, and what will come in the seconds that the request is open."""
        self._abandoned = True
        while not self._queue.empty():
            self.found.append(self._queue.get_nowait())
        give_back(self._link, [message for message in self.found if message.reply])
        asyncio.get_running_loop().call_later(still_open + 1.0, self._forget)

    def _forget(self) -> None:
        if not self._link.closed:
            self._link.spawn(self.close())
