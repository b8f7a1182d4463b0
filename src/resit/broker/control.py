"""The broker as a control plane sees it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Self

from nats.aio.msg import Msg

from resit.broker import connections, subjects, words
from resit.broker.address import Address
from resit.broker.callout import Callout, user_of
from resit.broker.configuration import WORKERS
from resit.broker.delivery import NatsDelivery
from resit.broker.link import CONNECT_SECONDS, PAUSE, Link, Missing, Refused
from resit.broker.nkeys import Issuer
from resit.broker.pull import pull
from resit.broker.streams import ACK_WAIT, COPIES, EVENTS_ACK_WAIT, Streams
from resit.domain.errors import Unavailable
from resit.ports import BrokerAway, Delivery, Gate, Job, Urgency
from resit.ports.broker import Unread

RIGHTS_SECONDS = 3600.0
"""How long the rights of a worker's connection last where :meth:`NatsControlBroker.disconnect` can end it before."""
SHORT_RIGHTS_SECONDS = 60.0
"""How long they last where it can't: so late, at most, a revoked credential loses its connections."""
AGAIN_SECONDS = 1.0
"""When connections are ended a second time: those that were let in at the very moment of the revocation."""
_HELD_ALREADY = 10077
"""JetStream's error number of a message that could not be stored; one reason is that the subject is taken."""
_LOG = logging.getLogger(__name__)


class NatsControlBroker:
    """Implements :class:`resit.ports.ControlBroker`."""

    def __init__(self, link: Link, streams: Streams, issuer: Issuer | None, workers: str, system: Link | None) -> None:
        self._link = link
        self._streams = streams
        self._issuer = issuer
        self._workers = workers
        self._system = system
        self._watch: asyncio.Task[None] | None = None
        self.doubted = asyncio.Event()
        """Set by :meth:`doubt`; who looks after the broker clears it."""

    @classmethod
    async def connect(
        cls,
        address: Address,
        *,
        issuer: Issuer | None = None,
        workers: str = WORKERS,
        system: Address | None = None,
        name: str = "resit-control",
        ack_wait: float = ACK_WAIT,
        events_ack_wait: float = EVENTS_ACK_WAIT,
        replicas: int = COPIES,
        within: float = CONNECT_SECONDS,
    ) -> Self:
        """Connect as a control plane. Raises :class:`BrokerAway` when that fails for ``within`` seconds.

        ``issuer``: the key that the broker's configuration names for its callout; None: no worker of another machine
        is let in. ``workers``: the account where they are to be. ``system``: a user of the broker's system account;
        None: connections can't be ended at once.
        ``replicas``: copies of each stream, as far as there are servers for them.
        """
        link = Link(address, name)
        broker = cls(
            link,
            Streams(link, ack_wait, events_ack_wait, replicas),
            issuer,
            workers,
            Link(system, f"{name}-system") if system else None,
        )
        end = time.monotonic() + within
        await link.open(within)
        try:
            if broker._system:
                await broker._system.open(within)
            while True:  # a cluster that has just been started answers when it has chosen its leader
                try:
                    await broker._streams.begin()
                    break
                except BrokerAway:
                    if time.monotonic() >= end:
                        raise
                    await asyncio.sleep(PAUSE)
        except BaseException:
            await broker.close()
            raise
        broker._watch = asyncio.create_task(broker._streams.watch(), name="streams of the broker")
        return broker

    # ------------------------------------------------------------ work

    async def ensure_pool(self, pool: str) -> None:
        """Make what workers of the pool need, now and again whenever the broker has lost it; idempotent.

        Raises :class:`BrokerAway`; ValueError for a name with other characters than a-z, 0-9 and '-'.
        """
        await self._streams.pool(pool)

    async def _hand_out(self, pool: str, subject: str, data: bytes) -> None:
        """Store work under its own subject. No message id: work that was settled may be handed out again at once."""
        await self._streams.know(pool)
        try:
            try:
                await self._link.store(subject, data, words.WORK)
            except Missing:
                await self._streams.lost(pool)
                await self._link.store(subject, data, words.WORK)
        except Refused as refused:
            if refused.number != _HELD_ALREADY or "per subject" not in str(refused):
                raise

    async def publish_job(self, pool: str, job: Job, data: bytes, urgency: Urgency = Urgency.NORMAL) -> None:
        """Hand out a job; harmless when the broker already holds it with this urgency.

        Raises :class:`BrokerAway`; ValueError for a pool or kind with other characters than a-z, 0-9 and '-'.
        """
        await self._hand_out(pool, subjects.job(pool, job, urgency), data)

    async def publish_batch(self, pool: str, run: int, number: int, data: bytes) -> None:
        """Hand out a batch; harmless when the broker already holds it. Raises :class:`BrokerAway`, ValueError."""
        await self._hand_out(pool, subjects.batch(pool, run, number), data)

    async def held(self, pool: str, run: int) -> tuple[set[Job], set[int]]:
        """The jobs and the batch numbers of a run that the broker holds, delivered or not.

        Raises :class:`BrokerAway`.
        """
        jobs = await self._subjects_in(subjects.jobs_stream(pool), subjects.run_jobs(pool, run))
        batches = await self._subjects_in(subjects.batches_stream(pool), subjects.run_batches(pool, run))
        return {subjects.parse_job(s) for s in jobs}, {subjects.parse_batch(s) for s in batches}

    async def held_in(self, pool: str) -> dict[int, tuple[set[Job], set[int]]]:
        """The same for all runs of a pool at once; one that is not named holds nothing. Raises :class:`BrokerAway`."""
        found: dict[int, tuple[set[Job], set[int]]] = {}
        for subject in await self._subjects_in(subjects.jobs_stream(pool), subjects.pool_jobs(pool)):
            job = subjects.parse_job(subject)
            found.setdefault(job.run, (set(), set()))[0].add(job)
        for subject in await self._subjects_in(subjects.batches_stream(pool), subjects.pool_batches(pool)):
            run, number = subjects.parse_run_batch(subject)
            found.setdefault(run, (set(), set()))[1].add(number)
        return found

    async def _subjects_in(self, stream: str, pattern: str) -> set[str]:
        found: set[str] = set()
        while True:
            call = {"subjects_filter": pattern, "offset": len(found)}
            try:
                info = await self._link.api(f"STREAM.INFO.{stream}", call)
            except Missing:
                return set()
            page: dict[str, int] = info["state"].get("subjects") or {}
            found.update(page)
            if not page or len(found) >= int(info.get("total", 0)):
                return found

    async def open_batches(self, pool: str, run: int, lanes: int, *, anew: bool = False) -> None:
        """Make the consumer of a run's batches, with at most ``lanes`` of them out at once; idempotent.

        Called again with another number it changes the limit. ``anew``: from nothing, so that it hands out again
        whatever is not done, also what is out now. Raises :class:`BrokerAway`.
        """
        await self._streams.know(pool)
        if anew:
            with contextlib.suppress(Missing):
                await self._link.api(
                    f"CONSUMER.DELETE.{subjects.batches_stream(pool)}.{subjects.run_consumer(run)}", {}
                )
        try:
            await self._streams.run(pool, run, lanes)
        except Missing:
            await self._streams.lost(pool)
            await self._streams.run(pool, run, lanes)

    async def purge(self, pool: str, run: int) -> None:
        """Take back all work of a run, of whatever urgency, and the consumer of its batches; idempotent.

        Raises :class:`BrokerAway`.
        """
        jobs, batches = subjects.jobs_stream(pool), subjects.batches_stream(pool)
        for call, body in (
            (f"STREAM.PURGE.{jobs}", {"filter": subjects.run_jobs(pool, run)}),
            (f"CONSUMER.DELETE.{batches}.{subjects.run_consumer(run)}", {}),
            (f"STREAM.PURGE.{batches}", {"filter": subjects.run_batches(pool, run)}),
        ):
            with contextlib.suppress(Missing):
                await self._link.api(call, body)

    # ------------------------------------------------------------ words

    async def cancel(self, pool: str, run: int) -> None:
        """Tell every worker of the pool that is connected now to stop the run. Raises :class:`BrokerAway`."""
        await words.say(self._link, subjects.cancel(pool, run), b"")

    async def tell(self, pool: str, address: str, data: bytes) -> None:
        """Tell the worker that listens at ``address``, if it is connected. Raises :class:`BrokerAway`, ValueError."""
        await words.say(self._link, subjects.tell(pool, address), data)

    async def signal(self, data: bytes) -> None:
        """Tell every control plane that is connected now, this one too. Raises :class:`BrokerAway`."""
        await words.say(self._link, subjects.SIGNAL, data)

    async def on_signal(self, handler: Callable[[bytes], None]) -> None:
        """Call ``handler`` with what any control plane signals. Raises :class:`BrokerAway`."""

        def told(message: Msg) -> None:
            handler(message.data)

        await words.listen(self._link, subjects.SIGNAL, told)

    # ------------------------------------------------------------ how it stands

    @property
    def connected(self) -> bool:
        """Whether the broker can be reached now."""
        return self._link.connected

    @property
    def reconnects(self) -> int:
        """How often the connection has come back."""
        return max(0, self._link.times_up - 1)

    async def unread(self) -> Unread:
        """What no control plane has taken yet of what workers say. Raises :class:`BrokerAway`."""
        try:
            info = await self._link.api(f"STREAM.INFO.{subjects.EVENTS}", {})
        except Missing:
            return Unread(0, 0.0)
        messages = int(info["state"]["messages"])
        if not messages:
            return Unread(0, 0.0)
        # Both times are the server's.
        first, now = (datetime.fromisoformat(text) for text in (info["state"]["first_ts"], info["ts"]))
        return Unread(messages, max(0.0, (now - first).total_seconds()))

    # ------------------------------------------------------------ what workers say

    async def events(self, limit: int, wait: float) -> Sequence[Delivery]:
        """The next messages of any run's events, at most ``limit``; settle them after the commit.

        An empty list after ``wait`` seconds without any, or without a broker. Raises :class:`BrokerAway` only after
        :meth:`close`.
        """
        end = time.monotonic() + wait
        while True:
            left = max(0.0, end - time.monotonic())
            try:
                found = await pull(self._link, subjects.EVENTS, subjects.EVENTS_CONSUMER, limit, left)
                return [NatsDelivery(self._link, message) for message in found if self._is_event(message)]
            except Missing:
                with contextlib.suppress(BrokerAway):
                    await self._streams.lost_events()
            except BrokerAway:
                if self._link.closed:
                    raise
            if (left := end - time.monotonic()) <= 0:
                return []
            await asyncio.sleep(min(PAUSE, left))

    def _is_event(self, message: Msg) -> bool:
        """Whether a worker has published it; else it is an answer that somebody let the server give there."""
        if words.ID in (message.headers or {}):
            return True
        _LOG.warning("a message under %s is no event: it is dropped", message.subject)
        self._link.hint(message.reply, b"+ACK")
        return False

    async def answer(self, question: str, handler: Callable[[str, bytes], Awaitable[bytes]]) -> None:
        """Answer what workers ask; with several control planes one of them answers, questions side by side.

        A handler that raises is logged, and the worker is told at once that there is no answer. A pool that is heard of
        here gets its streams.
        """

        async def reply(message: Msg) -> None:
            data, headers = b"", None
            try:
                pool = subjects.pool_of(message.subject)
                self._streams.heard_of(pool)
                data = await handler(pool, message.data)
            except Unavailable as away:
                _LOG.warning("the question %r waits: %s", question, away)
                headers = {words.REFUSAL: type(away).__name__}
            except Exception as error:
                _LOG.exception("the question %r could not be answered", question)
                headers = {words.REFUSAL: type(error).__name__}
            await self._link.respond(message, data, headers)

        async def asked(message: Msg) -> None:
            if words.is_question(message):
                self._link.spawn(reply(message))

        await self._link.listen(subjects.any_ask(question), asked, subjects.CONTROL_GROUP)

    # ------------------------------------------------------------ workers of other machines

    async def guard(self, gate: Gate) -> None:
        """Let workers of other machines in by the word of ``gate``, until :meth:`close`.

        Raises :class:`BrokerAway`, and ValueError without an issuer.
        """
        if not self._issuer:
            raise ValueError("without the key of the broker's callout nobody can be let in")
        valid = RIGHTS_SECONDS if self._system else SHORT_RIGHTS_SECONDS
        came = self._streams.heard_of
        await Callout(self._link, self._issuer, gate, self._workers, valid, came).begin()

    def doubt(self) -> None:
        if not self.doubted.is_set():
            _LOG.warning("the broker answers, but it stores no messages: look at its disk and its log")
        self.doubted.set()

    async def disconnect(self, credential: int) -> None:
        """End the connections that a credential has now: at once by the system account's rights, else they end by
        themselves within :data:`SHORT_RIGHTS_SECONDS`.

        Raises :class:`BrokerAway`.
        """
        if self._system:
            await connections.end(self._system, user_of(credential))
            self._link.spawn(self._disconnect_again(self._system, user_of(credential)))

    async def _disconnect_again(self, system: Link, user: str) -> None:
        await asyncio.sleep(AGAIN_SECONDS)
        with contextlib.suppress(BrokerAway):
            await connections.end(system, user)

    async def close(self) -> None:
        """Leave; leases that were not settled run out."""
        if self._watch:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._system:
            await self._system.close()
        await self._link.close()
