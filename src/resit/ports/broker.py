"""The broker as workers and control planes see it: leases, redelivery and back-pressure are its work, not ours."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class BrokerAway(Exception):
    """The broker can't be reached or does not answer in time; try again later. Nothing was lost."""


class Urgency(StrEnum):
    """Which jobs a free worker takes first. It orders what waits; nothing that runs is interrupted."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class Delivery(Protocol):
    """One message under a lease: it comes back, here or elsewhere, unless it is renewed or settled in time."""

    @property
    def subject(self) -> str: ...
    @property
    def pool(self) -> str:
        """The pool that it belongs to, by the broker's word: a worker can publish for its own pool only."""
        ...

    @property
    def stored_at(self) -> float:
        """When the broker stored it, in seconds since the epoch, by the broker's clock."""
        ...

    @property
    def data(self) -> bytes: ...
    @property
    def deliveries(self) -> int:
        """How often this message has been delivered, this time included (1 = first)."""
        ...

    async def renew(self) -> None:
        """Extend the lease; called with progress, several times within its length."""
        ...

    async def done(self, *, wait: bool = True) -> None:
        """Settle: the message is gone for good. ``wait`` False: not for the broker's word; it may come back then."""
        ...

    async def give_back(self, delay: float = 0.0) -> None:
        """End the lease now; the message is delivered again after ``delay`` seconds."""
        ...


ANEW = "anew"
"""Goes with the order of a consumer: it is made from nothing, and hands out again whatever is not done."""


@dataclass(frozen=True, slots=True)
class Job:
    """The name of a unit of work: ``kind`` is ``plan``, ``shard`` or ``report`` (make the report of a finished run);
    ``number`` is the lane of a shard (from 1)."""

    kind: str
    run: int
    number: int = 0


@dataclass(frozen=True, slots=True)
class Pass:
    """What a credential admits to: the rights of a worker of ``pool``.

    ``credential`` is its number, by which its connections can be ended (:meth:`ControlBroker.disconnect`); ``name`` is
    for people. ``expires_at``: seconds since the epoch, None for no end.
    """

    pool: str
    credential: int
    name: str
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """Messages with events of workers that are not settled, and how long the broker has had the oldest (0: none)."""

    messages: int
    oldest_seconds: float


class Gate(Protocol):
    """Who may connect as a worker from another machine."""

    def admit(self, secret: str) -> Pass | None:
        """What the secret that a worker presents admits to; None when it is not valid (unknown, revoked, expired).

        Called in a thread, at each new connection. It may raise: then the worker is refused this time and tries again.
        """
        ...


class WorkerBroker(Protocol):
    """The broker as a worker of one pool sees it."""

    async def jobs(self, limit: int, wait: float) -> Sequence[tuple[Job, Delivery]]:
        """Up to ``limit`` jobs of the pool, urgent ones first; an empty list after ``wait`` seconds without any."""
        ...

    async def batch(self, run: int, wait: float) -> Delivery | None:
        """The next batch of a run, or None when none came within ``wait`` seconds."""
        ...

    async def publish(self, run: int, data: bytes, id: str) -> None:
        """Store events of a run; returns once the broker holds them. ``id`` makes a repetition harmless.

        Raises :class:`BrokerAway`.
        """
        ...

    async def ask(self, question: str, data: bytes, wait: float) -> bytes:
        """Ask the control plane and wait for its answer; nothing of it is stored by the broker.

        Raises :class:`BrokerAway` when no control plane answers in time.
        """
        ...

    async def on_cancel(self, handler: Callable[[int], None]) -> None:
        """Call ``handler`` with the run's number whenever a run of the pool is cancelled (or superseded)."""
        ...

    async def on_told(self, address: str, handler: Callable[[bytes], None]) -> None:
        """Call ``handler`` with what control planes :meth:`~ControlBroker.tell` the ``address``.

        ``address`` is a word of 1 to 64 characters a-z, 0-9, '_' and '-', within the pool; ValueError for another. What
        is told while the worker is not connected is lost. Raises :class:`BrokerAway`.
        """
        ...

    async def close(self) -> None: ...


class ControlBroker(Protocol):
    """The broker as a control plane sees it."""

    @property
    def connected(self) -> bool:
        """Whether the broker can be reached now."""
        ...

    @property
    def reconnects(self) -> int:
        """How often the connection has come back."""
        ...

    async def unread(self) -> Unread:
        """What no control plane has taken yet of what workers say. Raises :class:`BrokerAway`."""
        ...

    async def ensure_pool(self, pool: str) -> None:
        """Make what workers of the pool need (they can't), now and again whenever the broker has lost it; idempotent.

        Raises :class:`BrokerAway`; ValueError for a name with other characters than a-z, 0-9 and '-'.
        """
        ...

    async def publish_job(self, pool: str, job: Job, data: bytes, urgency: Urgency = Urgency.NORMAL) -> None:
        """Hand out a job; harmless when the broker already holds it with this urgency. Raises :class:`BrokerAway`."""
        ...

    async def publish_batch(self, pool: str, run: int, number: int, data: bytes) -> None:
        """Hand out a batch; harmless when the broker already holds it. Raises :class:`BrokerAway`."""
        ...

    async def held(self, pool: str, run: int) -> tuple[set[Job], set[int]]:
        """The jobs and the batch numbers of a run that the broker holds, delivered or not."""
        ...

    async def held_in(self, pool: str) -> dict[int, tuple[set[Job], set[int]]]:
        """The same for all runs of a pool at once, by run; one that is not named holds nothing."""
        ...

    async def open_batches(self, pool: str, run: int, lanes: int, *, anew: bool = False) -> None:
        """Make the consumer of a run's batches, with at most ``lanes`` of them out at once; idempotent.

        ``anew``: from nothing, so that it hands out again whatever is not done, also what is out now.
        """
        ...

    async def purge(self, pool: str, run: int) -> None:
        """Take back all work of a run (jobs, batches, the consumer of its batches); idempotent."""
        ...

    async def cancel(self, pool: str, run: int) -> None:
        """Tell every worker of the run's pool to stop the run. Raises :class:`BrokerAway`."""
        ...

    async def tell(self, pool: str, address: str, data: bytes) -> None:
        """Tell the worker of the pool that listens at ``address``, if it is connected now; nothing is stored.

        Raises :class:`BrokerAway`; ValueError for an address that :meth:`WorkerBroker.on_told` would not take.
        """
        ...

    async def signal(self, data: bytes) -> None:
        """Tell every control plane that is connected now, this one too; nothing is stored.

        Raises :class:`BrokerAway`.
        """
        ...

    async def on_signal(self, handler: Callable[[bytes], None]) -> None:
        """Call ``handler`` with what any control plane, this one too, signals. Raises :class:`BrokerAway`."""
        ...

    async def events(self, limit: int, wait: float) -> Sequence[Delivery]:
        """The next messages of any run's events, at most ``limit``; settle them after the commit."""
        ...

    async def answer(self, question: str, handler: Callable[[str, bytes], Awaitable[bytes]]) -> None:
        """Answer what workers ask; with several control planes one of them answers.

        ``handler`` gets the pool of the worker that asks (the broker's word, not the worker's) and the question's data.
        """
        ...

    async def guard(self, gate: Gate) -> None:
        """Let workers of other machines in by the word of ``gate``, until :meth:`close`.

        With several control planes any one of them is asked.
        Raises :class:`BrokerAway`.
        """
        ...

    def doubt(self) -> None:
        """Messages have not been stored for a while though the broker answers; who keeps it looks after it."""
        ...

    async def disconnect(self, credential: int) -> None:
        """End the connections that a credential has now; :meth:`Gate.admit` must refuse it already.

        Where the broker lets us end connections this is done within 5 seconds; elsewhere they end when the rights
        that were given to them run out. Raises :class:`BrokerAway`.
        """
        ...

    async def close(self) -> None: ...
