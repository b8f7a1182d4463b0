"""From what a caller sends to a run: what both APIs for starting one share (study 1.1, 1.4, 2.8)."""

import json
from collections.abc import Callable
from typing import Any

from resit.api.context import Services
from resit.api.qatech.schemas import ApplicationIn, EnvironmentIn, StartIn
from resit.api.qatech.scope import number
from resit.domain.access import Principal
from resit.domain.errors import InvalidInput, NotFound, ResitError
from resit.domain.project import MAX_TEXT, Project
from resit.domain.run import Build, Run, Via
from resit.domain.test_plan import TestPlan
from resit.services.reach import meant_plan, unknown_cases
from resit.services.requests import Request

PARAMETERS = "QATECH_PARAMETERS"
"""The variable in which tests find the ``parameters`` of their run, as JSON."""
Unknown = Callable[[str, str], ResitError]
"""How an API says that something a request refers to is not there: message and field."""


def not_there(message: str, field: str) -> ResitError:
    """In v1: 404 (study A16)."""
    return NotFound(message, field=field)


def not_valid(message: str, field: str) -> ResitError:
    """In the older API: 400."""
    return InvalidInput(message, field=field)


def start(
    use: Services, who: Principal, project: Project, asked: StartIn, unknown: Unknown
) -> tuple[Run, TestPlan | None]:
    """Start a run, and say of which test plan. Nothing is made when anything is refused."""
    github = asked.trigger == "GITHUB"
    plan = None if asked.test_case_ids is not None else _plan(use, project, asked, unknown)
    if asked.test_case_ids is not None:
        with use.store.read() as tx:
            missing = unknown_cases(tx, project, asked.test_case_ids)
        if missing:
            raise unknown(f"project {project.slug!r} has no test case {', '.join(missing[:20])}", "testCaseIds")
    target, metadata = _environment(use, project, asked, unknown)
    url = (target.url if target else None) or ""
    build = Build(url=url)
    if github:
        message = asked.commit_message or ""
        build = Build(
            url=url,
            branch=asked.branch or "",
            commit=asked.commit_hash or "",
            repository=asked.repository or "",
            message=message if len(message) <= MAX_TEXT else f"{message[: MAX_TEXT - 1]}…",
        )
    if asked.integration_name:
        metadata["integration"] = asked.integration_name
    request = Request(
        environment=_slug(use, project, target, unknown),
        build=build,
        tests=tuple(asked.test_case_ids or ()),
        refuse_empty=True,
        test_plan=plan.id if plan else None,
        variables=_parameters(asked),
        metadata=metadata,
        actor=(asked.actor or "") if github else "",
        via=Via.GITHUB if github else Via.API,
    )
    run, _ = use.runs.trigger(who, project.slug, request)
    use.signals().outbox()
    return run, plan


def _plan(use: Services, project: Project, asked: StartIn, unknown: Unknown) -> TestPlan | None:
    named = asked.plan
    try:
        with use.store.read() as tx:
            return meant_plan(tx, project, None if named is None else number(use.ids, named))
    except NotFound as error:
        raise unknown(f"{error.message} {(named or '')[:80]!r}", "testPlanShortId") from error


def _environment(
    use: Services, project: Project, asked: StartIn, unknown: Unknown
) -> tuple[EnvironmentIn | None, dict[str, str | int | float]]:
    """What the request says of the one application that there is, and what else of it is kept."""
    found: ApplicationIn | None = None
    for override in asked.applications or ():
        name = override.application_short_id
        if number(use.ids, name) != project.id:
            raise unknown(f"project {project.slug!r} has no application {name[:80]!r}", "applications")
        if found is not None:
            raise InvalidInput(f"application {name[:80]!r} is named twice", field="applications")
        if override.device_preset_short_id is not None or override.device_preset_id is not None:
            raise unknown("device presets are not supported: the suite's own configuration says them", "applications")
        if override.environment and override.environment.application_build_short_id is not None:
            raise unknown("application builds are not supported: leave applicationBuildShortId out", "applications")
        found = override
    target = found.environment if found else None
    return target, {"preview": target.name} if target and target.url and target.name else {}


def _slug(use: Services, project: Project, target: EnvironmentIn | None, unknown: Unknown) -> str:
    """The saved environment that is named; empty for the test plan's, or the default."""
    if target is None or target.saved is None:
        return ""
    wanted = number(use.ids, target.saved)
    for environment in use.reads.environments(project.id):
        if environment.id == wanted:
            return environment.slug
    raise unknown(f"project {project.slug!r} has no environment {target.saved[:80]!r}", "applications")


def _parameters(asked: StartIn) -> dict[str, str]:
    if asked.parameters is None:
        return {}
    found: dict[str, Any] = asked.parameters.model_dump(by_alias=True, exclude_none=True)
    return {PARAMETERS: json.dumps(found, separators=(",", ":"))} if found else {}
