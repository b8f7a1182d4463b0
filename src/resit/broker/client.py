"""The NATS client, with a fault of nats-py 2.x mended."""

import asyncio
from typing import cast

from nats.aio.client import Client as NatsClient

__all__ = ["Client"]


class Client(NatsClient):
    """A flush that runs out of time leaves its cancelled future in the list of those that wait for a PONG; when that
    comes after all, nats-py fails to resolve it and never reads from the connection again."""

    async def _process_pong(self) -> None:
        waiting = cast("list[asyncio.Future[bool]]", self._pongs)  # pyright: ignore[reportUnknownMemberType]
        if waiting and waiting[0].done():
            waiting[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()
