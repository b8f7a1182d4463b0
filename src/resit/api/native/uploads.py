"""Where workers hand artifacts in, under the short-lived right of their run. Not for people."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Header, Path, Request, Response

from resit.api.context import Use, bearer
from resit.domain.errors import Conflict, InvalidInput, NotFound
from resit.ports import artifact_key
from resit.ports.telemetry import Counted

PREFIX = "/resit/v1/uploads"
router = APIRouter(prefix=PREFIX, include_in_schema=False)
Uuid = Annotated[str, Path(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


async def _whole(content: AsyncIterator[bytes], length: int) -> AsyncIterator[bytes]:
    """The content, or an error at its end when it is not what was announced: then nothing is stored."""
    size = 0
    async for piece in content:
        size += len(piece)
        yield piece
    if length and size != length:
        raise InvalidInput(f"{size} bytes came, {length} were announced")


@router.put("/{artifact_id}", status_code=204)
async def upload(
    use: Use,
    request: Request,
    artifact_id: Uuid,
    length: Annotated[int, Header(alias="Content-Length", ge=0)] = 0,
    name: Annotated[str, Header(alias="Resit-Name", max_length=2000)] = "",
    kind: Annotated[str, Header(alias="Content-Type", max_length=300)] = "",
) -> Response:
    """Store an artifact whole or not at all. ``Resit-Name`` is its name, with ``%`` before what is not plain."""
    run = await asyncio.to_thread(use.work.may_upload, bearer(request), artifact_id)
    size = await use.artifacts.put(
        artifact_key(run, artifact_id),
        _whole(request.stream(), length),
        use.settings.max_artifact,
        name=unquote(name),
        content_type=kind,
    )
    try:
        await asyncio.to_thread(use.work.uploaded, run, artifact_id, size)
    except (NotFound, Conflict):
        await asyncio.to_thread(use.artifacts.remove, artifact_key(run, artifact_id))
        raise
    use.telemetry.count(Counted.ARTIFACTS_STORED)
    use.telemetry.count(Counted.ARTIFACT_BYTES, size)
    return Response(status_code=204)
