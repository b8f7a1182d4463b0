"""Following a run live: told by signals where there are any, looking by itself where there are none."""

import asyncio
import time
from collections.abc import AsyncGenerator

from resit.control.context import Services
from resit.control.signals import changed

LOOK_SECONDS = 1.0
"""How often somebody looks without having been told: another control plane may have made the change."""
APART_SECONDS = 0.2
"""The least time between two looks: what changes meanwhile is told together, and only as it is in the end."""
PING_SECONDS = 15.0


async def follow(use: Services, run: int, since: int) -> AsyncGenerator[tuple[int, int] | None]:
    """From where to where a run has changed, by its ``seq``, each time that it has; first of all how it stands.

    None: nothing has changed for a while, and a connection wants to hear something. Ends when the run is gone or the
    server ends. Who comes back for no more than the end, or with another run's number, hears how things stand.
    """
    signals = use.signals()
    event = signals.watch(run)
    quiet, told = 0.0, False
    try:
        while not signals.closing:
            looked = time.monotonic()
            seq = await asyncio.to_thread(use.reads.run_seq, run)
            if seq is None:
                return
            if seq > since or not told:
                quiet, told = 0.0, True
                yield since, seq
                since = seq
            elif quiet >= PING_SECONDS:
                quiet = 0.0
                yield None
            await changed(event, LOOK_SECONDS)
            quiet += LOOK_SECONDS
            await asyncio.sleep(max(0.0, looked + APART_SECONDS - time.monotonic()))
    finally:
        signals.unwatch(run, event)
