"""Test cases: found by any of their names, tagged, written down before a suite has them."""

from collections.abc import Sequence

from resit.domain.access import Principal, Scope
from resit.domain.errors import Forbidden, InvalidInput, NotFound
from resit.domain.project import check_text
from resit.ports import CaseRow, Clock, Ids, Store, Transaction
from resit.services.catalog import find_project
from resit.services.requests import MAX_TAGS

MAX_TAG = 200
MAX_NAME = 500
MAX_GOAL = 20_000


def find_case(tx: Transaction, principal: Principal, name: str, project_id: int | None = None) -> tuple[int, CaseRow]:
    """A test case by the framework's id, its key or its UUID, and the project that it is of.

    ``project_id``: where to look; None: where the principal may look. Names are the suites', so several projects may
    have one. Raises :class:`Forbidden` for a test case of another project alone (Empirical, study 1.0),
    :class:`NotFound`, and :class:`InvalidInput` when several projects within reach have it.
    """
    within = principal.project_id if project_id is None else project_id
    having = [within] if within is not None else tx.cases.projects_with(name)
    if len(having) > 1:
        raise InvalidInput(f"several projects have a test case {name[:80]!r}: say which is meant", field="project")
    for id in having:
        if (found := tx.cases.named(id, [name])) and principal.reaches(id):
            return id, found[0]
    if within is not None and tx.cases.projects_with(name):
        raise Forbidden(f"test case {name[:80]!r} belongs to a project that this token does not reach")
    raise NotFound(f"no test case {name[:80]!r}")


class Cases:
    """What people change of test cases; the rest is what the suites were seen to hold."""

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store, self._clock, self._ids = store, clock, ids

    def set_tags(self, principal: Principal, name: str, tags: Sequence[str], project_id: int | None = None) -> str:
        """Set the tags by which later runs choose a test case, in place of the suite's; returns its UUID.

        The test's source stays as it is. Raises what :func:`find_case` raises, and :class:`InvalidInput`.
        """
        principal.need(Scope.RUNS_WRITE)
        if len(tags) > MAX_TAGS:
            raise InvalidInput(f"at most {MAX_TAGS} tags", field="tags")
        for tag in tags:
            check_text(tag, "tags", MAX_TAG)
            if not tag.strip().removeprefix("@"):
                raise InvalidInput("an empty text is no tag", field="tags")
        with self._store.write(alone=True) as tx:
            _, case = find_case(tx, principal, name, project_id)
            tx.cases.set_tags(case.id, list(dict.fromkeys(tag.strip() for tag in tags)), self._clock.now())
        return case.uuid

    def add_draft(self, principal: Principal, project: str, *, name: str, goal: str) -> CaseRow:
        """Write down a test that the suite of a project (by slug) does not have yet. No run can execute it.

        Raises :class:`InvalidInput`, :class:`NotFound`.
        """
        principal.need(Scope.RUNS_WRITE)
        check_text(name, "name", MAX_NAME)
        check_text(goal, "goal", MAX_GOAL)
        if not name.strip():
            raise InvalidInput("a test case has a name", field="name")
        with self._store.write(alone=True) as tx:
            found = find_project(tx, principal, project)
            uuid = self._ids.uuid()
            tx.cases.add(found.id, uuid, name, goal, self._clock.now())
            return tx.cases.named(found.id, [uuid])[0]
