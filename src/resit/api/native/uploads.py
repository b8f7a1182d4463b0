"""Where workers hand artifacts in, under the short-lived right of their run. Not for people."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from resit.api.context import Services, Use, bearer
from resit.domain.errors import Conflict, InvalidInput, NotFound
from resit.domain.report import MAX_FILES, MAX_SIZE
from resit.ports import artifact_key
from resit.ports.telemetry import Counted
from resit.services import packed

PREFIX = "/resit/v1/uploads"
MAX_REPORT = MAX_SIZE + MAX_FILES * 1024 + packed.MAX_ELSEWHERE
"""Bytes of the file of a report, with the names in it."""
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


@router.get("/report")
def read_blob(use: Use, request: Request, workdir: Annotated[str, Query(max_length=4000)] = "") -> StreamingResponse:
    """What the report of a run is made of, for the worker that makes it; files of results by their ids alone.

    ``workdir``: where the suite is on the worker's machine.
    """
    run, _ = use.html.maker(bearer(request))
    view = use.reads.run(run)
    if view is None:
        raise NotFound(f"no run {run}")
    pieces = use.reports.blob(view, f"{use.url}/resit/v1/runs/{run}", workdir, light=True)
    return StreamingResponse(pieces, media_type="application/zip", headers={"Cache-Control": "no-store"})


@router.put("/report", status_code=204)
async def upload_report(
    use: Use, request: Request, length: Annotated[int, Header(alias="Content-Length", ge=0)] = 0
) -> Response:
    """Store a report whole or not at all. Of several workers that made one, the last that began it is heard."""
    run, claim = await asyncio.to_thread(use.html.maker, bearer(request))
    # A file of this worker's own: what another one has stored is never written over.
    key = artifact_key(run, f"report-{use.ids.uuid()}")
    size = await use.artifacts.put(key, _whole(request.stream(), length), MAX_REPORT, name=f"report-{run}.zip")
    try:
        await asyncio.to_thread(_check_report, use, key, size)
        await asyncio.to_thread(use.html.made, run, claim, key, size)
    except (NotFound, Conflict, InvalidInput) as error:
        await asyncio.to_thread(use.artifacts.remove, key)
        if isinstance(error, InvalidInput):
            await asyncio.to_thread(use.html.refused, run, claim, error.message)
        raise
    use.telemetry.count(Counted.ARTIFACT_BYTES, size)
    return Response(status_code=204)


def _check_report(use: Services, key: str, size: int) -> None:
    with use.artifacts.reader(key) as file:
        packed.read(file, size)


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
