"""Test plans: saved selections with a name, for callers that trigger "the smoke tests" and nothing else."""

from dataclasses import dataclass

from resit.domain.selection import Selection
from resit.domain.status import SelectionKind


@dataclass(frozen=True, slots=True, kw_only=True)
class TestPlan:
    """A saved selection of a project. Empty ``tests`` and ``tags``: everything. ``environment_id`` None: as triggered.

    ``default``: taken by a trigger through QA.tech's API that names none (study, A5).
    """

    __test__ = False

    id: int
    project_id: int
    name: str
    tests: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    environment_id: int | None = None
    default: bool = False
    created_at: float = 0.0

    @property
    def selection(self) -> Selection:
        """The selection that the plan stands for."""
        if not self.tests and not self.tags:
            return Selection()
        return Selection(SelectionKind.CHOSEN, self.tests, self.tags)
