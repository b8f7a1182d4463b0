"""The clock and the ids of a real server."""

import secrets
import time
import uuid

from sqids import Sqids

TOKEN_PREFIX = "resit_"  # noqa: S105 - a public prefix, so that leaked tokens can be found by scanners


class SystemClock:
    """See ``resit.ports.Clock``."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()


class SystemIds:
    """See ``resit.ports.Ids``. Short ids are letters alone, so that they are never taken for numbers."""

    def __init__(self) -> None:
        self._sqids = Sqids(alphabet="RpkcQxzJhXwGbVdTnKfLmWqsHgYtPvNjFrMyDCBSZ", min_length=6)

    def uuid(self) -> str:
        """A fresh UUID."""
        return str(uuid.uuid4())

    def secret(self) -> str:
        """A fresh secret of 256 bits."""
        return TOKEN_PREFIX + secrets.token_urlsafe(32)

    def short(self, number: int) -> str:
        """The short id of a number."""
        return self._sqids.encode([number])

    def number(self, short: str) -> int | None:
        """The number of a short id; only the form that :meth:`short` gives is taken."""
        if not 6 <= len(short) <= 20:
            return None
        found = self._sqids.decode(short)
        return found[0] if len(found) == 1 and self.short(found[0]) == short else None

    def short_of(self, *numbers: int) -> str:
        """The short id of several numbers."""
        return self._sqids.encode(numbers)

    def numbers(self, short: str, count: int) -> tuple[int, ...] | None:
        """The numbers of a short id."""
        if not 6 <= len(short) <= 64:
            return None
        found = self._sqids.decode(short)
        return tuple(found) if len(found) == count and self.short_of(*found) == short else None
