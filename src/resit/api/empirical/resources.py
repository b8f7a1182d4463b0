"""Resources: files and links of a project (study 1.6)."""

import asyncio
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from resit.api.context import Services, Use, Who
from resit.api.dialect import Raw, iso, load, parse
from resit.api.empirical import schemas
from resit.api.empirical.scope import Id, Paged, Scoped, answer, page_of
from resit.api.files import download
from resit.domain.access import Scope
from resit.domain.errors import Conflict, NotFound
from resit.domain.resource import Resource, ResourceStatus
from resit.services.resources import READ, WRITE

router = APIRouter()
CONTENT = r"/api/resources/[^/]+/content"
"""Where content comes in: a file may be larger than a body of JSON."""
Right = Annotated[Literal["r", "w"], Query()]
Expires = Annotated[int, Query()]
Signature = Annotated[str, Query(max_length=1000)]


def _address(use: Services, resource: Resource, right: str) -> str:
    """A signed URL of the content, good for an hour."""
    expires, signature = use.resources.sign(resource, right)
    query = urlencode({"scope": right, "exp": expires, "sig": signature})
    return f"{use.url}/api/resources/{resource.id}/content?{query}"


def resource_out(use: Services, resource: Resource) -> dict[str, Any]:
    """A resource. The URL of a file opens it for an hour; before its upload there is none."""
    url: str | None = resource.url or None
    if url is None and resource.status is ResourceStatus.UPLOADED:
        url = _address(use, resource, READ)
    return {
        "id": resource.id,
        "name": resource.name,
        "url": url,
        "description": resource.description or None,
        "mime_type": resource.mime_type or None,
        "size_bytes": resource.size,
        "status": resource.status.value,
        "access_level": "project",
        "created_by": resource.created_by or None,
        "created_at": iso(resource.created_at),
        "updated_at": iso(resource.updated_at or resource.created_at),
    }


@router.get("/api/resources")
def list_resources(use: Use, who: Who, project: Scoped, paging: Paged) -> JSONResponse:
    """The links and uploaded files of a project, newest first."""
    who.need(Scope.RUNS_READ)
    found = use.reads.resources(project.id, paging.offset, paging.size)
    return page_of("resources", [resource_out(use, item) for item in found.items], paging.of(found.total))


@router.post("/api/resources")
def add_resource(use: Use, who: Who, project: Scoped, raw: Raw) -> JSONResponse:
    """A link, or a file that is to be sent to ``upload_url`` within an hour."""
    asked = parse(schemas.ResourceNew, load(raw))
    made = use.resources.add(
        who,
        project.slug,
        name=asked.name,
        url=asked.url,
        description=asked.description,
        mime_type=asked.mime_type,
        size=None if asked.size_bytes is None else int(asked.size_bytes),
    )
    upload = None if made.url else _address(use, made, WRITE)
    return answer({"resource": {**resource_out(use, made), "upload_url": upload}})


@router.get("/api/resources/{id}")
def get_resource(use: Use, who: Who, id: Id) -> JSONResponse:
    """A resource, with a fresh URL."""
    return answer({"resource": resource_out(use, use.resources.get(who, id))})


@router.patch("/api/resources/{id}")
def change_resource(use: Use, who: Who, id: Id, raw: Raw) -> JSONResponse:
    """Rename or describe a resource. That it is uploaded is known from its content, and needs no confirmation."""
    asked = parse(schemas.ResourceChange, load(raw))
    if asked.status is not None and use.resources.get(who, id).status is not ResourceStatus.UPLOADED:
        raise Conflict(f"the content of resource {id} has not come yet: send it to its upload_url first")
    changed = use.resources.change(who, id, name=asked.name, description=asked.description)
    return answer({"resource": resource_out(use, changed)})


@router.delete("/api/resources/{id}")
def remove_resource(use: Use, who: Who, id: Id) -> JSONResponse:
    """Take a resource away with its content."""
    gone = use.resources.remove(who, id)
    use.artifacts.remove(gone.key)
    return answer({"message": f"Resource {id} was deleted"})


@router.put("/api/resources/{id}/content")
async def upload(use: Use, request: Request, id: Id, scope: Right, exp: Expires, sig: Signature) -> JSONResponse:
    """Store the content of a resource whole or not at all; the signature is the only right that is needed."""
    resource = await asyncio.to_thread(use.resources.signed, id, _only(scope, WRITE), exp, sig)
    words = {"name": resource.name, "content_type": resource.mime_type}
    size = await use.artifacts.put(resource.key, request.stream(), use.settings.max_artifact, **words)
    try:
        stored = await asyncio.to_thread(use.resources.uploaded, resource, size)
    except NotFound:
        await asyncio.to_thread(use.artifacts.remove, resource.key)
        raise
    return answer({"resource": resource_out(use, stored)})


@router.get("/api/resources/{id}/content")
def read(use: Use, id: Id, scope: Right, exp: Expires, sig: Signature) -> Response:
    """The content of a resource; the signature is the only right that is needed."""
    resource = use.resources.signed(id, _only(scope, READ), exp, sig)
    if resource.status is not ResourceStatus.UPLOADED:
        raise NotFound(f"the content of resource {id} has not come yet")
    return download(use, resource.key, resource.name, resource.mime_type)


def _only(said: str, needed: str) -> str:
    """The right that a request needs, whatever it says: a signature for another one does not open it."""
    return needed if said == needed else f"{said} for {needed}"
