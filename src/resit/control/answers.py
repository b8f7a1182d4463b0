"""Answers to what workers ask over the broker."""

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable

from resit.ports import ControlBroker
from resit.services.ingest import decode
from resit.services.work import Work


async def answer(broker: ControlBroker, work: Work) -> None:
    """Begin to answer; returns at once."""

    async def spec(data: bytes) -> bytes:
        question = decode(data)
        return json.dumps(await asyncio.to_thread(work.spec, int(question["run"]))).encode()

    async def batch(data: bytes) -> bytes:
        question = decode(data)
        tests = await asyncio.to_thread(work.batch, int(question["run"]), int(question["batch"]))
        return zlib.compress(json.dumps({"tests": tests}).encode(), 1)

    async def alive(data: bytes) -> bytes:
        return json.dumps({"stop": await asyncio.to_thread(work.alive, decode(data))}).encode()

    questions: dict[str, Callable[[bytes], Awaitable[bytes]]] = {"spec": spec, "batch": batch, "alive": alive}
    for name, handler in questions.items():
        await broker.answer(name, handler)
