"""Which project and run a request is about, by the ids that QA.tech's API shows, and which page of a list."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query

from resit.api.context import Services
from resit.domain.access import Principal, Scope
from resit.domain.errors import NotFound
from resit.domain.project import Environment, Project
from resit.domain.test_plan import TestPlan
from resit.ports import Ids
from resit.ports.reads import RunView
from resit.services.reach import meant_project
from resit.services.runs import find_run

MAX_PAGE = 1000
MAX_OFFSET = 2**53
MAX_DIGITS = 16
ProjectName = Annotated[str | None, Query(alias="projectShortId", max_length=500)]
APPLICATION_KIND = "web"


def number(ids: Ids, name: str) -> int:
    """The number behind a short id, however it is spelled: ``pln_x``, ``pln-slug_x`` or ``x`` (study A15).

    Short ids are letters alone, so the number itself will do as well: ``pln_3``. 0, which nothing has, for what is
    neither.
    """
    text = name.strip().rpartition("_")[2]
    if text.isascii() and text.isdigit() and len(text) < MAX_DIGITS:
        return int(text)
    return ids.number(text) or 0


def project_name(ids: Ids, project: Project) -> str:
    """The short id of a project."""
    return f"proj_{ids.short(project.id)}"


def application_name(ids: Ids, project: Project) -> str:
    """The short id of the one application that each of our projects is."""
    return f"app_{ids.short(project.id)}"


def environment_name(ids: Ids, environment: Environment) -> str:
    """The short id of an environment."""
    return f"env_{ids.short(environment.id)}"


def plan_name(ids: Ids, plan: TestPlan) -> str:
    """The short id of a test plan."""
    return f"pln_{ids.short(plan.id)}"


def project_of(use: Services, who: Principal, name: str | None) -> Project:
    """The project of a token, or the one that is named. Raises what :func:`meant_project` raises."""
    with use.store.read() as tx:
        return meant_project(tx, who, None if name is None else number(use.ids, name), "projectShortId")


def run_of(use: Services, who: Principal, short: str, project: str | None, scope: Scope = Scope.RUNS_READ) -> RunView:
    """A run within reach. It needs no project, but one that is named must be its own. Raises :class:`NotFound`."""
    who.need(scope)
    named = None if project is None else project_of(use, who, project).id
    with use.store.read() as tx:
        run = find_run(tx, use.ids, who, short)
    found = use.reads.run(run.id)
    if found is None or named not in (None, run.project_id):
        raise NotFound(f"no run {short[:80]}")
    return found


def results_url(use: Services, project: str, short: str) -> str:
    """The page of a run (study A24)."""
    return f"{use.url}/p/{project}/results/{short}"


@dataclass(frozen=True, slots=True)
class Paging:
    """A piece of a list."""

    limit: int
    offset: int


def paging(limit: Annotated[int, Query(ge=1)] = 20, offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0) -> Paging:
    """What lists take; a limit over the greatest one becomes that, and the answer says so."""
    return Paging(min(limit, MAX_PAGE), offset)


Paged = Annotated[Paging, Depends(paging)]
