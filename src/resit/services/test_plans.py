"""Test plans: saved selections."""

from collections.abc import Sequence
from dataclasses import replace

from resit.domain.access import Principal, Scope
from resit.domain.errors import AlreadyExists, InvalidInput
from resit.domain.project import check_text
from resit.domain.test_plan import TestPlan
from resit.ports import Clock, Store
from resit.services.catalog import find_project
from resit.services.owned import find_owned
from resit.services.requests import check_tags, check_tests

MAX_PLANS = 500
"""Test plans of a project."""
MAX_NAME = 200


class TestPlans:
    """Saved selections of a project. Reading and writing need runs:read and runs:write."""

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
        """A test plan; one of a project may be its default, and a new one takes the place of the old.

        Raises :class:`AlreadyExists`, :class:`InvalidInput`, :class:`NotFound`.
        """
        principal.need(Scope.RUNS_WRITE)
        if not name.strip():
            raise InvalidInput("a test plan has a name", field="name")
        check_text(name, "name", MAX_NAME)
        check_tests(tests)
        check_tags(tags)
        with self._store.write(alone=True) as tx:
            found = find_project(tx, principal, project)
            target = None
            if environment:
                target = tx.projects.environment_by_slug(found.id, environment)
                if target is None:
                    words = f"project {project!r} has no environment {environment[:80]!r}"
                    raise InvalidInput(words, field="environment")
            there = tx.test_plans.of_project(found.id)
            if any(plan.name == name for plan in there):
                raise AlreadyExists(f"project {project!r} has a test plan {name!r} already", field="name")
            if len(there) >= MAX_PLANS:
                raise InvalidInput(f"a project has at most {MAX_PLANS} test plans: remove one")
            if default:
                for plan in there:
                    if plan.default:
                        tx.test_plans.save(replace(plan, default=False))
            return tx.test_plans.add(
                TestPlan(
                    id=0,
                    project_id=found.id,
                    name=name,
                    tests=tuple(dict.fromkeys(tests)),
                    tags=tuple(dict.fromkeys(tags)),
                    environment_id=target.id if target else None,
                    default=default,
                    created_at=self._clock.now(),
                )
            )

    def of_project(self, principal: Principal, project: str) -> Sequence[TestPlan]:
        """The test plans of a project (by slug), oldest first. Raises :class:`NotFound`."""
        principal.need(Scope.RUNS_READ)
        with self._store.read() as tx:
            return tx.test_plans.of_project(find_project(tx, principal, project).id)

    def get(self, principal: Principal, id: int) -> TestPlan:
        """A test plan within reach. Raises :class:`NotFound`."""
        principal.need(Scope.RUNS_READ)
        with self._store.read() as tx:
            return find_owned(tx.test_plans, principal, id, "test plan")

    def remove(self, principal: Principal, id: int) -> None:
        """Take a test plan away; its runs stay. Raises :class:`NotFound`."""
        principal.need(Scope.RUNS_WRITE)
        with self._store.write(alone=True) as tx:
            tx.test_plans.remove(find_owned(tx.test_plans, principal, id, "test plan").id)
