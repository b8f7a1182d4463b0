"""Test plans: saved selections."""

from collections.abc import Sequence

from resit.domain.access import Principal
from resit.domain.test_plan import TestPlan
from resit.ports import Clock, Store


class TestPlans:
    """Saved selections of a project."""

    __test__ = False

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def add(
        self,
        principal: Principal,
        project: str,
        *,
        name: str,
        tests: Sequence[str] = (),
        tags: Sequence[str] = (),
        environment: str = "",
        default: bool = False,
    ) -> TestPlan:
        """A test plan; one of a project may be its default. Raises :class:`AlreadyExists`, :class:`InvalidInput`."""
        raise NotImplementedError

    def of_project(self, principal: Principal, project: str) -> Sequence[TestPlan]:
        """The test plans of a project (by slug)."""
        raise NotImplementedError

    def get(self, principal: Principal, id: int) -> TestPlan:
        """A test plan within reach. Raises :class:`NotFound`."""
        raise NotImplementedError

    def remove(self, principal: Principal, id: int) -> None:
        """Take a test plan away; its runs stay."""
        raise NotImplementedError
