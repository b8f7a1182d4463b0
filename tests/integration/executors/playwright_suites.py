"""Suites of Playwright, and what the executor says of them."""

import asyncio
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from resit.domain.events import DidNotRun, Event, Log, NotFound, TestResult
from resit.domain.plan import PlannedTest
from resit.executors.playwright import PlaywrightExecutor, PlaywrightSession
from resit.plugin import Batch, BatchEnd, Limits, Listing, Suite

NODE_MODULES = Path(__file__).parents[2] / "node" / "node_modules"
PACKAGES = {"1.65": "@playwright/test", "1.58": "playwright-1-58", "1.44": "playwright-1-44"}
_ALL = bool(os.environ.get("RESIT_ALL_VERSIONS"))
ENDS = list(PACKAGES) if _ALL else ["1.65", "1.44"]
"""The newest and the oldest; with ``RESIT_ALL_VERSIONS=1`` those between as well."""
NEWEST = list(PACKAGES) if _ALL else ["1.65"]
"""For what takes long: the newest alone, unless all are asked for."""


@dataclass
class Seen:
    """What a sink received, and what ``run`` returned."""

    events: list[Event] = field(default_factory=list[Event])
    end: BatchEnd = field(default_factory=BatchEnd)

    @property
    def log(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Log))

    def finals(self) -> dict[str, TestResult | NotFound | DidNotRun]:
        """The final event of each test; fails when a test has two."""
        finals: dict[str, TestResult | NotFound | DidNotRun] = {}
        for event in self.events:
            if isinstance(event, NotFound | DidNotRun) or (isinstance(event, TestResult) and event.final):
                assert event.test not in finals, event
                finals[event.test] = event
        return finals

    def results(self, test: str) -> list[TestResult]:
        return [event for event in self.events if isinstance(event, TestResult) and event.test == test]

    def outcome(self, test: str) -> str:
        final = self.finals()[test]
        if not isinstance(final, TestResult):
            return "did not run" if isinstance(final, DidNotRun) else "not found"
        failed = any(r.status in ("failed", "timed_out", "errored") for r in self.results(test))
        if final.status in ("passed", "skipped") and failed:
            return "flaky"
        return str(final.status)


@dataclass
class Place:
    """A suite in a folder, with a version of Playwright."""

    suite: Suite
    listing: Listing = field(default_factory=lambda: Listing((), ""))

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.suite.workdir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")

    async def list(self) -> Listing:
        self.listing = await PlaywrightExecutor().list(self.suite, lambda event: None)
        return self.listing

    async def open(self, lanes: int = 1) -> PlaywrightSession:
        return await PlaywrightExecutor().open(self.suite, lanes)

    async def run(
        self, tests: Iterable[PlannedTest] | None = None, lanes: int = 1, limits: Limits | None = None
    ) -> Seen:
        seen = Seen()
        session = await self.open(lanes)
        batch = Batch(1, self.listing.tests if tests is None else tuple(tests), limits or Limits())
        seen.end = await asyncio.wait_for(session.run(batch, 0, seen.events.append), 180)
        await session.close()
        assert set(seen.finals()) == {test.id for test in batch.tests}
        return seen

    def named(self, title: str, variant: str | None = None) -> PlannedTest:
        """The one test whose full title is ``title``."""
        found = [t for t in self.listing.tests if t.title == title and variant in (None, t.variant)]
        assert len(found) == 1, (title, [t.title for t in self.listing.tests])
        return found[0]


def make(
    folder: Path, version: str, files: dict[str, str], *, config: str = "", env: dict[str, str] | None = None
) -> Place:
    workdir = folder / "suite"
    link = workdir / "node_modules" / "@playwright" / "test"
    link.parent.mkdir(parents=True)
    link.symlink_to(NODE_MODULES / PACKAGES[version])
    for name in ("scratch", "home"):
        (folder / name).mkdir()
    # The transform cache is shared by all tests here, as it is by all runs of a worker.
    cache = Path(tempfile.gettempdir()) / f"resit-tests-{os.getuid()}"
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), **(env or {})}
    place = Place(Suite(workdir, workdir, environ, folder / "scratch", cache, config))
    place.write(files)
    return place


def gone(test: PlannedTest) -> PlannedTest:
    """A test of the same file that nobody declares any more."""
    return PlannedTest("0123456789abcdef0123-0123456789abcdef0123", test.file, ("was renamed",), test.variant)


def alive(token: str) -> list[str]:
    """Command lines of living processes that hold ``token`` in their environment."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if token.encode() in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
    return found
