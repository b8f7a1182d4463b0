"""The disk of the bundled broker, which writes no more after a write failed for want of room, until it starts anew.

It says so nowhere that could be relied on: its log is on the same disk. So the disk is watched; and where that came too
late, those who speak to the broker notice that it answers and stores nothing.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)
LOOK_SECONDS = 2.0
FULL_BYTES = 1024 * 1024
"""With less than this, writes may have failed."""
ROOM_BYTES = 4 * 1024 * 1024
"""With more than this, they won't for a while."""
REST_SECONDS = 60.0
"""Between two ends for no more than a doubt."""


async def watch_room(folder: Path, pid: Callable[[], int], doubted: asyncio.Event) -> None:
    """End the broker when there is room again after there was none; who keeps it starts it again. Until cancelled.

    ``pid``: of the broker; 0 while none runs. ``doubted``: somebody has seen that it stores nothing; then it is ended
    as soon as there is room.
    """
    full, rested = False, -REST_SECONDS
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            free = await asyncio.to_thread(lambda: shutil.disk_usage(folder).free)
        except OSError:
            continue
        if free < FULL_BYTES:
            if not full:
                log.warning("the disk of the data folder is full: nothing is taken in until there is room")
            full = True
            continue
        doubt = doubted.is_set()
        doubted.clear()  # who still sees nothing stored says so again
        if free > ROOM_BYTES and (full or (doubt and time.monotonic() - rested > REST_SECONDS)):
            log.warning("there is room on the disk: the broker is started anew, which had ceased to write")
            full, rested = False, time.monotonic()
            if running := pid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(running, signal.SIGTERM)
