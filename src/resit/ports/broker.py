"""The broker as workers and control planes see it: leases, redelivery and back-pressure are its work, not ours."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


class BrokerAway(Exception):
    """The broker can't be reached or does not answer in time; try again later. Nothing was lost."""


class Delivery(Protocol):
    """One message under a lease: it comes back, here or elsewhere, unless it is renewed or settled in time."""

    @property
    def subject(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def deliveries(self) -> int:
        """How often this message has been delivered, this time included (1 = first)."""
        ...

    async def renew(self) -> None:
        """Extend the lease; called with progress, several times within its length."""
        ...

    async def done(self) -> None:
        """Settle: the message is gone for good (waits for the broker's word)."""
        ...

    async def give_back(self, delay: float = 0.0) -> None:
        """End the lease now; the message is delivered again after ``delay`` seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """The name of a unit of work: ``kind`` is ``plan`` or ``shard``; ``number`` is the lane of a shard (from 1)."""

    kind: str
    run: int
    number: int = 0


class WorkerBroker(Protocol):
    """The broker as a worker of one pool sees it."""

    async def jobs(self, limit: int, wait: float) -> Sequence[tuple[Job, Delivery]]:
        """Up to ``limit`` jobs of the pool; an empty list after ``wait`` seconds without any."""
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
        """Call ``handler`` with the run's number whenever a run is cancelled (or superseded)."""
        ...

    async def close(self) -> None: ...


class ControlBroker(Protocol):
    """The broker as a control plane sees it."""

    async def publish_job(self, pool: str, job: Job, data: bytes) -> None:
        """Hand out a job; harmless when the broker already holds it. Raises :class:`BrokerAway`."""
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

    async def open_batches(self, pool: str, run: int, lanes: int) -> None:
        """Make the consumer of a run's batches, with at most ``lanes`` of them out at once; idempotent."""
        ...

    async def purge(self, pool: str, run: int) -> None:
        """Take back all work of a run (jobs, batches, the consumer of its batches); idempotent."""
        ...

    async def cancel(self, run: int) -> None:
        """Tell every worker to stop the run."""
        ...

    async def events(self, limit: int, wait: float) -> Sequence[Delivery]:
        """The next messages of any run's events, at most ``limit``; settle them after the commit."""
        ...

    async def answer(self, question: str, handler: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer what workers ask; with several control planes one of them answers."""
        ...

    async def close(self) -> None: ...
