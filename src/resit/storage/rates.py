"""Counters of rate limits, shared by all processes of a server.

In a database of their own that needs no care: a counter that is lost with the machine's power does no harm.
"""

from pathlib import Path

from resit.domain.rates import Rate, Standing


class SqliteRates:
    """See ``resit.ports.Rates``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def hit(self, key: str, rate: Rate, now: float) -> Standing:
        raise NotImplementedError
