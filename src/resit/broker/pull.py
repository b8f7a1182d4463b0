"""Taking messages under a lease: nothing is lost on the way, or waits in a forgotten inbox until its lease ends."""

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from resit.broker.link import BREATH, GIVE_BACK, PAUSE, Link, Missing, seam, subscribe
from resit.ports import BrokerAway

LONGEST = 30.0
"""Seconds of one waiting request for messages; longer waits are made of several."""


async def pull(link: Link, stream: str, consumers: Sequence[str], limit: int, wait: float) -> list[Msg]:
    """Up to ``limit`` messages: as soon as there is one, with what else is there; an empty list after ``wait``.

    Of several ``consumers`` the first is asked first; while none has anything, all are waited for at once, and the
    first message comes alone. A reconnection in between is bridged. Raises :class:`Missing` at once when a consumer
    does not exist, and :class:`BrokerAway` when the broker was away at the end of ``wait``.
    """
    end = time.monotonic() + wait
    if limit > 1 or len(consumers) > 1 or wait <= 0:
        with contextlib.suppress(_ConnectionLost):
            if found := await _there(link, stream, consumers, limit, [], max(wait, 1.0)):
                return found
    while (left := end - time.monotonic()) > 0:
        try:
            found = await _request(link, stream, consumers, 1, min(left, LONGEST), left)
        except _ConnectionLost:
            await asyncio.sleep(BREATH)
            continue
        if found and len(consumers) == 1:
            return await _there(link, stream, consumers, limit, found, 1.0)
        if found:
            return found
    if not link.connected:
        raise BrokerAway("pull: the connection is lost")
    return []


async def _there(
    link: Link, stream: str, consumers: Sequence[str], limit: int, found: list[Msg], patience: float
) -> list[Msg]:
    """``found``, and what else is there now; all of it goes back when the caller leaves meanwhile."""
    for consumer in consumers:
        if len(found) >= limit:
            break
        try:
            found = found + await _request(link, stream, [consumer], limit - len(found), None, patience)
        except BrokerAway:
            if not found:
                raise
            break
        except BaseException:
            for message in found:
                link.hint(message.reply, GIVE_BACK)
            raise
    return found


class _ConnectionLost(BrokerAway):
    """A request for messages was cut off; it may be made again."""


async def _request(
    link: Link, stream: str, consumers: Sequence[str], count: int, expires: float | None, patience: float
) -> list[Msg]:
    """Up to ``count`` messages of any of the consumers: what is there now, or what comes until ``expires``.

    The server answers each request with messages and, when it ends the request before ``count``, with a status. So
    nothing can come after a normal end. Requests to other consumers that are still open when one has answered are
    withdrawn, and what they brought in the same moment goes back at once.
    """
    call: dict[str, object] = {"batch": count, "no_wait": True}
    if expires is not None:
        call = {"batch": count, "expires": int(expires * 1e9)}
    with seam("pull"):
        async with link.within(patience) as client:
            inbox = _Inbox(client, len(consumers))
    try:
        with seam("pull"):
            # A server that hangs says nothing: one second more than agreed, and we ask again.
            async with link.within((expires or 0.0) + 1.0):
                await inbox.open()
                for consumer in consumers:
                    await inbox.ask(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}", json.dumps(call).encode())
                await inbox.fill(count)
                found = inbox.found[:count]
                if inbox.ended:
                    await inbox.close()
                else:
                    link.spawn(inbox.give_back(count))
    except Missing:
        link.spawn(inbox.give_back())
        raise
    except BrokerAway as away:
        link.spawn(inbox.give_back())
        raise _ConnectionLost(str(away)) from away
    except BaseException:
        link.spawn(inbox.give_back())
        raise
    return found


class _Inbox:
    """Where the answers to requests for messages arrive; ``requests`` of them are made."""

    def __init__(self, client: Client, requests: int) -> None:
        self._client = client
        self._subject = client.new_inbox()
        self._requests = requests
        self.found: list[Msg] = []
        self._queue: asyncio.Queue[Msg] = asyncio.Queue()
        self._subscription: Subscription | None = None

    async def open(self) -> None:
        """Begin to receive."""
        self._subscription = await subscribe(self._client, self._subject, self._take)

    async def ask(self, subject: str, call: bytes) -> None:
        """Make a request."""
        await self._client.publish(subject, call, reply=self._subject)

    async def _take(self, message: Msg) -> None:
        self._queue.put_nowait(message)

    async def fill(self, count: int) -> None:
        """Wait for ``count`` messages or the end of all requests. Raises :class:`Missing`."""
        while len(self.found) < count and self._requests > 0:
            message = await self._queue.get()
            if message.reply:
                self.found.append(message)
                continue
            headers = message.headers or {}
            status, words = headers.get("Status", ""), headers.get("Description", "")
            if status == "100":  # the server is alive and has nothing
                continue
            self._requests -= 1
            if self.found:
                continue
            if status == "503" or "Consumer Deleted" in words:
                raise Missing(words or "no such consumer")
            if status not in {"404", "408"}:  # e.g. a new leader in a cluster: ask again, not at once
                await asyncio.sleep(PAUSE)
        if len(self.found) >= count:
            self._requests -= 1

    @property
    def ended(self) -> bool:
        """Whether no request is open any more, after :meth:`fill`."""
        return self._requests <= 0

    async def close(self) -> None:
        """Forget the inbox after the normal end of its requests."""
        if self._subscription:
            with contextlib.suppress(NatsError, OSError):
                await self._subscription.unsubscribe()

    async def give_back(self, kept: int = 0) -> None:
        """Withdraw abandoned requests, and return what was on its way to us, so that nobody waits for its lease.

        ``kept``: so many of the messages that were found stay taken.
        """
        if self._subscription:
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                await self._subscription.drain()
        while not self._queue.empty():
            self.found.append(self._queue.get_nowait())
        for message in self.found[kept:]:
            if message.reply:
                with contextlib.suppress(NatsError, OSError):
                    await self._client.publish(message.reply, GIVE_BACK)
