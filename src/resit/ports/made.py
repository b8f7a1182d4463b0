"""What workers say and make of runs, as it stands in the database."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from resit.domain.report import Report
from resit.domain.voice import Voice


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


class VoiceStore(Protocol):
    """How far the numbered reports of workers were taken. The run's row is held by who changes them."""

    def get(self, names: Mapping[int, Collection[str]]) -> Mapping[tuple[int, str], Voice]:
        """The voices that were heard before, of those that are named by run: by run and name."""
        ...

    def save(self, voices: Collection[Voice], now: float) -> None: ...
