"""Files about a whole run, written from what is stored: whatever died, whenever they are asked for."""

import base64
import mimetypes
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import PurePosixPath
from typing import BinaryIO

from resit.domain import blob, junit
from resit.domain.attempt import Attempt
from resit.domain.errors import Conflict
from resit.domain.events import BODY, Attachment
from resit.domain.ledger import state
from resit.domain.report import Report
from resit.domain.run import Run
from resit.domain.tries import shown
from resit.ports import Artifacts, Clock, Ledgered, StoredResult, artifact_key
from resit.ports.reads import Reads, RunView
from resit.services import packed
from resit.services.zipped import PIECE, Zip, pieces

AT_ONCE = 200
"""Tests that are read together; no more than these are in memory with all that is known of them."""
MAX_INLINE = 256 * 1024
"""Bytes of an attachment that stands in the blob itself, as what tests hand over without a file does."""
IN_MEMORY = 8 * 1024 * 1024
"""Bytes of events that are kept in memory while a blob is made; more go to a file that nobody else sees."""
MANY = 1_000


class RunReports:
    """Each file is made anew when it is asked for, piece by piece."""

    def __init__(self, reads: Reads, artifacts: Artifacts, clock: Clock) -> None:
        self._reads, self._artifacts, self._clock = reads, artifacts, clock

    def junit(self, view: RunView, url: str, links: junit.Links) -> Iterator[str]:
        """The run as a JUnit file. ``url``: where the run is shown. A run that goes on is told as it stands now."""
        run, now = view.run, self._clock.now()
        outlines = self._reads.outlines(run.id)
        open_rows = {outline.row.ordinal: outline.row for outline in outlines if not outline.row.final}
        suites = junit.suites(outlines)
        del outlines
        began = run.started_at or run.created_at
        about = _about(view, url)
        yield junit.begin(f"{view.project} run {run.id}", suites, (run.finished_at or now) - began, len(run.problems))
        yield junit.problems(run.problems, began, about)
        attempts = {(attempt.batch, attempt.number): attempt for attempt in self._reads.attempts(run.id)}
        found = self._tests(run, chain.from_iterable(suite.ordinals for suite in suites))
        for suite in suites:
            yield junit.begin_suite(suite, began, about)
            for _, (item, results) in zip(suite.ordinals, found, strict=False):
                # A test that has come to its end since the first line was written is told as it stood then.
                row = open_rows.get(item.row.ordinal, item.row)
                told = shown(run, row, results if row.final else (), now)
                case = junit.Case(item.test, row, told, _of_test(item, attempts.get((row.batch, told.attempt))))
                yield junit.case(case, links)
            yield junit.END_SUITE
        yield junit.END

    def blob(self, view: RunView, url: str, workdir: str = "", *, light: bool = False) -> Iterator[bytes]:
        """The run as Playwright's blob report: a zip, piece by piece. ``workdir``: see :class:`resit.domain.blob.Blob`.

        ``light``: each file in it holds nothing but the id of the artifact that it stands for.
        Raises :class:`Conflict` for a run of another framework, before the first piece.
        """
        if not blob.has_blob(view.run):
            raise Conflict(
                f"run {view.run.id} is no run of Playwright: it has no blob report, but a JUnit file",
                framework=view.run.facts.framework,
            )
        return self._blob(view, url, workdir, light)

    def _blob(self, view: RunView, url: str, workdir: str, light: bool) -> Iterator[bytes]:
        run, now = view.run, self._clock.now()
        made = blob.Blob(run, now=now, workdir=workdir, about=_ci(view, url))
        files = _Files(self._artifacts, run.id, self._stored(run.id))
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as events:
            # What comes first in the file needs a look at all tests.
            ordinals = [outline.row.ordinal for outline in self._reads.outlines(run.id)]
            for item, results in self._tests(run, ordinals):
                told = shown(run, item.row, results if item.row.final else (), now)
                events.writelines(line.encode() for line in made.test(item.test, item.row, told, files.place))
            events.seek(0)
            zip_ = Zip()
            for id, name in files.named.items():
                content = [id.encode()] if light else pieces(self._artifacts, artifact_key(run.id, id))
                yield from zip_.add(name, content)
            lines = chain((line.encode() for line in made.head()), iter(lambda: events.read(PIECE), b""))
            yield from zip_.add(blob.REPORT, chain(lines, (line.encode() for line in made.tail())), packed=True)
            yield from zip_.end()

    def html(self, report: Report) -> Iterator[bytes]:
        """A report that a worker made, with the files of results: a zip that opens from disk, piece by piece.

        Raises :class:`NotFound`, :class:`InvalidInput` before the first piece.
        """
        file = self._artifacts.reader(report.key)
        try:
            contents = packed.read(file, report.size)
        except BaseException:
            file.close()
            raise
        return self._html(report, file, contents)

    def _html(self, report: Report, file: BinaryIO, contents: packed.Packed) -> Iterator[bytes]:
        zip_ = Zip()
        with file, zipfile.ZipFile(file) as found:
            for name in contents.files:
                with found.open(name) as content:
                    yield from zip_.add(name, iter(lambda content=content: content.read(PIECE), b""))
            for name, id in contents.elsewhere.items():
                if packed.is_artifact(id):
                    yield from zip_.add(name, pieces(self._artifacts, artifact_key(report.run_id, id)))
            yield from zip_.end()

    def _stored(self, run_id: int) -> set[str]:
        """The artifacts of a run that are there."""
        found: set[str] = set()
        after: str | None = ""
        while after is not None:
            page = self._reads.artifacts(run_id, after, MANY)
            found.update(artifact.id for artifact, _ in page.items if artifact.stored)
            after = page.next
        return found

    def _tests(self, run: Run, ordinals: Iterable[int]) -> Iterator[tuple[Ledgered, Sequence[StoredResult]]]:
        """Rows with their results, in this order."""
        left = iter(ordinals)
        while some := list(islice(left, AT_ONCE)):
            rows: Mapping[int, Ledgered] = self._reads.rows_of(run.id, some)
            results = self._reads.results(run.id, some)
            for ordinal in some:
                yield rows[ordinal], results[ordinal]


class _Files:
    """Attachments in a blob, each under a name of its own."""

    def __init__(self, artifacts: Artifacts, run_id: int, stored: set[str]) -> None:
        self._artifacts, self._run_id, self._stored = artifacts, run_id, stored
        self.named: dict[str, str] = {}

    def place(self, attachment: Attachment) -> Mapping[str, str]:
        """See :data:`resit.domain.blob.Attach`. One that never came says so in its place."""
        if attachment.id not in self._stored:
            words = f"The file {attachment.name!r} was not handed over before its worker ended."
            return {"contentType": "text/plain", "base64": _base64(words.encode())}
        if attachment.origin == BODY and attachment.size <= MAX_INLINE:
            content = b"".join(pieces(self._artifacts, artifact_key(self._run_id, attachment.id)))
            return {"base64": _base64(content)}
        kind = mimetypes.guess_extension(attachment.content_type.partition(";")[0].strip())
        name = f"{attachment.id}{kind or PurePosixPath(attachment.name).suffix or '.dat'}"
        self.named[attachment.id] = f"{blob.RESOURCES}/{name}"
        return {"path": self.named[attachment.id]}


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _ci(view: RunView, url: str) -> dict[str, str]:
    """What the page of a Playwright report says of where it comes from; its own words for it."""
    run = view.run
    said = {
        "commitHash": run.build.commit or run.commit,
        "commitHref": run.build.commit_url,
        "branch": run.build.branch or run.branch,
        "buildHref": url,
    }
    return {name: text for name, text in said.items() if text}


def _about(view: RunView, url: str) -> list[tuple[str, str]]:
    run = view.run
    said = [
        ("run", str(run.id)),
        ("run_uuid", run.uuid),
        ("url", url),
        ("project", view.project),
        ("environment", view.environment),
        ("status", run.status.value),
        ("verdict", run.verdict.value if run.verdict else ""),
        ("framework", run.facts.framework),
        ("branch", run.branch),
        ("commit", run.commit),
        *((f"build.{name}", getattr(run.build, name)) for name in type(run.build).__dataclass_fields__),
        ("shards", str(run.total_shards or "")),
        ("source_run", str(run.source_run_id or "")),
        ("cancel_reason", run.cancel_reason),
    ]
    return [(name, value) for name, value in said if value]


def _of_test(item: Ledgered, attempt: Attempt | None) -> list[tuple[str, str]]:
    said = [("id", item.test.id), ("state", state(item.row))]
    if item.row.snoozed:
        said.append(("snoozed", "true"))
    if attempt is not None:
        said += [("shard", str(attempt.shard)), ("worker", attempt.worker), ("attempt", str(attempt.number))]
    return said
