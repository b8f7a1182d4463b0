"""What workers make of finished runs, as it stands in the database."""

from collections.abc import Collection, Sequence
from typing import Protocol

from resit.domain.report import Report


class ReportStore(Protocol):
    """Files about whole runs that workers make. The run's row is held by who changes them."""

    def get(self, run_id: int, kind: str) -> Report | None: ...
    def save(self, report: Report) -> None: ...
    def touch(self, run_ids: Collection[int], kind: str, now: float) -> None:
        """These, if they are still to be made, were seen to be cared for."""
        ...

    def quiet(self, before: float, limit: int) -> Sequence[tuple[Report, str]]:
        """Reports that are to be made and have not moved since before a time, the oldest first, and the pools of their
        runs."""
        ...
