"""Outcomes of the tests of a run, and their outputs."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BeforeValidator

from resit.api.ccextractor import outputs, views, words
from resit.api.ccextractor.common import (
    Approver,
    Id,
    Paged,
    Reader,
    Results,
    Text50,
    Text100,
    body,
    page,
    run_within,
    whole,
)
from resit.api.ccextractor.errors import Refused, unprocessable
from resit.api.ccextractor.outputs import Output
from resit.api.ccextractor.schemas import ApprovalIn
from resit.api.context import Services, Use
from resit.api.dialect import Raw
from resit.domain.access import Principal
from resit.domain.errors import NotFound
from resit.domain.events import Attachment
from resit.domain.status import Outcome
from resit.ports import Ledgered, artifact_key
from resit.ports.reads import LedgerFilter, RunView

router = APIRouter(prefix="/api/v1/runs/{run_id}/samples")

Format = Literal["text", "base64"]
DiffFormat = Literal["structured", "unified"]
Context = Annotated[int, BeforeValidator(whole), Query(ge=1, le=50)]
OUTPUT = "/{sample_id}/regression-tests/{regression_id}/outputs/{output_id}"


@router.get("")
def list_samples(
    use: Use,
    who: Reader,
    at: Paged,
    run_id: Id,
    status: words.SampleWord | None = None,
    name: Text100 = "",
    tag: Text50 = "",
    category: Text50 = "",
) -> JSONResponse:
    """The tests of a run, those without a result too (study, section 5, item 24)."""
    view = run_within(use, who, run_id)
    which = LedgerFilter(states=words.states(status) if status else (), file_part=name, folder=category, tag=tag)
    found = use.reads.ledger_slice(run_id, which, at.offset, at.limit)
    tests = views.tests_of(use, view, found.items)
    return page([views.sample_out(item, tests) for item in found.items], found.total, at)


@router.get("/{regression_test_id}")
def get_sample(use: Use, who: Reader, run_id: Id, regression_test_id: Id) -> JSONResponse:
    """One test of a run."""
    view = run_within(use, who, run_id)
    item, tests = _test(use, view, regression_test_id)
    return JSONResponse(views.sample_out(item, tests))


def _test(use: Services, view: RunView, regression_id: int) -> tuple[Ledgered, views.Tests]:
    """A test of a run by its number. Raises :class:`NotFound`."""
    items = use.reads.ledger_slice(view.run.id, LedgerFilter(case_id=regression_id), 0, 1).items
    if not items:
        raise NotFound(
            f"run {view.run.id} has no regression test {regression_id}", resource="regression_test", id=regression_id
        )
    return items[0], views.tests_of(use, view, items)


# ---------------------------------------------------------------- outputs


class _Found:
    """An output of a test of a run, and where its files are."""

    def __init__(
        self, use: Services, who: Principal, run_id: int, sample_id: int, regression_id: int, output_id: int
    ) -> None:
        view = run_within(use, who, run_id)
        item, tests = _test(use, view, regression_id)
        if tests.sample_id(item) != sample_id:
            message = f"regression test {regression_id} is not of sample {sample_id}"
            raise NotFound(message, resource="sample", id=sample_id)
        found: list[Output] = tests.outputs(item)
        if output_id > len(found):
            message = f"regression test {regression_id} has {len(found)} outputs in run {run_id}"
            raise NotFound(message, resource="output", id=output_id)
        self._use, self.output = use, found[output_id - 1]
        self.passed = item.row.outcome in (Outcome.PASSED, Outcome.FLAKY)
        self.ids = {"run_id": run_id, "sample_id": sample_id, "regression_id": regression_id, "output_id": output_id}

    def open(self, attachment: Attachment | None) -> BinaryIO | None:
        """A file of the output; None when it is not stored."""
        if attachment is None:
            return None
        try:
            return self._use.artifacts.reader(artifact_key(self.ids["run_id"], attachment.id))
        except NotFound:
            return None

    def document(self, attachment: Attachment, file: BinaryIO, text: bool) -> dict[str, Any]:
        """A file with its content."""
        return {
            **self.ids,
            "filename": attachment.name[:255],
            "content_type": attachment.content_type[:100] or "application/octet-stream",
            **outputs.content_of(file, text),
            "download_url": f"{self._use.url}/resit/v1/artifacts/{attachment.id}",
            "storage_status": "ok",
        }


@router.get(f"{OUTPUT}/expected")
def expected(
    use: Use, who: Results, run_id: Id, sample_id: Id, regression_id: Id, output_id: Id, format: Format = "base64"
) -> JSONResponse:
    """The output that was expected."""
    found = _Found(use, who, run_id, sample_id, regression_id, output_id)
    attachment, file = found.output.expected, found.open(found.output.expected)
    if attachment is None or file is None:
        raise NotFound(f"output {output_id} has no expectation that is stored", resource="output", id=output_id)
    with file:
        return JSONResponse(found.document(attachment, file, format == "text"))


@router.get(f"{OUTPUT}/actual")
def actual(
    use: Use,
    who: Results,
    request: Request,
    run_id: Id,
    sample_id: Id,
    regression_id: Id,
    output_id: Id,
    format: Format = "base64",
) -> Response:
    """The output that was produced, where it differs from what was expected."""
    found = _Found(use, who, run_id, sample_id, regression_id, output_id)
    attachment = found.output.actual
    with _both(found.open(attachment), found.open(found.output.expected)) as (file, wanted):
        if wanted and (outputs.same(file, wanted) if file else attachment is None and found.passed):
            query = f"?{request.url.query}" if request.url.query else ""
            # Relative, so that it holds under whatever prefix the request came.
            return Response(status_code=303, headers={"Location": f"expected{query}"})
        if attachment is None or file is None:
            raise Refused(404, "missing_output", "the test produced no such output", resource="output", id=output_id)
        return JSONResponse(found.document(attachment, file, format == "text"))


@contextmanager
def _both(*files: BinaryIO | None) -> Generator[tuple[BinaryIO | None, ...]]:
    """Files that are closed in the end."""
    with ExitStack() as stack:
        for file in files:
            if file is not None:
                stack.push(file)
        yield files


@router.get(f"{OUTPUT}/diff")
def diff(
    use: Use,
    who: Results,
    run_id: Id,
    sample_id: Id,
    regression_id: Id,
    output_id: Id,
    context_lines: Context = 3,
    format: DiffFormat = "structured",
) -> JSONResponse:
    """The difference between what was expected and what was produced."""
    found = _Found(use, who, run_id, sample_id, regression_id, output_id)
    with _both(found.open(found.output.expected), found.open(found.output.actual)) as files:
        try:
            before, after = (None if file is None else outputs.lines_of(file) for file in files)
        except outputs.NotComparable as error:
            raise unprocessable(str(error)) from error
    if after is None and found.output.actual is None and found.passed:
        after = before
    if before is None and after is None:
        raise NotFound(f"no file of output {output_id} is stored", resource="output", id=output_id)
    document: dict[str, Any] = {**found.ids, "format": format}
    if format == "unified":
        return JSONResponse({**document, "content": outputs.unified(before or [], after or [], context_lines)})
    if before is None or after is None:
        missing = "missing_expected" if before is None else "missing_actual"
        return JSONResponse({**document, "status": missing, **outputs.NOTHING})
    return JSONResponse({**document, **outputs.structured(before, after, context_lines)})


@router.post("/{sample_id}/baseline-approval")
def approve(use: Use, who: Approver, request: Request, raw: Raw, run_id: Id, sample_id: Id) -> JSONResponse:
    """Not supported: what is expected lives with the tests."""
    asked = body(request, raw, ApprovalIn)
    _Found(use, who, run_id, sample_id, asked.regression_id, asked.output_id)
    raise NotFound(
        "expected outputs are kept with the tests: change them in the test repository, then run again",
        resource="baseline",
    )
