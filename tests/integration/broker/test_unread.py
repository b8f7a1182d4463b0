"""What a control plane can tell of its broker, for those who watch."""

import asyncio
from pathlib import Path

import pytest

from resit.ports import BrokerAway
from resit.ports.broker import Unread
from resit.testing.brokers import Stage, play


def test_what_nobody_has_taken_is_counted_until_it_is_settled(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker = await stage.worker()
        assert await stage.control.unread() == Unread(0, 0.0)
        for n in range(3):
            await worker.publish(1, b"e", f"{n}")
        await asyncio.sleep(0.05)
        found = await stage.control.unread()
        assert found.messages == 3
        assert 0.05 <= found.oldest_seconds < 5
        for delivery in await stage.control.events(10, 1):
            await delivery.done()
        assert await stage.control.unread() == Unread(0, 0.0)

    play(tmp_path, scene, lease=10)


def test_connections_that_come_back_are_counted(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        assert (stage.control.connected, stage.control.reconnects) == (True, 0)
        await stage.kill_server()
        async with asyncio.timeout(10):
            while stage.control.connected:
                await asyncio.sleep(0.01)
        with pytest.raises(BrokerAway):
            await stage.control.unread()
        await stage.server.start(stage.data)
        async with asyncio.timeout(10):
            while not stage.control.connected:
                await asyncio.sleep(0.01)
        await stage.control.unread()
        assert stage.control.reconnects >= 1

    play(tmp_path, scene)
