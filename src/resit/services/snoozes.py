"""Snoozes: made, changed, ended."""

from collections.abc import Sequence
from typing import Any

from resit.domain.access import Principal
from resit.domain.snooze import Snooze
from resit.ports import Clock, Store


class Snoozes:
    """Dated overlays. Reading and writing need runs:read and runs:write."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def add(
        self,
        principal: Principal,
        project: str,
        *,
        tests: Sequence[str],
        until: float,
        description: str = "",
        created_by: str = "",
        environment_id: int | None = None,
        from_run_id: int | None = None,
    ) -> Snooze:
        """A snooze in a project (by slug). Raises :class:`InvalidInput`, :class:`NotFound`."""
        raise NotImplementedError

    def get(self, principal: Principal, id: int) -> Snooze:
        """A snooze within reach. Raises :class:`NotFound`."""
        raise NotImplementedError

    def change(self, principal: Principal, id: int, changes: dict[str, Any]) -> Snooze:
        """Change ``tests``, ``until``, ``description`` or ``environment_id``; members that are absent stay."""
        raise NotImplementedError

    def expire(self, principal: Principal, id: int) -> Snooze:
        """End a snooze now."""
        raise NotImplementedError
