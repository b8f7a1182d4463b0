"""Suites of pytest, and what the executor says of them."""

import asyncio
import os
import sys
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from resit.domain.events import DidNotRun, Event, Log, NotFound, TestResult
from resit.domain.plan import PlannedTest
from resit.executors.pytest import PytestExecutor
from resit.plugin import Batch, BatchEnd, Listing, Suite

FINALS = (TestResult, NotFound, DidNotRun)
EXECUTOR = PytestExecutor()
OWN = ("PYTEST_", "RESIT_", "COV_", "COVERAGE_", "VIRTUAL_ENV", "PYTHONPATH")


def suite(tmp_path: Path, files: Mapping[str, str], ini: str = "", config: str = "") -> Suite:
    """Write a suite; ``ini`` are lines of its pytest.ini."""
    root = tmp_path / "checkout"
    for name, text in {"pytest.ini": "[pytest]\n" + textwrap.dedent(ini), **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    scratch, cache = tmp_path / "scratch", tmp_path / "cache"
    scratch.mkdir()
    cache.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # faster, and ours must be loaded all the same
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    return Suite(root, root, env, scratch, cache, config)


@dataclass
class Heard:
    """What an executor said."""

    events: list[Event] = field(default_factory=list[Event])
    end: BatchEnd = field(default_factory=BatchEnd)

    @property
    def finals(self) -> dict[str, TestResult | NotFound | DidNotRun]:
        found = [
            event
            for event in self.events
            if isinstance(event, FINALS) and not (isinstance(event, TestResult) and not event.final)
        ]
        assert len({event.test for event in found}) == len(found), "a test ended twice"
        return {event.test: event for event in found}

    @property
    def said(self) -> dict[str, str]:
        """Status, or what else happened, by id."""
        return {
            test: str(event.status) if isinstance(event, TestResult) else type(event).__name__
            for test, event in self.finals.items()
        }

    def result(self, test: str) -> TestResult:
        event = self.finals[test]
        assert isinstance(event, TestResult), event
        return event

    def tries(self, test: str) -> list[TestResult]:
        return [event for event in self.events if isinstance(event, TestResult) and event.test == test]

    @property
    def log(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Log))


def listing(where: Suite) -> Listing:
    """List a suite."""
    heard: list[Event] = []
    return asyncio.run(EXECUTOR.list(where, heard.append))


def run(where: Suite, tests: Iterable[PlannedTest | str], *, expect_all: bool = True, lanes: int = 1) -> Heard:
    """Run tests as one batch, as a worker does: it says which files, and that there is no further batch."""
    planned = tuple(
        test if isinstance(test, PlannedTest) else PlannedTest(test, test.partition("::")[0], (test,)) for test in tests
    )
    heard = Heard()

    async def main() -> None:
        files = tuple(sorted({test.file for test in planned}))
        session = await EXECUTOR.open(replace(where, files=files), lanes)
        running = asyncio.create_task(session.run(Batch(1, planned), 0, heard.events.append))
        await asyncio.sleep(0)
        await session.hungry()
        await session.last()
        heard.end = await running
        await session.close()

    asyncio.run(main())
    if expect_all:
        assert set(heard.finals) == {test.id for test in planned}
    return heard
