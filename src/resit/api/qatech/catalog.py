"""Projects, applications and environments, and the addresses of this server (study 1.9 and 1.11)."""

import ipaddress
import socket
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Path, Response

from resit.api.context import Services, Use, Who
from resit.api.qatech.errors import Answer
from resit.api.qatech.scope import (
    APPLICATION_KIND,
    MAX_PAGE,
    ProjectName,
    application_name,
    environment_name,
    number,
    project_name,
    project_of,
)
from resit.domain.access import Principal, Scope
from resit.domain.errors import NotFound
from resit.domain.project import Project
from resit.services.reach import project_numbered

router = APIRouter()
_PRODUCTION = ("production", "prod")
_ADDRESS = "BASE_URL"
"""The variable that tests, by habit, read the address of what is under test from."""


@router.get("/v1/projects")
def get_projects(use: Use, who: Who) -> Response:
    """The projects within reach."""
    who.need(Scope.RUNS_READ)
    found: list[dict[str, Any]] = []
    after: str | None = "0"
    while after is not None:
        page = use.reads.projects(who.project_id, int(after), MAX_PAGE)
        found.extend(
            {"shortId": project_name(use.ids, p), "name": p.name, "id": p.uuid, "slug": p.slug} for p in page.items
        )
        after = page.next
    return Answer({"projects": found})


def list_applications(use: Services, who: Principal, project: str | None) -> dict[str, Any]:
    """The applications of a project: itself."""
    who.need(Scope.RUNS_READ)
    found = project_of(use, who, project)
    one = {"shortId": application_name(use.ids, found), "name": found.name, "kind": APPLICATION_KIND}
    return {"applications": [one]}


@router.get("/v1/applications")
def get_applications(use: Use, who: Who, project: ProjectName = None) -> Response:
    """The applications of a project."""
    return Answer(list_applications(use, who, project))


@router.get("/v1/applications/{applicationShortId}/environments")
def get_environments(
    use: Use, who: Who, name: Annotated[str, Path(alias="applicationShortId")], project: ProjectName = None
) -> Response:
    """The environments that take runs."""
    who.need(Scope.RUNS_READ)
    found = _application(use, who, name, project)
    items = [
        {
            "shortId": environment_name(use.ids, environment),
            "name": environment.name or environment.slug,
            "url": environment.variables.get(_ADDRESS),
            "isProduction": environment.slug in _PRODUCTION,
        }
        for environment in use.reads.environments(found.id)
        if not environment.disabled
    ]
    return Answer({"environments": items})


def _application(use: Services, who: Principal, name: str, project: str | None) -> Project:
    """The project that an application's short id stands for, within reach. Raises :class:`NotFound`."""
    named = None if project is None else project_of(use, who, project).id
    with use.store.read() as tx:
        found = project_numbered(tx, who, number(use.ids, name))
    if found is None or named not in (None, found.id):
        raise NotFound(f"no application {name[:80]!r}")
    return found


@router.get("/v1/outbound-ips")
def get_outbound_ips(use: Use) -> Response:
    """The addresses that the server's public name stands for; workers on other machines have others."""
    return Answer({"ipAddresses": addresses(urlsplit(use.settings.url).hostname or "")})


def addresses(host: str) -> list[str]:
    """The IP addresses of a host, without those that nobody else can see; none for a host that nobody knows."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)} if host else set[str]()
    except (OSError, UnicodeError):
        return []
    return sorted(address for address in found if _seen(address))


def _seen(address: str) -> bool:
    known = ipaddress.ip_address(address.partition("%")[0])
    return not (known.is_loopback or known.is_unspecified or known.is_link_local)
