"""The broker of a control plane: the bundled one, or the cluster that the settings name."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from resit.bootstrap.room import watch_room
from resit.bootstrap.tls import server_tls
from resit.broker import credentials
from resit.broker.address import Address
from resit.broker.callout import own_address
from resit.broker.control import NatsControlBroker
from resit.broker.server import BundledServer, ServerFailed
from resit.config import Settings
from resit.ports import Gate

log = logging.getLogger(__name__)
POOL = "default"
"""What the worker beside a server works for."""
AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Brokered:
    """A control plane's broker, and how workers reach it."""

    control: NatsControlBroker
    local: Address
    """What the worker beside the server presents; it has the rights of its pool."""
    workers_url: str
    """Where workers of other machines connect; empty: they can't."""
    ca_pem: str
    """The authority that they must trust, PEM; empty: one that machines trust anyway."""


@asynccontextmanager
async def brokered(settings: Settings, gate: Gate) -> AsyncGenerator[Brokered]:
    """Connect as a control plane, to a broker of our own unless the settings name another.

    Raises :class:`ServerFailed` when it can't be started or the settings are wrong, :class:`BrokerAway`.
    """
    async with _cluster(settings) if settings.nats_url else _bundled(settings) as found:
        await found.control.ensure_pool(POOL)
        await found.control.guard(gate)
        yield found


@asynccontextmanager
async def _bundled(settings: Settings) -> AsyncGenerator[Brokered]:
    async with AsyncExitStack() as stack:
        try:
            server = BundledServer(tls=server_tls(settings), workers_listen=settings.workers_listen, pool=POOL)
        except ValueError as error:
            raise ServerFailed(str(error)) from error
        await server.start(settings.data)
        stack.push_async_callback(server.stop)
        control = await NatsControlBroker.connect(
            server.control, issuer=server.issuer, system=server.system, replicas=1
        )
        stack.push_async_callback(control.close)
        keeping = asyncio.create_task(_keep(server, settings.data), name="the bundled broker")
        stack.callback(keeping.cancel)
        watch = watch_room(settings.data / "nats", lambda: server.pid, control.doubted)
        watching = asyncio.create_task(watch, name="the broker's disk")
        stack.callback(watching.cancel)
        yield Brokered(control, server.local, server.workers_url, server.ca_pem)


async def _keep(server: BundledServer, data: Path) -> None:
    """Start the bundled broker again when it dies; everything connects again by itself."""
    while True:
        words = await server.ended()
        if words is None:
            return
        log.warning("the bundled broker ended (%s); it is started again", words)
        try:
            await server.start(data)
        except Exception:
            log.exception("the bundled broker does not start; trying again")
            await asyncio.sleep(AGAIN_SECONDS)


@asynccontextmanager
async def _cluster(settings: Settings) -> AsyncGenerator[Brokered]:
    if settings.nats_credentials is None:
        raise ServerFailed("a broker of your own needs a file with its credentials; see docs/howto/nats-cluster.md")
    try:
        found = credentials.read(settings.nats_credentials, settings.nats_url)
    except credentials.BadCredentials as error:
        raise ServerFailed(str(error)) from error
    control = await NatsControlBroker.connect(
        found.control, issuer=found.issuer, workers=found.workers, system=found.system
    )
    try:
        local = own_address(found.control, found.issuer, POOL)
        yield Brokered(control, local, settings.nats_url, found.ca_pem)
    finally:
        await control.close()
