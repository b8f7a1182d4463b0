"""Files about a whole run, for other programs and for people."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from resit.api.context import Use, Who
from resit.api.files import SAFE, disposition
from resit.api.native.routes import view_of
from resit.domain.access import Scope
from resit.domain.junit import Links

router = APIRouter(prefix="/resit/v1")
PIECE = 64 * 1024

Folder = Annotated[
    str, Query(max_length=500, description="Name attachments as files of this folder, not by their addresses")
]


class Xml(StreamingResponse):
    """A document that is written while it is sent."""

    media_type = "application/xml"


@router.get("/runs/{run}/junit.xml", tags=["reports"], response_class=Xml)
def read_junit(use: Use, who: Who, run: str, attachments: Folder = "") -> Xml:
    """The run as a JUnit file, whatever became of it; one that goes on as it stands now."""
    view = view_of(use, who, run, Scope.RESULTS_READ)
    links = Links(f"{use.url}/resit/v1/artifacts/", attachments.rstrip("/"))
    text = use.reports.junit(view, f"{use.url}/resit/v1/runs/{view.run.id}", links)
    headers = {**SAFE, "Content-Disposition": disposition(f"junit-{view.run.id}.xml"), "Cache-Control": "no-store"}
    return Xml(_pieces(text), headers=headers)


def _pieces(texts: Iterator[str]) -> Iterator[bytes]:
    """Joined to pieces of some size: each one that is sent is a journey to a thread."""
    held: list[str] = []
    size = 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= PIECE:
            yield "".join(held).encode()
            held, size = [], 0
    yield "".join(held).encode()


class Archive(StreamingResponse):
    """A zip that is written while it is sent."""

    media_type = "application/zip"


@router.get("/runs/{run}/blob.zip", tags=["reports"], response_class=Archive)
def read_blob(use: Use, who: Who, run: str) -> Archive:
    """A run of Playwright as its own blob report, with attachments: for `playwright merge-reports`."""
    view = view_of(use, who, run, Scope.RESULTS_READ)
    pieces = use.reports.blob(view, f"{use.url}/resit/v1/runs/{view.run.id}")
    headers = {**SAFE, "Content-Disposition": disposition(f"report-{view.run.id}.zip"), "Cache-Control": "no-store"}
    return Archive(pieces, headers=headers)
