"""pytest: any suite that the ``pytest`` command runs, selected by exact id, without a change in the repository.

Its processes are started exactly as ``pytest`` in the working directory, and a plugin (``injected/resit_pytest.py``)
lists, selects and reports. No file and no id goes onto the command line: arguments would move the root directory,
replace ``testpaths``, and one unknown id among them stops everything. Sessions are of two kinds: lanes that pull tests
(:mod:`resit.executors.pytest_lanes`), and a process a batch where those can't be.
"""

from typing import Any

from resit.domain.plan import PlannedTest, unique
from resit.executors.pytest_batches import BatchesSession
from resit.executors.pytest_command import Command, Tail, Versions, process_of
from resit.executors.pytest_events import collection_failure
from resit.executors.pytest_lanes import LanesSession
from resit.executors.stacks import Hang
from resit.executors.watch import Watch
from resit.plugin import CollectionFailed, Listing, Sink, Suite

__all__ = ["PytestExecutor"]

_DISPATCH_COST = 0.8  # seconds to start one more pytest; measured, as those below
_LANE_COST = 0.05
_BATCH_COST = 0.02


class PytestExecutor:
    """Suites of pytest 7.0 or later, on Python 3.8 or later."""

    name = "pytest"

    def __init__(self) -> None:
        self._versions = Versions()
        self._without_lanes: set[str] = set()

    async def list(self, suite: Suite, sink: Sink) -> Listing:
        """List the tests with ``--collect-only``; modules skipped at collection are tests of the plan, too.

        Raises :class:`NotASuite` when there is no pytest, :class:`CollectionFailed` naming the first error.
        """
        command = await Command.find(suite, self._versions, sink)
        rows: list[PlannedTest] = []
        skipped: list[PlannedTest] = []
        errors: dict[str, str] = {}
        about: dict[str, dict[str, Any]] = {}
        stacks: dict[int, tuple[int, str]] = {}

        def on_line(line: dict[str, Any]) -> None:
            match line["kind"]:
                case "stacks":
                    stacks[line["pid"]] = line["signal"], line["path"]
                case "tests":
                    rows.extend(_planned(test) for test in line["tests"])
                case "collect_skip":
                    skipped.append(_module(line["id"], line["line"]))
                case "collect_error":
                    errors[line["id"]] = line["text"]
                case _:
                    about[line["kind"]] = line

        tail, watch = Tail(sink), Watch(suite.limits, "listing")
        arguments = ("--collect-only", "-q")
        async with process_of(command, "list", {"mode": "list"}, on_line, tail, watch, arguments) as running:
            exit = await running.ended(stacks, lambda: [about.get("collecting", {}).get("id", "")])
        if isinstance(exit, Hang):
            raise CollectionFailed(f"pytest could not list the tests: {exit.message}\n{exit.stack}".strip())
        if errors and not about.get("session", {}).get("keep_on"):
            raise collection_failure(errors)
        end = about.get("end")
        if end is None or end["status"] not in (0, 1, 5) or "trouble" in about:
            why = about["trouble"]["text"] if "trouble" in about else end["reason"] if end else ""
            raise CollectionFailed(f"pytest could not list the tests ({exit}). {why}\n{tail.text}".strip())
        rows += skipped + [_module(place, 0) for place in errors]
        framework = f"pytest {command.version}"
        if "classic" in about:
            self._without_lanes.add(command.key)
            return Listing(unique(rows), framework, dispatch_cost=_DISPATCH_COST)
        self._without_lanes.discard(command.key)
        return Listing(
            unique(rows),
            framework,
            shares_process=True,
            dispatch_cost=_DISPATCH_COST,
            batch_cost=_BATCH_COST,
            lane_cost=_LANE_COST,
        )

    async def open(self, suite: Suite, lanes: int) -> BatchesSession | LanesSession:
        """Open ``suite``; nothing is started yet."""
        command = await Command.find(suite, self._versions, lambda _event: None)
        if command.key in self._without_lanes:
            return BatchesSession(command)
        return LanesSession(command, lanes)


def _planned(test: dict[str, Any]) -> PlannedTest:
    return PlannedTest(
        id=test["id"],
        file=test["file"],
        title_path=tuple(test["title"]),
        tags=tuple(test["tags"]),
        line=test["line"],
        unit=test["unit"],
        apart=test["apart"],
    )


def _module(place: str, line: int) -> PlannedTest:
    """The row of a module that has no tests because it was skipped, or is broken in a suite that keeps on."""
    return PlannedTest(place, place.partition("::")[0], ("(module)",), line=line)
