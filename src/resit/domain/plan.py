"""The plan: the exact list of tests that a run promises to execute."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlannedTest:
    """One test as its framework lists it.

    ``id`` is the framework's own identity, unique in its project: the node id of pytest, the 41-character test id of
    Playwright. ``unit`` names the tests that must stay in one process and in order (a serial group, a class); empty =
    free. ``apart``: may be executed in another process than the rest of its file, with its unit if it has one.
    """

    id: str
    file: str
    title_path: tuple[str, ...]
    variant: str = ""
    tags: tuple[str, ...] = ()
    line: int = 0
    unit: str = ""
    apart: bool = False

    @property
    def title(self) -> str:
        """The titles of groups and test, joined for people."""
        return " › ".join(self.title_path)


def unique(tests: Iterable[PlannedTest]) -> tuple[PlannedTest, ...]:
    """The tests in order, each id once: a ledger has one row a test, whatever a framework lists."""
    seen: dict[str, PlannedTest] = {}
    for test in tests:
        seen.setdefault(test.id, test)
    return tuple(seen.values())
