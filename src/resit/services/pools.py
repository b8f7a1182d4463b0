"""Which pool the runs of an environment go to."""

from collections.abc import Mapping

from resit.domain import fleet
from resit.domain.fleet import ALIVE_SECONDS, DEFAULT_POOL
from resit.ports import Transaction


def pool_for(tx: Transaction, wanted: str, now: float) -> str:
    """The pool of a run whose environment says ``wanted``; see :func:`resit.domain.fleet.choose`."""
    if wanted == DEFAULT_POOL:
        return wanted
    alive: Mapping[str, int] = tx.workers.alive_by_pool(now - ALIVE_SECONDS) if "=" in wanted else {}
    return fleet.choose(wanted, tx.pools.all(), alive)


def check_pool(tx: Transaction, wanted: str, now: float) -> str:
    """What an environment may say of its pool, in its one spelling. Raises :class:`InvalidInput` unless a run could be
    requested with it now."""
    found = fleet.check_wanted(wanted)
    pool_for(tx, found, now)
    return found
