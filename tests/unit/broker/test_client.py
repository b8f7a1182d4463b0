"""The client outlives an answer that nobody waits for any more."""

import asyncio

from resit.broker.client import Client


def test_a_pong_that_nobody_waits_for() -> None:
    async def scene() -> None:
        client = Client()
        late, waits = (asyncio.get_running_loop().create_future() for _ in range(2))
        late.cancel()
        client._pongs = [late, waits]
        await client._process_pong()
        assert not waits.done()
        await client._process_pong()
        assert waits.result() is True

    asyncio.run(scene())
