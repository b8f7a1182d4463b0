"""Which project, test plan and test cases a trigger means, for callers that name them by numbers or UUIDs."""

from collections.abc import Collection

from resit.domain.access import Principal
from resit.domain.errors import Forbidden, InvalidInput, NotFound
from resit.domain.project import Project
from resit.domain.test_plan import TestPlan
from resit.ports import Transaction
from resit.services.requests import MAX_NUMBER


def meant_project(tx: Transaction, principal: Principal, number: int | None, word: str) -> Project:
    """The project of a token, or for a token that is bound to none the one with the number (QA.tech, study 2.1).

    ``number`` None: the caller named none; ``word`` is what callers name it by. Raises :class:`InvalidInput` when it
    must be named, :class:`Forbidden` when a bound token names another, :class:`NotFound`.
    """
    if principal.project_id is not None and number not in (None, principal.project_id):
        raise Forbidden(f"{word} names a project that this token does not reach: leave it out, or use its own token")
    wanted = principal.project_id if number is None else number
    if wanted is None:
        raise InvalidInput(f"this token is bound to no project: name one as {word}", field=word)
    project = tx.projects.get(wanted) if 0 < wanted < MAX_NUMBER else None
    if project is None:
        raise NotFound(f"no such project: check {word}", field=word)
    return project


def project_of_uuid(tx: Transaction, principal: Principal, uuid: str) -> Project:
    """A project within reach by its UUID. Raises :class:`NotFound`, whether it exists elsewhere or not."""
    project = tx.projects.by_uuid(uuid.lower()) if len(uuid) == 36 else None
    if project is None or not principal.reaches(project.id):
        raise NotFound(f"no project {uuid[:80]!r}", field="project")
    return project


def meant_plan(tx: Transaction, project: Project, number: int | None) -> TestPlan | None:
    """The test plan with the number, or the project's default when none is named; None where there is no default.

    Raises :class:`NotFound` (QA.tech, study A5).
    """
    plans = tx.test_plans.of_project(project.id)
    if number is None:
        return next((plan for plan in plans if plan.default), None)
    found = next((plan for plan in plans if plan.id == number), None)
    if found is None:
        raise NotFound(f"project {project.slug!r} has no such test plan")
    return found


def unknown_cases(tx: Transaction, project: Project, uuids: Collection[str]) -> list[str]:
    """Those of the UUIDs that no test case of the project has."""
    known = {case.uuid for case in tx.cases.named(project.id, uuids)}
    return [uuid for uuid in uuids if uuid not in known]


def project_numbered(tx: Transaction, principal: Principal, number: int) -> Project | None:
    """A project within reach by its number; None for one that is not there."""
    found = tx.projects.get(number) if 0 < number < MAX_NUMBER else None
    return found if found is not None and principal.reaches(found.id) else None
