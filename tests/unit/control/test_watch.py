"""How a server stands, for those who watch it."""

import asyncio
from typing import Any, cast

import pytest

from resit.control import watch
from resit.control.watch import Watch, samples
from resit.domain.errors import Unavailable
from resit.ports import BrokerAway, Outgoing
from resit.ports.broker import Unread
from resit.ports.telemetry import METRICS, Gauge
from resit.storage.standing import SqlStandings
from resit.testing.world import World


class Broker:
    """What a watch asks a broker."""

    connected = True
    reconnects = 2
    away = False

    async def unread(self) -> Unread:
        if self.away:
            raise BrokerAway("gone")
        return Unread(3, 1.5)


class Alone:
    """Duties of a control plane that has no others beside it."""

    def planes(self, within: float) -> list[object]:
        return [within]


class Away:
    """A database that does not answer."""

    def standing(self, now: float) -> object:
        raise Unavailable("no database")

    def connections(self) -> tuple[int, int]:
        return 1, 2


def watching(world: World, standings: object, broker: Broker | None) -> Watch:
    told: Any = broker
    return Watch(cast("Any", standings), world.clock, cast("Any", Alone()), lambda: told, lambda: 1000)


def told(made: Watch) -> dict[tuple[str, ...], float]:
    look = asyncio.run(made.look())
    found = {(what.value, *values): value for what, values, value in samples(look)}
    for what, values, _ in samples(look):
        assert len(values) == len(METRICS[what].labels), what
    return found


def test_all_there_is_to_see(world: World) -> None:
    world.project()
    world.trigger()
    found = told(watching(world, SqlStandings(world.engine), Broker()))
    assert found["database_up",] == 1
    assert found["runs_open", "admitted"] == 1
    assert found["broker_connected",] == 1
    assert found["broker_reconnects",] == 2
    assert found["ingest_unread_messages",] == 3
    assert found["ingest_oldest_seconds",] == 1.5
    assert found["disk_free_bytes",] == 1000
    assert found["control_planes",] == 1
    assert {name for name, *_ in found} | {"build_info", "workers", "slots", "slots_busy", "work_waiting"} >= set(Gauge)


def test_of_what_nobody_knows_there_is_nothing(world: World) -> None:
    found = told(watching(world, Away(), None))
    assert found == {
        ("database_up",): 0.0,
        ("database_connections", "used"): 1,
        ("database_connections", "idle"): 2,
        ("broker_connected",): 0.0,
        ("broker_reconnects",): 0,
        ("disk_free_bytes",): 1000,
    }
    broker = Broker()
    broker.away = True
    assert ("ingest_unread_messages",) not in told(watching(world, Away(), broker))


def test_the_age_of_the_outbox_is_that_of_its_first_message(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "KEEP_SECONDS", -1.0)
    time = 100.0
    monkeypatch.setattr(watch.time, "monotonic", lambda: time)
    made = watching(world, SqlStandings(world.engine), None)

    def age() -> float:
        return told(made)["outbox_age_seconds",]

    def post(run: int) -> None:
        with world.store.write() as tx:
            tx.outbox.add(Outgoing(kind="plan", run_id=run, pool="p"))

    assert age() == 0
    post(1)
    assert age() == 0
    post(2)
    time = 107.0
    assert age() == 7
    with world.store.write() as tx:
        tx.outbox.sent([tx.outbox.pending(1)[0].id])
    assert age() == 0
    time = 110.0
    assert age() == 3


def test_several_who_ask_share_a_look(world: World) -> None:
    asked = 0

    class Counting(SqlStandings):
        def standing(self, now: float) -> Any:
            nonlocal asked
            asked += 1
            return super().standing(now)

    async def scene() -> None:
        made = watching(world, Counting(world.engine), Broker())
        await asyncio.gather(*(made.look() for _ in range(10)))

    asyncio.run(scene())
    assert asked == 1
