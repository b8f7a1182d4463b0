"""One message under a lease."""

import contextlib
import json

from nats.aio.msg import Msg

from resit.broker import subjects
from resit.broker.link import GIVE_BACK, Link, Missing


class NatsDelivery:
    """Implements :class:`resit.ports.Delivery`."""

    def __init__(self, link: Link, message: Msg) -> None:
        self._link = link
        self._reply = message.reply
        self._subject = message.subject
        self._data = message.data
        metadata = message.metadata
        self._deliveries = metadata.num_delivered
        self._stored_at = metadata.timestamp.timestamp()

    @property
    def subject(self) -> str:
        """The subject under which it was published."""
        return self._subject

    @property
    def pool(self) -> str:
        """The pool in its subject, under which only workers of that pool and control planes may publish."""
        return subjects.pool_of(self._subject)

    @property
    def stored_at(self) -> float:
        """When the broker stored it, in seconds since the epoch."""
        return self._stored_at

    @property
    def data(self) -> bytes:
        """What was published."""
        return self._data

    @property
    def deliveries(self) -> int:
        """How often it has been delivered, this time included; a delivery that was given back counts too."""
        return self._deliveries

    async def renew(self) -> None:
        """Extend the lease by its full length; never raises: without a broker the lease just runs out."""
        self._link.hint(self._reply, b"+WPI")

    async def done(self, *, wait: bool = True) -> None:
        """Settle; returns once the broker has noted it, or when there is nothing left to settle.

        Raises :class:`~resit.ports.BrokerAway`: then the message comes back. ``wait`` False: never raises, and the
        message comes back when the connection is lost just now.
        """
        if not wait:
            self._link.hint(self._reply, b"+ACK")
            return
        with contextlib.suppress(Missing):  # purged with its consumer, or the broker's store was deleted
            await self._link.request(self._reply, b"+ACK", what="settle")

    async def give_back(self, delay: float = 0.0) -> None:
        """End the lease; never raises: without a broker the lease just runs out."""
        after = b" " + json.dumps({"delay": int(delay * 1e9)}).encode() if delay > 0 else b""
        self._link.hint(self._reply, GIVE_BACK + after)
