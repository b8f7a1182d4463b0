"""One connection to the broker. Every error of the NATS client ends here and leaves as :class:`BrokerAway`."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError, NoRespondersError, UnexpectedEOF

from resit.ports import BrokerAway

PATIENCE = 5.0
"""Seconds that a request waits for its answer, a reconnection in between included."""
CONNECT_SECONDS = 10.0
"""Seconds that the first connection may take, in which the broker may still be starting."""
PAUSE = 0.25
"""Seconds between two tries to reach or repair something that is not there."""
LONGEST_PULL = 30.0
"""Seconds of one waiting request for messages; longer waits are made of several."""

GIVE_BACK = b"-NAK"
"""The word that ends a lease early."""

_PING_SECONDS = 5
_BREATH = 0.01
"""Seconds between two tries after a lost connection, so that no loop is ever tight."""
_LOG = logging.getLogger(__name__)

Handler = Callable[[Msg], Awaitable[None]]


class Refused(BrokerAway):
    """The broker answered, and the answer was no. ``number`` is the error number of JetStream, 0 when unknown."""

    def __init__(self, message: str, number: int = 0) -> None:
        super().__init__(message)
        self.number = number


class Missing(Refused):
    """The stream or consumer does not exist (any more), or nobody listens on a subject."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is and what to present: ``url`` may list several servers, separated by commas."""

    url: str
    token: str = ""


@contextlib.contextmanager
def _seam(what: str):
    """Translate what the NATS client raises."""
    try:
        yield
    except MaxPayloadError as error:
        raise ValueError(f"{what}: the message is larger than the broker takes") from error
    except NoRespondersError as error:
        raise Missing(f"{what}: nobody answers") from error
    except (NatsError, OSError, TimeoutError) as error:
        reason = str(error) or "no answer in time"
        raise BrokerAway(f"{what}: {reason}") from error


async def _subscribe(client: Client, subject: str, handler: Handler, group: str = "") -> Subscription:
    # One parameter that we do not use has an incomplete type in nats-py 2.16.
    return await client.subscribe(subject, queue=group, cb=handler)  # pyright: ignore[reportUnknownMemberType]


class Link:
    """A connection that comes back by itself, for ever, until :meth:`close`."""

    def __init__(self, address: Address, name: str) -> None:
        self._address = address
        self._name = name
        self._client = Client()
        self._up = asyncio.Event()
        self._closing = False
        self._last_error = ""
        self._listeners: list[tuple[str, str, Handler]] = []
        self._limits: set[asyncio.Timeout] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------ the connection

    async def open(self, within: float = CONNECT_SECONDS) -> None:
        """Connect; the broker may still be starting. Raises :class:`BrokerAway` after ``within`` seconds."""
        client = self._client = Client()
        self._last_error = ""
        try:
            async with asyncio.timeout(within):
                await client.connect(
                    servers=[url.strip() for url in self._address.url.split(",")],
                    token=self._address.token or None,
                    name=self._name,
                    connect_timeout=2,
                    reconnect_time_wait=cast("int", PAUSE),  # the client sleeps for it, a fraction is fine
                    max_reconnect_attempts=-1,
                    ping_interval=_PING_SECONDS,
                    max_outstanding_pings=2,
                    error_cb=self._on_error,
                    disconnected_cb=self._on_down,
                    reconnected_cb=self._on_up,
                    closed_cb=self._on_closed,
                )
            for subject, group, handler in self._listeners:
                await _subscribe(client, subject, handler, group)
        except (NatsError, OSError, TimeoutError) as error:
            with contextlib.suppress(NatsError, OSError):
                await client.close()
            reason = self._last_error or str(error) or "no answer"
            raise BrokerAway(f"no broker at {self._address.url}: {reason}") from error
        self._up.set()

    async def _on_error(self, error: Exception) -> None:
        # A connection that breaks may be how the server ends it after it gave its reason: the reason is worth more.
        if not self._last_error or not isinstance(error, OSError | UnexpectedEOF):
            self._last_error = str(error) or type(error).__name__
        _LOG.debug("broker connection: %s", self._last_error)

    async def _on_up(self) -> None:
        self._up.set()

    async def _on_down(self) -> None:
        """End what waits for an answer of this connection: none will come."""
        self._up.clear()
        for limit in tuple(self._limits):
            with contextlib.suppress(RuntimeError):  # it has ended this moment
                limit.reschedule(asyncio.get_running_loop().time())

    async def _on_closed(self) -> None:
        """The client has given up for good (e.g. the server broke the protocol): begin again."""
        self._up.clear()
        if not self._closing:
            self.spawn(self._open_again())

    async def _open_again(self) -> None:
        while not self._closing:
            await asyncio.sleep(PAUSE)
            with contextlib.suppress(BrokerAway):
                await self.open()
                return

    async def close(self) -> None:
        """Hand over what is still to be sent, as far as the broker is there, and leave."""
        self._closing = True
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=1)
        for task in tuple(self._tasks):
            task.cancel()
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            if self._client.is_connected:
                await self._client.flush(timeout=1)
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            await self._client.close()
        self._up.clear()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` beside; it is waited for, shortly, when the link closes."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closing

    @contextlib.asynccontextmanager
    async def _within(self, seconds: float) -> AsyncGenerator[Client]:
        """The connected client; TimeoutError after ``seconds``, or at once when the connection is lost inside."""
        if self._closing:
            raise BrokerAway("the connection to the broker was closed")
        async with asyncio.timeout(seconds) as limit:
            if not self._client.is_connected:  # it knows before it tells us
                self._up.clear()
            await self._up.wait()
            self._limits.add(limit)
            try:
                yield self._client
            finally:
                self._limits.discard(limit)

    # ------------------------------------------------------------ requests

    async def request(
        self,
        subject: str,
        data: bytes,
        *,
        wait: float = PATIENCE,
        headers: dict[str, str] | None = None,
        what: str = "broker",
    ) -> Msg:
        """Send and wait for the answer, again after a reconnection: only for what may be repeated.

        Raises :class:`Missing` when nobody listens, :class:`BrokerAway` after ``wait`` seconds.
        """
        end = time.monotonic() + wait
        while True:
            left = end - time.monotonic()
            try:
                with _seam(what):
                    async with self._within(left) as client:
                        return await client.request(subject, data, timeout=left + 1, headers=headers)
            except Refused:
                raise
            except BrokerAway:
                if self._closing or time.monotonic() >= end:
                    raise
                await asyncio.sleep(_BREATH)

    async def api(self, call: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call JetStream's API. Raises :class:`Missing`, :class:`Refused`, :class:`BrokerAway`."""
        answer = await self.request(f"$JS.API.{call}", json.dumps(body).encode(), what=call)
        return _unwrap(answer, call)

    async def store(self, subject: str, data: bytes, id: str = "") -> None:
        """Publish into a stream; returns once it is stored. Raises like :meth:`api`."""
        headers = {"Nats-Msg-Id": id} if id else None
        answer = await self.request(subject, data, headers=headers, what="publish")
        _unwrap(answer, "publish")

    async def send(self, subject: str, data: bytes, reply_wait: float = PATIENCE) -> None:
        """Publish to whoever listens now; returns when the broker has it."""
        with _seam("publish"):
            async with self._within(reply_wait) as client:
                await client.publish(subject, data)
                await client.flush(timeout=cast("int", reply_wait))

    def hint(self, subject: str, data: bytes) -> None:
        """Publish when that is possible; nobody waits for it and nobody minds when it is lost."""
        if self._client.is_connected:
            self.spawn(self._hint(self._client, subject, data))

    async def _hint(self, client: Client, subject: str, data: bytes) -> None:
        with contextlib.suppress(NatsError, OSError):
            await client.publish(subject, data)

    async def respond(self, question: Msg, data: bytes, headers: dict[str, str] | None = None) -> None:
        """Answer a request; lost when the connection is: who asked asks again."""
        with contextlib.suppress(NatsError, OSError):
            await self._client.publish(question.reply, data, headers=headers)

    async def listen(self, subject: str, handler: Handler, group: str = "") -> None:
        """Call ``handler`` for each message, now and after every reconnection; one of ``group`` if it is named."""
        with _seam("subscribe"):
            async with self._within(PATIENCE) as client:
                await _subscribe(client, subject, handler, group)
                await client.flush(timeout=cast("int", PATIENCE))
        self._listeners.append((subject, group, handler))

    # ------------------------------------------------------------ messages under a lease

    async def pull(self, stream: str, consumer: str, limit: int, wait: float) -> list[Msg]:
        """Up to ``limit`` messages: as soon as there is one, with what else is there; an empty list after ``wait``.

        A reconnection in between is bridged. Raises :class:`Missing` at once when the consumer does not exist, and
        :class:`BrokerAway` when the broker was away at the end of ``wait``.
        """
        end = time.monotonic() + wait
        if limit > 1 or wait <= 0:
            with contextlib.suppress(_ConnectionLost):
                if found := await self._pull_once(stream, consumer, limit, None, max(wait, 1.0)):
                    return found
        while (left := end - time.monotonic()) > 0:
            try:
                found = await self._pull_once(stream, consumer, 1, min(left, LONGEST_PULL), left)
            except _ConnectionLost:
                await asyncio.sleep(_BREATH)
                continue
            if found:
                return found + await self._more(stream, consumer, limit - 1, found)
        if not self._client.is_connected:
            raise BrokerAway("pull: the connection is lost")
        return []

    async def _more(self, stream: str, consumer: str, limit: int, found: list[Msg]) -> list[Msg]:
        """What else is there now; ``found`` goes back when the caller leaves meanwhile."""
        if limit < 1:
            return []
        try:
            return await self._pull_once(stream, consumer, limit, None, 1.0)
        except BrokerAway:
            return []
        except BaseException:
            for message in found:
                self.hint(message.reply, GIVE_BACK)
            raise

    async def _pull_once(
        self, stream: str, consumer: str, count: int, expires: float | None, patience: float
    ) -> list[Msg]:
        """One request for ``count`` messages: what is there now, or what comes until ``expires``.

        The server answers with each message and, when it ends the request before ``count``, with a status. So no
        message can come after a normal end, and nothing waits in a forgotten inbox until its lease runs out.
        """
        call = {"batch": count, "no_wait": True}
        if expires is not None:
            call = {"batch": count, "expires": int(expires * 1e9)}
        with _seam("pull"):
            async with self._within(patience) as client:
                inbox = _Inbox(client)
        try:
            with _seam("pull"):
                # A server that hangs says nothing: one second more than agreed, and we ask again.
                async with self._within((expires or 0.0) + 1.0):
                    await inbox.open()
                    subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
                    await inbox.client.publish(subject, json.dumps(call).encode(), reply=inbox.subject)
                    await inbox.fill(count)
                    await inbox.close()
        except Missing:
            self.spawn(inbox.close())
            raise
        except BrokerAway as away:
            self.spawn(inbox.give_back())
            raise _ConnectionLost(str(away)) from away
        except BaseException:
            self.spawn(inbox.give_back())
            raise
        return inbox.found


class _ConnectionLost(BrokerAway):
    """A request for messages was cut off; it may be made again."""


class _Inbox:
    """Where the answers to one request for messages arrive."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.subject = client.new_inbox()
        self.found: list[Msg] = []
        self._queue: asyncio.Queue[Msg] = asyncio.Queue()
        self._subscription: Subscription | None = None

    async def open(self) -> None:
        """Begin to receive."""
        self._subscription = await _subscribe(self.client, self.subject, self._take)

    async def _take(self, message: Msg) -> None:
        self._queue.put_nowait(message)

    async def fill(self, count: int) -> None:
        """Wait for ``count`` messages or the end of the request. Raises :class:`Missing`."""
        while len(self.found) < count:
            message = await self._queue.get()
            if message.reply:
                self.found.append(message)
                continue
            headers = message.headers or {}
            status, words = headers.get("Status", ""), headers.get("Description", "")
            if status == "100":  # the server is alive and has nothing
                continue
            if self.found:
                return
            if status == "503" or "Consumer Deleted" in words:
                raise Missing(words or "no such consumer")
            if status not in {"404", "408"}:  # e.g. a new leader in a cluster: ask again, not at once
                await asyncio.sleep(PAUSE)
            return

    async def close(self) -> None:
        """Forget the inbox after the normal end of its request."""
        if self._subscription:
            with contextlib.suppress(NatsError, OSError):
                await self._subscription.unsubscribe()

    async def give_back(self) -> None:
        """Withdraw an abandoned request, and return what was on its way to us, so that nobody waits for its lease.

        What the server is just routing when the request is withdrawn goes nowhere: that comes back with its lease.
        """
        if self._subscription:
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                await self._subscription.drain()
        while not self._queue.empty():
            self.found.append(self._queue.get_nowait())
        for message in self.found:
            if message.reply:
                with contextlib.suppress(NatsError, OSError):
                    await self.client.publish(message.reply, GIVE_BACK)


def _unwrap(answer: Msg, what: str) -> dict[str, Any]:
    body = cast("dict[str, Any]", json.loads(answer.data))
    if error := body.get("error"):
        number, words = int(error.get("err_code", 0)), str(error.get("description", "refused"))
        kind = Missing if error.get("code") == 404 else Refused
        raise kind(f"{what}: {words}", number)
    return body
