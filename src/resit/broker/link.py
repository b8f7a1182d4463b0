"""One connection to the broker. Every error of the NATS client ends here and leaves as :class:`BrokerAway`."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, cast

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError, NoRespondersError, UnexpectedEOF

from resit.broker.address import Address
from resit.broker.client import Client
from resit.ports import BrokerAway

PATIENCE = 5.0
"""Seconds that a request waits for its answer, a reconnection in between included."""
CONNECT_SECONDS = 10.0
"""Seconds that the first connection may take, in which the broker may still be starting."""
PAUSE = 0.25
"""Seconds between two tries to reach or repair something that is not there."""

GIVE_BACK = b"-NAK"
"""The word that ends a lease early."""

BREATH = 0.01
"""Seconds between two tries after a lost connection, so that no loop is ever tight."""
LONGEST_REFUSED = 5.0
"""Seconds between two tries of who is not let in, at most: each asks a control plane, and nothing may change soon."""

_PING_SECONDS = 5
_LOG = logging.getLogger(__name__)


class _Harmless(logging.Filter):
    """nats-py upgrades connections to TLS in a way of which asyncio complains at the end of each."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "eof_received() has no effect when using ssl" not in record.msg


logging.getLogger("asyncio").addFilter(_Harmless())

Handler = Callable[[Msg], Awaitable[None]]


class Refused(BrokerAway):
    """The broker answered, and the answer was no. ``number`` is the error number of JetStream, 0 when unknown."""

    def __init__(self, message: str, number: int = 0) -> None:
        super().__init__(message)
        self.number = number


class Missing(Refused):
    """The stream or consumer does not exist (any more), or nobody listens on a subject."""


@contextlib.contextmanager
def seam(what: str):
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


async def subscribe(client: Client, subject: str, handler: Handler, group: str = "") -> Subscription:
    """Call ``handler`` for each message; one of ``group`` if it is named."""
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
        self._refused = 0
        self.times_up = 0
        """How often the connection was made: what a former one had asked for is lost."""
        self._listeners: list[tuple[str, str, Handler]] = []
        self._limits: set[asyncio.Timeout] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------ the connection

    async def open(self, within: float = CONNECT_SECONDS) -> None:
        """Connect; the broker may still be starting. Raises :class:`BrokerAway` after ``within`` seconds."""
        client = self._client = Client()
        self._last_error = ""
        try:
            tls = self._address.tls()
            async with asyncio.timeout(within):
                await client.connect(
                    servers=self._address.servers,
                    user=self._address.user or None,
                    password=self._address.password or None,
                    token=self._address.token or None,
                    tls=tls,
                    # Else the server's first words, in clear text, would decide whether we speak TLS at all.
                    tls_handshake_first=tls is not None,
                    inbox_prefix=self._address.inbox.encode(),
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
                await subscribe(client, subject, handler, group)
        except (NatsError, OSError, TimeoutError) as error:
            with contextlib.suppress(NatsError, OSError):
                await client.close()
            reason = self._last_error or str(error) or "no answer"
            raise BrokerAway(f"no broker at {self._address.url}: {reason}") from error
        await self._on_up()

    async def _on_error(self, error: Exception) -> None:
        # A connection that breaks may be how the server ends it after it gave its reason: the reason is worth more.
        if not self._last_error or not isinstance(error, OSError | UnexpectedEOF):
            self._last_error = str(error) or type(error).__name__
        if "permissions violation" in str(error).lower():
            _LOG.warning("broker: %s", error)
            return
        _LOG.debug("broker connection: %s", self._last_error)
        if "authorization" in str(error).lower():
            self._refused += 1
            await asyncio.sleep(min(PAUSE * 2 ** (self._refused - 1), LONGEST_REFUSED))  # the client waits for us

    async def _on_up(self) -> None:
        self._refused = 0
        self.times_up += 1
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
        if self._tasks and self._client.is_connected:
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
    def connected(self) -> bool:
        """Whether the broker can be reached now."""
        return self._client.is_connected

    @property
    def refused(self) -> bool:
        """Whether the broker is there and does not let us in."""
        return self._refused > 0 and not self._client.is_connected

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closing

    @contextlib.asynccontextmanager
    async def within(self, seconds: float) -> AsyncGenerator[Client]:
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
                with seam(what):
                    async with self.within(left) as client:
                        return await client.request(subject, data, timeout=left + 1, headers=headers)
            except Refused:
                raise
            except BrokerAway:
                if self._closing or time.monotonic() >= end:
                    raise
                await asyncio.sleep(BREATH)

    async def api(self, call: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call JetStream's API. Raises :class:`Missing`, :class:`Refused`, :class:`BrokerAway`."""
        answer = await self.request(f"$JS.API.{call}", json.dumps(body).encode(), what=call)
        return _unwrap(answer, call)

    async def store(self, subject: str, data: bytes, headers: dict[str, str]) -> None:
        """Publish into a stream; returns once it is stored. Raises like :meth:`api`.

        At least one of ``headers`` is needed: a message of nothing at all would tell the server, on its way to another
        account, that no further message follows.
        """
        answer = await self.request(subject, data, headers=headers, what="publish")
        _unwrap(answer, "publish")

    async def send(self, subject: str, data: bytes, headers: dict[str, str] | None = None) -> None:
        """Publish to whoever listens now; returns when the broker has it. Raises :class:`BrokerAway`."""
        with seam("publish"):
            async with self.within(PATIENCE) as client:
                await client.publish(subject, data, headers=headers)
                await client.flush(timeout=cast("int", PATIENCE))

    async def gather(self, subject: str, data: bytes, quiet: float) -> list[Msg]:
        """Send, and all the answers, until none has come for ``quiet`` seconds. Raises :class:`BrokerAway`."""
        answers: asyncio.Queue[Msg] = asyncio.Queue()
        with seam("gather"):
            async with self.within(PATIENCE) as client:
                inbox = client.new_inbox()
                subscription = await subscribe(client, inbox, answers.put)
                found: list[Msg] = []
                try:
                    await client.publish(subject, data, reply=inbox)
                    with contextlib.suppress(TimeoutError):
                        while True:
                            async with asyncio.timeout(quiet):
                                found.append(await answers.get())
                finally:
                    await subscription.unsubscribe()
        return found

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
        with seam("subscribe"):
            async with self.within(PATIENCE) as client:
                await subscribe(client, subject, handler, group)
                await client.flush(timeout=cast("int", PATIENCE))
        self._listeners.append((subject, group, handler))


def _unwrap(answer: Msg, what: str) -> dict[str, Any]:
    body = cast("dict[str, Any]", json.loads(answer.data))
    if error := body.get("error"):
        number, words = int(error.get("err_code", 0)), str(error.get("description", "refused"))
        kind = Missing if error.get("code") == 404 else Refused
        raise kind(f"{what}: {words}", number)
    return body
