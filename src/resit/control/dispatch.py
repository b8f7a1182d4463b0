"""From the outbox to the broker. A message is forgotten only after the broker holds it; a second one does no harm."""

import asyncio
import json
import logging
import time
import zlib
from collections.abc import Mapping
from typing import Any

from resit.control.signals import Signals
from resit.domain.admission import rank
from resit.domain.errors import Unavailable
from resit.ports import ANEW, BrokerAway, ControlBroker, Job, Outgoing, Store, Urgency
from resit.ports.telemetry import SILENT, Counted, Telemetry
from resit.services.batches import for_worker
from resit.services.planning import Planner

log = logging.getLogger(__name__)
TOGETHER = 5
"""Plans of re-runs that are made in one transaction: a few share the cost of a commit, nobody waits long for them."""
GATHER_SECONDS = 0.01
"""How long messages are gathered after some were sent: in a storm they go together, alone each goes at once. It is at
least as long as the sending took, so that those who ask for runs get their turn while others are handed out."""
MOST_SECONDS = 0.2
STUCK_SECONDS = 10.0
"""A broker that is connected, but has stored nothing for so long: two tries in vain at least."""
LOOK_SECONDS = 5.0
"""How often the outbox is looked at without being told."""


_URGENCY = {1: Urgency.HIGH, 0: Urgency.NORMAL, -1: Urgency.LOW}


class Dispatch:
    """One loop a control plane."""

    def __init__(
        self,
        store: Store,
        broker: ControlBroker,
        signals: Signals,
        planner: Planner,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._store, self._broker, self._signals, self._planner = store, broker, signals, planner
        self._telemetry = telemetry

    async def run(self) -> None:
        """Until cancelled."""
        stuck_since = 0.0
        while True:
            began = time.monotonic()
            try:
                if await self._some():
                    await asyncio.sleep(min(max(GATHER_SECONDS, time.monotonic() - began), MOST_SECONDS))
                else:
                    await self._signals.wait_outbox(LOOK_SECONDS)
                stuck_since = 0.0
            except (BrokerAway, Unavailable) as away:
                log.warning("the outbox waits: %s", away)
                stuck_since = (stuck_since or began) if isinstance(away, BrokerAway) and self._broker.connected else 0.0
                if stuck_since and time.monotonic() - stuck_since >= STUCK_SECONDS:
                    self._broker.doubt()
                await asyncio.sleep(0.5)
            except Exception:
                log.exception("dispatch failed; it goes on")
                await asyncio.sleep(1.0)

    async def _some(self) -> bool:
        messages, priorities = await asyncio.to_thread(self._pending)
        sent: list[int] = []
        try:
            sent.extend(await self._expand([m for m in messages if m.kind == "expand"][:TOGETHER]))
            for message in messages:
                if message.id in sent:
                    continue
                try:
                    await self._send(message, _URGENCY[rank(priorities.get(message.run_id, 0))])
                except (BrokerAway, Unavailable):
                    raise
                except Exception as error:
                    # One message that can't be sent must not hold up all that come after it.
                    about = {"run": message.run_id, "pool": message.pool}
                    log.exception(
                        "run %s: %s %s can't be sent", message.run_id, message.kind, message.number, extra=about
                    )
                    if not message.run_id:
                        sent.append(message.id)
                        continue
                    await asyncio.to_thread(self._planner.give_up, message.run_id, f"{message.kind}: {error}")
                    self._signals.changed([message.run_id])
                sent.append(message.id)
        finally:
            if sent:
                await asyncio.to_thread(self._sent, sent)
                for message in messages:
                    if message.id in sent:
                        self._telemetry.count(Counted.MESSAGES_SENT, kind=message.kind)
        return bool(messages)

    async def _expand(self, messages: list[Outgoing]) -> list[int]:
        """Make the plans of several re-runs in one transaction; what can't be made so is left to be done one by one."""
        runs = list(dict.fromkeys(message.run_id for message in messages))
        if len(runs) < 2:
            return []
        try:
            await asyncio.to_thread(self._planner.expand, *runs)
        except Unavailable:
            raise
        except Exception:
            log.exception("the plans of runs %s can't be made together", runs)
            return []
        self._signals.changed(runs)
        return [message.id for message in messages]

    def _pending(self) -> tuple[list[Outgoing], Mapping[int, int]]:
        """What is to be sent, and the priorities of the runs whose jobs are among it."""
        with self._store.read() as tx:
            messages = list(tx.outbox.pending(200))
            jobs = {message.run_id for message in messages if message.kind in ("plan", "shard")}
            return messages, tx.runs.priorities(jobs) if jobs else {}

    def _sent(self, ids: list[int]) -> None:
        # A second message does no harm, so this need not outlive the machine's power.
        with self._store.write(lasting=False) as tx:
            tx.outbox.sent(ids)

    async def _send(self, message: Outgoing, urgency: Urgency) -> None:
        run, pool = message.run_id, message.pool
        match message.kind:
            case "plan":
                await self._broker.publish_job(pool, Job("plan", run), b"", urgency)
            case "shard":
                await self._broker.publish_job(pool, Job("shard", run, message.number), b"", urgency)
            case "report":
                # Tests come first: nobody's verdict waits for a report.
                await self._broker.publish_job(pool, Job("report", run), b"", Urgency.LOW)
            case "consumer":
                await self._broker.open_batches(pool, run, message.number, anew=message.data == ANEW)
            case "batch":
                data = await asyncio.to_thread(self._batch, run, message.number)
                await self._broker.publish_batch(pool, run, message.number, data)
            case "purge":
                await self._broker.purge(pool, run)
            case "cancel":
                await self._broker.cancel(pool, run)
            case "revoke":
                await self._broker.disconnect(message.number)
            case "expand":
                await asyncio.to_thread(self._planner.expand, run)
                self._signals.changed([run])
            case other:
                log.error("outbox holds an unknown kind of message: %s", other)

    def _batch(self, run_id: int, number: int) -> bytes:
        """A batch as workers get it, compressed, because 20,000 ids are megabytes."""
        with self._store.read() as tx:
            run = tx.runs.get(run_id)
            data: dict[str, Any] = {"tests": []} if run is None else for_worker(tx, run, number)
        data |= {"run": run_id, "batch": number}
        return zlib.compress(json.dumps(data, ensure_ascii=False).encode(), 1)
