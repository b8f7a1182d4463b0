"""Answers to what workers ask over the broker."""

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from resit.control.signals import Signals
from resit.domain.run import PlanFacts
from resit.ports import ControlBroker
from resit.services.html_reports import HtmlReports
from resit.services.planning import Listed
from resit.services.work import Work
from resit.telemetry import bind

STUCK_SECONDS = 10.0
"""A worker that can ask, but whose reports have not been stored for so long: two tries in vain at least."""


async def answer(
    broker: ControlBroker, work: Work, html: HtmlReports, signals: Signals, behind: Callable[[], float]
) -> None:
    """Begin to answer; returns at once. ``behind``: how many seconds reports wait to be taken in."""

    async def spec(pool: str, data: bytes) -> bytes:
        question = _question(data)
        about = int(question["run"]), str(question.get("worker", ""))[:200]
        bind(pool=pool, run=about[0], worker=about[1] or None)
        if claim := str(question.get("claim", ""))[:200]:
            shard = int(question.get("shard", 0))
            await asyncio.to_thread(work.shard, pool, about[0], claim, about[1], shard)
        return json.dumps(await asyncio.to_thread(work.spec, pool, *about)).encode()

    async def plan(pool: str, data: bytes) -> bytes:
        question = _question(data)
        run, claim, look = int(question["run"]), str(question["claim"])[:200], bool(question.get("look"))
        bind(pool=pool, run=run)
        words = (str(question.get(name, ""))[:200] for name in ("commit", "branch", "key"))
        found = Listed(0, PlanFacts(), *words)
        known = await asyncio.to_thread(work.plan, pool, run, claim, found, look=look)
        if known and not look:
            signals.changed([run])
            signals.outbox()
        return json.dumps({"known": known}).encode()

    async def batch(pool: str, data: bytes) -> bytes:
        question = _question(data)
        bind(pool=pool, run=int(question["run"]))
        found = await asyncio.to_thread(work.batch, pool, int(question["run"]), int(question["batch"]))
        return zlib.compress(json.dumps(found).encode(), 1)

    async def alive(pool: str, data: bytes) -> bytes:
        question = _question(data)
        bind(pool=pool, worker=str(question.get("worker", ""))[:200] or None)
        if float(question.get("stuck", 0.0)) >= STUCK_SECONDS:
            broker.doubt()
        said = await asyncio.to_thread(work.alive, pool, question)
        return json.dumps({**said, "behind": round(behind(), 1)}).encode()

    questions: dict[str, Callable[[str, bytes], Awaitable[bytes]]] = {
        "spec": spec,
        "plan": plan,
        "batch": batch,
        "alive": alive,
        "report": _of_reports(html),
    }
    for name, handler in questions.items():
        await broker.answer(name, handler)


def _of_reports(html: HtmlReports) -> Callable[[str, bytes], Awaitable[bytes]]:
    async def report(pool: str, data: bytes) -> bytes:
        question = _question(data)
        run, claim, words = int(question["run"]), str(question["claim"])[:200], str(question.get("words", ""))
        bind(pool=pool, run=run, worker=str(question.get("worker", ""))[:200] or None)
        match question["what"]:
            case "begin":
                return json.dumps(await asyncio.to_thread(html.begin, pool, run, claim)).encode()
            case "failed":
                await asyncio.to_thread(html.failed, pool, run, claim, words)
            case "returned":
                await asyncio.to_thread(html.returned, pool, run, claim)
            case other:
                raise ValueError(f"nothing to say of a report: {other!r}")
        return b"{}"

    return report


def _question(data: bytes) -> Mapping[str, Any]:
    """A question of a worker. Raises :class:`ValueError` for what is no object."""
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return cast("dict[str, Any]", found)
