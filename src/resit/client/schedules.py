"""Schedules over the native API: a part of the client."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote

from resit.client.documents import RunDoc, ScheduleDoc


class ScheduleCalls:
    """See ``Client.schedules``."""

    def __init__(
        self,
        call: Callable[..., dict[str, Any]],
        items: Callable[[str, Mapping[str, str | None]], Iterator[dict[str, Any]]],
        once: Callable[[str, Mapping[str, object]], dict[str, Any]],
        drop: Callable[[str, str], object],
    ) -> None:
        self._call, self._items, self._once, self._drop = call, items, once, drop

    def add(self, project: str, fields: Mapping[str, object]) -> ScheduleDoc:
        """Have runs made at the times of a cron expression."""
        return cast("ScheduleDoc", self._call("POST", f"/projects/{quote(project, safe='')}/schedules", json=fields))

    def all(self, project: str | None = None) -> Iterator[ScheduleDoc]:
        """The schedules of a project, or of all within reach."""
        return (cast("ScheduleDoc", item) for item in self._items("/schedules", {"project": project}))

    def get(self, id: int) -> ScheduleDoc:
        """A schedule with its next five times."""
        return cast("ScheduleDoc", self._call("GET", f"/schedules/{id}"))

    def change(self, id: int, changes: Mapping[str, object]) -> ScheduleDoc:
        """Change a schedule; what is not named stays."""
        return cast("ScheduleDoc", self._call("PATCH", f"/schedules/{id}", json=changes))

    def remove(self, id: int) -> None:
        """Take a schedule away; its runs stay."""
        self._drop("DELETE", f"/schedules/{id}")

    def start(self, id: int) -> RunDoc:
        """Make its run now. Sent again when the answer got lost: it happens once."""
        return cast("RunDoc", self._once(f"/schedules/{id}/run", {}))
