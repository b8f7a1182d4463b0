"""What workers say and make of runs, as it stands in the database."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from resit.domain.plan import PlannedTest
from resit.domain.report import Report
from resit.domain.run import PlanFacts
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


@dataclass(frozen=True, slots=True)
class Known:
    """The tests of a suite as a run found them, and what was said of it."""

    run: int
    facts: PlanFacts
    tests: Sequence[PlannedTest]


class ListingStore(Protocol):
    """What workers listed, by the key of all that it depends on. The project is held by who saves or drops."""

    def get(self, project_id: int, key: str, since: float) -> Known | None:
        """What was listed at a time or later."""
        ...

    def save(
        self, project_id: int, key: str, run_id: int, facts: PlanFacts, tests: Sequence[PlannedTest], now: float
    ) -> None:
        """In place of what was known; what nobody used for longest goes."""
        ...

    def drop(self, project_id: int) -> None:
        """Forget what is known of a project."""
        ...
