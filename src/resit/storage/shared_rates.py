"""Counters of rate limits, shared by all control planes on one PostgreSQL.

They are in the table ``rate_windows`` and need no care: a counter that is lost with the server's power does no harm,
and one that can't be had lets requests through. Each control plane tells the time by its own clock; theirs are to agree
to a second, as for everything else.
"""

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy import Engine, and_, case, delete, text

from resit.domain.errors import Unavailable
from resit.domain.rates import Rate, Standing, standing
from resit.storage import tables
from resit.storage.connect import transaction
from resit.storage.dialect import on_postgresql, upsert

log = logging.getLogger(__name__)

BUSY = "250ms"
"""How long somebody else may keep a counter to himself before a request goes through uncounted."""
PAUSE_SECONDS = 1.0
"""How long nothing is counted after the database failed, so that not every request waits for it."""
SILENT_SECONDS = 600.0
"""At most one line in the log about it in so many seconds."""
PRUNE_EVERY = 1000
"""Counts after which windows that have passed are forgotten."""

_W = tables.rate_windows


class SqlRates:
    """See ``resit.ports.Rates``."""

    def __init__(self, engine: Engine, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._engine, self._elapsed = engine, elapsed
        self._lock = threading.Lock()
        self._counts = 0
        self._paused_until = self._silent_until = float("-inf")

    def hit(self, key: str, rate: Rate, now: float) -> Standing:
        """Count one request. Where the database is away or busy, the request counts as the first of its window."""
        if not rate.limit:
            return standing(rate, 1, now)
        count, began = self._counted(key, rate, now) or (1, now)
        return standing(rate, count, began)

    def _counted(self, key: str, rate: Rate, now: float) -> tuple[int, float] | None:
        if self._elapsed() < self._paused_until:
            return None
        try:
            return self._count(key, rate, now)
        except Unavailable as error:
            self._pause(error)
            return None

    def _count(self, key: str, rate: Rate, now: float) -> tuple[int, float]:
        with self._lock:
            self._counts += 1
            prune = self._counts % PRUNE_EVERY == 0
        with transaction(self._engine, write=True, lasting=False) as db:
            if on_postgresql(db):
                db.execute(text(f"SET LOCAL lock_timeout TO '{BUSY}'"))
            # One statement, so that nobody comes in between. A window that begins after now: the clock was set back.
            lasts = and_(_W.c.began <= now, now < _W.c.ends)
            statement = upsert(db, _W).values(key=key, began=now, ends=now + rate.window, count=1)
            new = {
                "count": case((lasts, _W.c.count + 1), else_=1),
                "began": case((lasts, _W.c.began), else_=now),
                "ends": case((lasts, _W.c.ends), else_=now + rate.window),
            }
            statement = statement.on_conflict_do_update(index_elements=["key"], set_=new)
            row = db.execute(statement.returning(_W.c.count, _W.c.began)).one()
        if prune:
            with transaction(self._engine, write=True, lasting=False) as db:
                db.execute(delete(_W).where(_W.c.ends <= now))
        return row[0], row[1]

    def _pause(self, error: Unavailable) -> None:
        with self._lock:
            self._paused_until = self._elapsed() + PAUSE_SECONDS
            silent = self._elapsed() < self._silent_until
            if not silent:
                self._silent_until = self._elapsed() + SILENT_SECONDS
        if not silent:
            log.warning("rate limits are not kept for now: %s", error)
