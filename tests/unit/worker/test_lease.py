"""Whether work gets on, and what that means for what a worker holds."""

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.plugin import Limits
from resit.ports import BrokerAway, Delivery
from resit.worker import lease
from resit.worker.lease import START_SECONDS, Held, Lease, Pulse

SECONDS = st.floats(0, 1e6, allow_nan=False)
LIMITS = st.one_of(st.just(0.0), st.floats(1, 1e5))


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(stall=LIMITS, total=LIMITS, silent=SECONDS, grace=st.floats(0, 100))
def test_work_is_overdue_when_one_of_its_limits_is_over_for_so_long(
    stall: float, total: float, silent: float, grace: float
) -> None:
    time = Time()
    pulse = Pulse(time)
    pulse.begin(Limits(stall, total))
    time.now = silent
    late = 0 < total < silent - grace or (stall > 0 and max(stall, START_SECONDS) < silent - grace)
    assert bool(pulse.overdue(grace)) == late
    pulse.beat()
    assert bool(pulse.overdue(grace)) == (0 < total < silent - grace)
    pulse.rest()
    assert not pulse.overdue(grace)


class Message:
    """In place of the broker's: what happened to it."""

    subject = "batches.default.1.1"

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.did: list[str] = []

    def _do(self, what: str) -> None:
        if self.away:
            raise BrokerAway("not here")
        self.did.append(what)

    async def renew(self) -> None:
        self._do("renew")

    async def done(self, *, wait: bool = True) -> None:
        self._do("done")

    async def give_back(self, delay: float = 0.0) -> None:
        self._do(f"back {delay:g}")


def held(message: Message, pulse: Pulse | None = None) -> Lease:
    return Lease(cast("Delivery", message), pulse or Pulse())


def test_a_lease_is_renewed_while_the_work_gets_on() -> None:
    message, time = Message(), Time()
    pulse = Pulse(time)
    one = held(message, pulse)
    pulse.begin(Limits(total=30))
    time.now = 39
    asyncio.run(one.renew())
    time.now = 41
    asyncio.run(one.renew())
    assert message.did == ["renew"]


def test_what_is_no_longer_ours_is_not_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    message = Message()
    one = held(message)
    asyncio.run(one.settle(back=True, delay=2))
    later = one.renewed_at + 11
    monkeypatch.setattr(lease.time, "monotonic", lambda: later)
    assert one.lapsed
    asyncio.run(one.settle(back=False))
    assert message.did == ["back 2"]
    asyncio.run(one.renew())
    asyncio.run(one.settle(back=False))
    assert message.did == ["back 2", "renew", "done"]


def test_a_broker_that_is_away_renews_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    message = Message(away=True)
    one = held(message)
    later = one.renewed_at + 11
    monkeypatch.setattr(lease.time, "monotonic", lambda: later)
    asyncio.run(one.renew())
    assert one.lapsed
    one.renewed_at = later
    asyncio.run(one.settle(back=False))  # its lease will end
    assert message.did == []


def test_a_worker_speaks_for_attempts_that_get_on(monkeypatch: pytest.MonkeyPatch) -> None:
    del monkeypatch
    time = Time()
    fine, stuck = Pulse(time), Pulse(time)
    all: dict[str, Any] = {"b": fine, "a": fine, "c": stuck}
    one = Held(claims=all)
    stuck.begin(Limits(stall=20))
    time.now = 31
    assert one.living() == ["a", "b"]
    one.forgive()  # the whole worker stood still: nobody's silence means anything
    assert one.living() == ["a", "b", "c"]
