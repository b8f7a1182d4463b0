"""Files about a whole run, for other programs and for people."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from resit.api.context import Use, Who
from resit.api.files import SAFE, disposition
from resit.api.native.catalog_schemas import when
from resit.api.native.routes import view_of
from resit.domain.access import Scope
from resit.domain.errors import Conflict
from resit.domain.junit import Links
from resit.domain.report import Report, ReportState
from resit.services.packed import ENTRY

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


class ReportOut(BaseModel):
    """The HTML report of a run."""

    state: str = Field(description="none, waiting, working, ready, failed or removed")
    words: str = Field(description="Why there is none")
    url: str | None = Field(description="Opens it without a token, until `expires_at`; null while there is none")
    expires_at: datetime | None
    size: int = Field(description="Bytes, without the files of results")
    tries: int = Field(description="How many workers have begun it")
    created_at: datetime | None
    finished_at: datetime | None


@router.get("/runs/{run}/report", tags=["reports"])
def read_report(use: Use, who: Who, run: str) -> ReportOut:
    """How far the HTML report of a run got, and where it is. Only frameworks that have one make one."""
    view = view_of(use, who, run, Scope.RESULTS_READ)
    found = use.html.standing(view.run.id)
    if found is None:
        words = "the run goes on" if view.run.status.open else "there is no HTML report of this run"
        found, state = Report(run_id=view.run.id, words=words), "none"
    else:
        state = found.state.value
    url, expires = None, None
    if found.state is ReportState.READY:
        capability, expires = use.html.sign(view.run.id)
        url = f"{use.url}/reports/{capability}/{ENTRY}"
    return ReportOut(
        state=state,
        words=found.words,
        url=url,
        expires_at=when(expires),
        size=found.size,
        tries=found.tries,
        created_at=when(found.created_at or None),
        finished_at=when(found.finished_at),
    )


@router.get("/runs/{run}/report.zip", tags=["reports"], response_class=Archive)
def read_report_files(use: Use, who: Who, run: str) -> Archive:
    """The HTML report of a run as a zip that opens from disk, with the files of results."""
    view = view_of(use, who, run, Scope.RESULTS_READ)
    found = use.html.standing(view.run.id)
    if found is None or found.state is not ReportState.READY:
        raise Conflict(f"run {view.run.id} has no HTML report (yet)", state=found.state.value if found else "none")
    headers = {**SAFE, "Content-Disposition": disposition(f"html-{view.run.id}.zip"), "Cache-Control": "no-store"}
    return Archive(use.reports.html(found), headers=headers)
