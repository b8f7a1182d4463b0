"""Making the framework's own report of a finished run, in the workspace of its commit."""

import asyncio
import contextlib
import json
import logging
import os
import time
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from resit.domain.events import Log
from resit.domain.fleet import REPORTS
from resit.domain.report import MAKE_SECONDS, MAX_FILES, MAX_SIZE
from resit.plugin import Event, ExecutorError, Limits, ReportMaker, Suite
from resit.ports import BrokerAway, Delivery
from resit.worker.lease import CANCEL_SECONDS, Lease
from resit.worker.work import RunOver, RunWork, ask
from resit.worker.workspace import WorkspaceError

log = logging.getLogger(__name__)
INDEX = "resit.json"
"""The list, in the zip, of files that are results' own: they are not in it, but stored already."""
DATA = "data"
"""The folder with files of results in a report."""
MAX_BLOB = 1024 * 1024 * 1024
RETURN_SECONDS = 1.0
"""How long a worker that goes tries to say so."""
_TAIL = 2000


class ReportWork(RunWork):
    """Make the report of a run. It goes on whatever becomes of the run: that is over already."""

    word = "makes its report"
    stoppable = False

    async def execute(self, delivery: Delivery) -> None:
        """Hand the report over, or say why there is none."""
        lease = self.held.leases[self] = Lease(delivery, self.pulse)
        self._printed = ""
        self._task = asyncio.create_task(self._make())
        if self.stopping:
            self._task.cancel()
        try:
            await self._task
        except asyncio.CancelledError:
            if not self.stopping:
                raise
        finally:
            if self.leaving:
                with contextlib.suppress(BrokerAway, TimeoutError):
                    question = json.dumps(self._word("returned")).encode()
                    await self.tools.broker.ask("report", question, RETURN_SECONDS)
            await self.clean()
            del self.held.leases[self]
        await lease.settle(back=self.leaving)

    @property
    def busy(self) -> bool:
        """False: what stops a run does not stop this."""
        return False

    def places(self) -> list[tuple[int, int, int, float]]:
        """What its slot does."""
        return [(self.run, REPORTS, 0, round(time.monotonic() - self.began, 1))]

    def wind_up(self) -> bool:
        """It is worth waiting for: it takes seconds."""
        self.draining = True
        return True

    async def _asked(self, shard: int) -> dict[str, Any]:
        return json.loads(await ask(self.tools.broker, "report", self._word("begin")))

    def _word(self, what: str, **more: str) -> dict[str, Any]:
        return {"run": self.run, "worker": self.tools.name, "claim": self.claim, "what": what, **more}

    def _log(self, shard: int, text: str) -> None:
        """The log of the run is as it was at its end: what is printed now is told when there is no report."""
        self._printed = (self._printed + self.scrubber.text(text))[-_TAIL:]

    async def _make(self) -> None:
        try:
            spec, executor, suite = await self.prepare(0)
            if not isinstance(executor, ReportMaker):
                raise ExecutorError(f"the executor {spec['executor']!r} of this worker makes no reports")
            secrets = set(spec["secrets"])
            suite = replace(
                suite,
                # Nothing of the suite is executed: what its tests may know is not needed.
                env={name: value for name, value in suite.env.items() if value not in secrets},
                limits=Limits(total=MAKE_SECONDS),
            )
            report = await self._made(executor, suite, spec["upload"])
            self.pulse.begin(Limits(total=MAKE_SECONDS))
            if not await self.tools.uploads.send(spec["upload"]["url"], spec["upload"]["token"], "report", report):
                raise ExecutorError("the server did not take the report: its log says why")
        except RunOver:
            return
        except (WorkspaceError, ExecutorError) as error:
            words = self.scrubber.text(str(error))
            if isinstance(error, WorkspaceError) and self._printed.strip():
                words += f"\n{self._printed.strip()}"
            log.warning("run %s: no report: %s", self.run, words)
            self.pulse.rest()
            await ask(self.tools.broker, "report", self._word("failed", words=words))

    async def _made(self, executor: ReportMaker, suite: Suite, upload: dict[str, str]) -> Path:
        """The report, in one file."""
        self.pulse.begin(Limits(total=2 * MAKE_SECONDS + CANCEL_SECONDS))
        blob, to, packed = suite.scratch / "blob", suite.scratch / "report", suite.scratch / "report.zip"
        blob.mkdir()
        url = f"{upload['url']}/report?{urlencode({'workdir': str(suite.workdir)})}"
        if not await self.tools.uploads.fetch(url, upload["token"], blob / "report.zip", MAX_BLOB):
            raise ExecutorError("the server did not hand out what the report is made of: its log says why")
        self._go_on()
        await executor.report(suite, blob, to, self._sink)
        self._go_on()
        await self.release()
        try:
            stubs = await asyncio.to_thread(stubs_of, blob / "report.zip")
            await asyncio.to_thread(pack, to, stubs, packed)
        except OSError as error:
            raise ExecutorError(f"the report can't be packed: {error}; look at this worker's disk") from error
        return packed

    def _sink(self, event: Event) -> None:
        if isinstance(event, Log) and event.text:
            self._log(0, event.text)


def stubs_of(blob: Path) -> set[str]:
    """The ids of artifacts that stand in a blob in place of files."""
    with zipfile.ZipFile(blob) as found:
        return {Path(name).stem for name in found.namelist() if "/" in name}


def pack(folder: Path, stubs: Collection[str], to: Path) -> None:
    """Put a report into one file, not compressed, so that each part of it can be read where it lies.

    A file that is a stub, which holds one of the ``stubs`` and nothing else, is named in :data:`INDEX` instead. Raises
    :class:`ExecutorError` for a report beyond the limits, and OSError.
    """
    elsewhere: dict[str, str] = {}
    size = number = 0
    with zipfile.ZipFile(to, "w", zipfile.ZIP_STORED) as file:
        for path in _files(folder):
            name = path.relative_to(folder).as_posix()
            length = path.stat().st_size
            number += 1
            if number > MAX_FILES:
                raise ExecutorError(f"the report has more than {MAX_FILES} files")
            if name.startswith(f"{DATA}/") and length == _ID_LENGTH and (text := path.read_text("latin-1")) in stubs:
                elsewhere[name] = text
                continue
            size += length
            if size > MAX_SIZE:
                raise ExecutorError(f"the report is larger than {MAX_SIZE // 1024**2} MB, without the files of results")
            file.write(path, name)
        file.writestr(INDEX, json.dumps(elsewhere))


_ID_LENGTH = 36


def _files(folder: Path) -> Iterator[Path]:
    """The files below a folder, in order; what is no file of its own (a link) is left out."""
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(where, name)
            if not path.is_symlink() and path.is_file():
                yield path
