"""Environments: listed, made, changed (study 1.3)."""

from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from resit.api.context import Services, Use, Who
from resit.api.dialect import Raw, iso, load, parse
from resit.api.empirical import schemas
from resit.api.empirical.scope import Id, Number, Scoped, Text, answer, is_named
from resit.domain.access import Scope
from resit.domain.project import DEFAULT_ENVIRONMENT, Environment
from resit.domain.run import Build
from resit.ports.reads import RunFilter

router = APIRouter()
LOOKED_AT = 50
"""How many of an environment's newest runs are looked at for one that names its build."""
_NAMES = {
    "name": "name",
    "slug": "slug",
    "is_disabled": "disabled",
    "playwright_projects_match": "match",
    "playwright_projects_ignore": "ignore",
    "scheduled_trigger": "schedule",
}
"""Their words for what can be changed, and ours."""


def environment_out(environment: Environment) -> dict[str, Any]:
    """An environment's row. The last three are of older clients."""
    return {
        "id": environment.id,
        "project_id": environment.project_id,
        "slug": environment.slug,
        "name": environment.name or environment.slug,
        "playwright_projects_match": list(environment.filters.match),
        "playwright_projects_ignore": list(environment.filters.ignore),
        "is_disabled": environment.disabled,
        "env_files": [],
        "scheduled_trigger": environment.schedule or None,
        "created_at": iso(environment.created_at),
        "updated_at": iso(environment.updated_at or environment.created_at),
        "playwright_projects": list(environment.filters.match),
        "platform": environment.platform.value,
        "is_default": environment.slug == DEFAULT_ENVIRONMENT,
    }


def latest_build(use: Services, environment: Environment) -> dict[str, Any] | None:
    """What the newest run that named a build was about."""
    page = use.reads.runs(RunFilter(environment_ids=(environment.id,)), LOOKED_AT)
    run = next((view.run for view in page.items if view.run.build != Build()), None)
    if run is None:
        return None
    return {
        "id": run.id,
        "project_id": run.project_id,
        "build_url": run.build.url or None,
        "commit": run.build.commit or None,
        "commit_url": run.build.commit_url or None,
        "version": run.build.version or None,
        "branch": run.build.branch or None,
        "environment_id": environment.id,
        "created_at": iso(run.created_at),
    }


@router.get("/api/environments/list")
@router.get("/api/environments")
def list_environments(
    use: Use,
    who: Who,
    project: Scoped,
    project_id: Number = None,
    project_repo_name: Text = "",
    environment_slug: Text = "",
    is_disabled: Literal["true", "false", ""] = "",
) -> JSONResponse:
    """The environments of a project, each with the build that was tested last."""
    who.need(Scope.RUNS_READ)
    here = is_named(project, project_id, project_repo_name)
    found = [
        environment
        for environment in use.reads.environments(project.id)
        if here
        and environment_slug.lower() in ("", environment.slug)
        and is_disabled in ("", "true" if environment.disabled else "false")
    ]
    rows = [{**environment_out(e), "latest_build": latest_build(use, e)} for e in found]
    return answer({"environments": rows})


def _changes(asked: schemas.EnvironmentWords) -> dict[str, Any]:
    """What was said, in our words."""
    found = {_NAMES[name]: value for name, value in asked.model_dump(exclude_unset=True).items()}
    if "slug" in found:
        found["slug"] = found["slug"].strip().lower()
    if "schedule" in found:
        found["schedule"] = found["schedule"] or ""
    return found


@router.post("/api/environments")
def add_environment(use: Use, who: Who, project: Scoped, raw: Raw) -> JSONResponse:
    """Make an environment. Its variables and secrets are set over Resit's own API or command line."""
    asked = parse(schemas.EnvironmentNew, load(raw))
    made = use.catalog.add_environment(who, project.slug, variables={}, secrets={}, **_changes(asked))
    return answer({"environment": environment_out(made)})


@router.patch("/api/environments/{id}")
def change_environment(use: Use, who: Who, id: Id, raw: Raw) -> JSONResponse:
    """Change an environment. The answer is the bare row, without an envelope (study 1.0)."""
    asked = parse(schemas.EnvironmentChange, load(raw))
    return JSONResponse(environment_out(use.catalog.change_environment(who, id, _changes(asked))))
