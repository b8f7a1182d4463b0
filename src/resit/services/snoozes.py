"""Snoozes: made, changed, ended."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from resit.domain import snooze
from resit.domain.access import Principal, Scope
from resit.domain.errors import InvalidInput
from resit.domain.project import check_text
from resit.domain.snooze import Snooze
from resit.ports import Clock, Store, Transaction
from resit.services.catalog import find_project
from resit.services.owned import find_owned
from resit.services.requests import MAX_NUMBER, check_tests

MAX_LASTING = 1_000
"""Snoozes of a project that last at the same time."""
MAX_NAME = 200
_CHANGEABLE = ("tests", "until", "description", "environment_id")


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
        """A snooze in a project (by slug). Raises :class:`InvalidInput`, :class:`NotFound`.

        The tests are named by a framework's id, a test case's key or its UUID; a name that no test has covers nothing.
        """
        principal.need(Scope.RUNS_WRITE)
        now = self._clock.now()
        tests = tuple(dict.fromkeys(tests))
        snooze.check_tests(tests)
        check_tests(tests)
        snooze.check_until(until, now)
        check_text(description, "description")
        check_text(created_by, "created_by", MAX_NAME)
        with self._store.write(alone=True) as tx:
            found = find_project(tx, principal, project)
            _check_environment(tx, found.id, environment_id)
            _check_run(tx, found.id, from_run_id)
            if len(tx.snoozes.lasting(found.id, now)) >= MAX_LASTING:
                raise InvalidInput(
                    f"a project has at most {MAX_LASTING} snoozes at a time: name several tests in one, or expire some"
                )
            return tx.snoozes.add(
                Snooze(
                    id=0,
                    project_id=found.id,
                    tests=tests,
                    until=until,
                    description=description,
                    created_by=created_by,
                    from_run_id=from_run_id,
                    environment_id=environment_id,
                    created_at=now,
                    updated_at=now,
                )
            )

    def get(self, principal: Principal, id: int) -> Snooze:
        """A snooze within reach. Raises :class:`NotFound`."""
        principal.need(Scope.RUNS_READ)
        with self._store.read() as tx:
            return find_owned(tx.snoozes, principal, id, "snooze")

    def change(self, principal: Principal, id: int, changes: dict[str, Any]) -> Snooze:
        """Change ``tests``, ``until``, ``description`` or ``environment_id``; members that are absent stay.

        Runs that are over keep what was counted. Raises :class:`InvalidInput`, :class:`NotFound`.
        """
        principal.need(Scope.RUNS_WRITE)
        now = self._clock.now()
        if unknown := sorted(set(changes) - set(_CHANGEABLE)):
            raise InvalidInput(f"a snooze has no {unknown[0][:80]!r} that can be changed", field=unknown[0][:80])
        changes = dict(changes)
        if "tests" in changes:
            changes["tests"] = tuple(dict.fromkeys(changes["tests"]))
            snooze.check_tests(changes["tests"])
            check_tests(changes["tests"])
        if "until" in changes:
            snooze.check_until(changes["until"], now)
        if "description" in changes:
            check_text(changes["description"], "description")
        with self._store.write(alone=True) as tx:
            found = find_owned(tx.snoozes, principal, id, "snooze")
            if "environment_id" in changes:
                _check_environment(tx, found.project_id, changes["environment_id"])
            found = replace(found, **changes, updated_at=now)
            tx.snoozes.save(found)
            return found

    def expire(self, principal: Principal, id: int) -> Snooze:
        """End a snooze now; one that is over stays as it is. Raises :class:`NotFound`."""
        principal.need(Scope.RUNS_WRITE)
        now = self._clock.now()
        with self._store.write(alone=True) as tx:
            found = find_owned(tx.snoozes, principal, id, "snooze")
            if found.until > now:
                found = replace(found, until=now, updated_at=now)
                tx.snoozes.save(found)
            return found


def _check_environment(tx: Transaction, project_id: int, id: int | None) -> None:
    if id is None:
        return
    found = tx.projects.environment(id) if 0 < id < MAX_NUMBER else None
    if found is None or found.project_id != project_id:
        raise InvalidInput(f"the project has no environment {id}: name one of its own, or none", field="environment_id")


def _check_run(tx: Transaction, project_id: int, id: int | None) -> None:
    if id is None:
        return
    found = tx.runs.get(id) if 0 < id < MAX_NUMBER else None
    if found is None or found.project_id != project_id:
        raise InvalidInput(f"the project has no run {id}", field="from_run_id")
