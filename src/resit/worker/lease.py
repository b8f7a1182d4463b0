"""What this worker holds, and whether it may go on holding it: a lease is renewed with progress only."""

import logging
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

from resit.domain.attempt import LEASE_SECONDS
from resit.plugin import Limits
from resit.ports import BrokerAway, Delivery

log = logging.getLogger(__name__)
CANCEL_SECONDS = 6.0
"""Work that is over a limit for so long is cancelled: an executor that keeps limits would have ended it by now."""
FORSAKE_SECONDS = 10.0
"""Work that is over a limit for so long counts as dead: somebody else shall have it."""
START_SECONDS = 10.0
"""A limit of silence is at least so long here: processes start, and say nothing meanwhile."""


class Pulse:
    """Whether a piece of work gets on. At rest it has no limits: it waits for others, not for itself."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limits = Limits()
        self._began = self._heard = clock()
        self._parts: set[Pulse] = set()

    def part(self) -> "Pulse":
        """The pulse of a part of the work: while it has limits and is over one, so is the whole."""
        part = Pulse(self._clock)
        self._parts.add(part)
        return part

    def drop(self, part: "Pulse") -> None:
        """A part is done."""
        self._parts.discard(part)

    def begin(self, limits: Limits) -> None:
        """Something begins that has limits."""
        self._limits = limits
        self._began = self._heard = self._clock()

    def rest(self) -> None:
        """What had limits is done."""
        self._limits = Limits()

    def beat(self) -> None:
        """A sign of life."""
        self._heard = self._clock()
        for part in self._parts:
            part.beat()

    def overdue(self, grace: float) -> str:
        """The words for a limit that has been over for ``grace`` seconds; empty while all is well."""
        now, stall, total = self._clock(), self._limits.stall, self._limits.total
        if total > 0 and now - self._began > total + grace:
            return f"it took more than {total:.0f} s"
        if stall > 0 and now - self._heard > max(stall, START_SECONDS) + grace:
            return f"no sign of life for {max(stall, START_SECONDS):.0f} s"
        return next(filter(None, (part.overdue(grace) for part in self._parts)), "")


@dataclass(slots=True)
class Lease:
    """A message that this worker holds, and the pulse of the work that it is for."""

    delivery: Delivery
    pulse: Pulse
    renewed_at: float = field(default_factory=time.monotonic)

    @property
    def lapsed(self) -> bool:
        """True when the message may have gone to somebody else: it is no longer ours to settle."""
        return time.monotonic() - self.renewed_at > LEASE_SECONDS

    async def renew(self) -> None:
        """Hold on to the message, if the work gets on."""
        if words := self.pulse.overdue(FORSAKE_SECONDS):
            log.warning("the lease of %s is not renewed: %s", self.delivery.subject, words)
            return
        try:
            await self.delivery.renew()
        except BrokerAway as away:
            log.info("the broker is away: %s", away)
        else:
            self.renewed_at = time.monotonic()

    async def settle(self, *, back: bool, delay: float = 0.0) -> None:
        """Done with the message, or ``back`` to the broker with it, to be handed out again after ``delay`` seconds."""
        if self.lapsed:
            log.info("%s is left alone: its lease had ended", self.delivery.subject)
            return
        try:
            await (self.delivery.give_back(delay) if back else self.delivery.done())
        except BrokerAway as away:
            log.info("%s could not be settled, its lease will end: %s", self.delivery.subject, away)


@dataclass(slots=True)
class Held:
    """The messages under lease, and the attempts that this worker speaks for."""

    leases: dict[Hashable, Lease] = field(default_factory=dict[Hashable, Lease])
    claims: dict[str, Pulse] = field(default_factory=dict[str, Pulse])

    def living(self) -> list[str]:
        """The attempts that get on, sorted."""
        return sorted(claim for claim, pulse in self.claims.items() if not pulse.overdue(FORSAKE_SECONDS))

    def forgive(self) -> None:
        """This process itself stood still (it was stopped, the machine slept): nobody's silence means anything."""
        for pulse in self._pulses():
            pulse.beat()

    def _pulses(self) -> Iterable[Pulse]:
        yield from (lease.pulse for lease in self.leases.values())
        yield from self.claims.values()
