"""The broker is started anew when its disk has room again, and only then."""

import asyncio
import os
import shutil
import signal
from collections import namedtuple
from pathlib import Path

import pytest

from resit.bootstrap import room

Usage = namedtuple("Usage", "total used free")
FULL, SOME, MUCH = 0, 2 * 1024 * 1024, 50 * 1024 * 1024


@pytest.mark.parametrize(
    ("seen", "pid", "ended"),
    [
        ([MUCH, MUCH, MUCH], 7, []),
        ([MUCH, FULL, FULL, SOME, MUCH, MUCH], 7, [7]),
        ([FULL, MUCH, FULL, MUCH], 7, [7, 7]),
        ([SOME, SOME, MUCH], 7, []),
        # While none runs, nobody is ended: 0 would be this process's own group.
        ([FULL, MUCH], 0, []),
    ],
)
def test_ended_once_there_is_room(
    seen: list[int], pid: int, ended: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[int] = []
    all_seen: list[bool] = []
    left = iter(seen)

    def usage(folder: Path) -> Usage:
        free = next(left, None)
        if free is None:
            all_seen.append(True)
            raise OSError("the disk is gone, which is no reason to end")
        return Usage(100, 0, free)

    def kill(process: int, number: int) -> None:
        assert number == signal.SIGTERM
        told.append(process)

    async def scene() -> None:
        task = asyncio.create_task(room.watch_room(tmp_path, lambda: pid, asyncio.Event()))
        while not all_seen:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(room, "LOOK_SECONDS", 0.0)
    asyncio.run(scene())
    assert told == ended


def test_ended_once_for_a_doubt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The disk was full for a moment that nobody saw. What is doubted again at once is not ended again at once."""
    told: list[int] = []
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(100, 0, MUCH))
    monkeypatch.setattr(os, "kill", lambda process, number: told.append(process))
    monkeypatch.setattr(room, "LOOK_SECONDS", 0.0)

    async def scene() -> None:
        doubted = asyncio.Event()
        task = asyncio.create_task(room.watch_room(tmp_path, lambda: 7, doubted))
        for _ in range(3):
            doubted.set()
            while doubted.is_set():
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scene())
    assert told == [7]
