"""A real broker for tests: a bundled server, control planes and workers that join it."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from resit.broker.address import Address
from resit.broker.control import NatsControlBroker
from resit.broker.server import BundledServer
from resit.broker.worker import NatsWorkerBroker
from resit.ports import BrokerAway, Delivery, Pass

LEASE = 0.5
"""Seconds; short, so that a test sees a lease end."""
POOL = "main"


class Doorkeeper:
    """A gate: whom it lets in is written down."""

    def __init__(self) -> None:
        self.passes: dict[str, Pass] = {}
        self.asked: list[str] = []

    def admit(self, secret: str) -> Pass | None:
        """Whoever is written down."""
        self.asked.append(secret)
        return self.passes.get(secret)

    def write_down(self, secret: str, pool: str, credential: int, expires_at: float | None = None) -> None:
        """Let in from now on."""
        self.passes[secret] = Pass(pool, credential, f"worker {credential}", expires_at)


class Stage:
    """A running server, a control plane and as many workers as a test wants."""

    def __init__(self, server: BundledServer, data: Path) -> None:
        self.server, self.data = server, data
        self.gate = Doorkeeper()
        self.open: list[NatsWorkerBroker | NatsControlBroker] = []
        self.control: NatsControlBroker

    async def worker(self, pool: str = POOL) -> NatsWorkerBroker:
        """The worker beside the server, or one of another machine for another pool."""
        await self.control.ensure_pool(pool)
        if pool != POOL:
            self.gate.write_down(f"secret of {pool}", pool, len(self.gate.passes) + 1)
            return await self.stranger(f"secret of {pool}", pool)
        worker = await NatsWorkerBroker.connect(self.server.local, pool)
        self.open.append(worker)
        return worker

    async def stranger(self, secret: str, pool: str, within: float = 5.0, **address: Any) -> NatsWorkerBroker:
        """A worker of another machine."""
        where = Address(self.server.url, token=secret, ca=self.server.ca_pem)
        worker = await NatsWorkerBroker.connect(replace(where, **address), pool, within=within)
        self.open.append(worker)
        return worker

    async def new_control(self, lease: float = LEASE, *, guarded: bool = True) -> NatsControlBroker:
        """Another control plane."""
        control = await NatsControlBroker.connect(
            self.server.control,
            issuer=self.server.issuer,
            system=self.server.system,
            ack_wait=lease,
            events_ack_wait=lease,
            replicas=1,
        )
        self.open.append(control)
        if guarded:
            await control.guard(self.gate)
        return control

    async def kill_server(self) -> None:
        """SIGKILL; nothing starts it again."""
        ended = asyncio.create_task(self.server.ended())
        os.kill(self.server.pid, signal.SIGKILL)
        if "SIGKILL" not in (await ended or ""):
            raise AssertionError("the server ended otherwise")


@asynccontextmanager
async def staged(data: Path, lease: float = LEASE, **server: Any) -> AsyncGenerator[Stage]:
    """A stage with one control plane."""
    stage = Stage(BundledServer(pool=POOL, **server), data)
    await stage.server.start(data)
    try:
        stage.control = await stage.new_control(lease)
        yield stage
    finally:
        for one in stage.open:
            await one.close()
        await stage.server.stop()


def play(data: Path, scene: Callable[[Stage], Awaitable[None]], lease: float = LEASE, **server: Any) -> None:
    """A scene on a stage, at most 30 seconds long."""

    async def run() -> None:
        async with staged(data, lease, **server) as stage:
            await asyncio.wait_for(scene(stage), 30)

    asyncio.run(run())


async def one(call: Coroutine[Any, Any, Any]) -> Delivery:
    """The first of what is delivered."""
    found = await call
    if not found:
        raise BrokerAway("nothing was delivered")
    return found[0][1] if isinstance(found[0], tuple) else found[0]
