"""Snoozes: dated overlays that stop an outcome from blocking. A snooze never edits a result (product words)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from resit.domain.errors import InvalidInput

MAX_TESTS = 1_000
"""Tests of one snooze."""
MAX_DAYS = 366.0
"""A snooze ends; what should never block again belongs in the suite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snooze:
    """Tests whose failures do not block until ``until`` (seconds since the epoch).

    ``tests`` holds names of tests as they were given: a framework's id, a test case's key or its UUID.
    ``environment_id`` None: in every environment of the project.
    """

    id: int
    project_id: int
    tests: tuple[str, ...]
    until: float
    description: str = ""
    created_by: str = ""
    from_run_id: int | None = None
    environment_id: int | None = None
    created_at: float = 0.0
    updated_at: float = 0.0

    def active(self, at: float) -> bool:
        """True while it lasts; it begins when it is made."""
        return self.created_at <= at < self.until


def covering(snoozes: Iterable[Snooze], environment_id: int, at: float) -> tuple[Snooze, ...]:
    """The snoozes that hold in an environment at a time."""
    return tuple(s for s in snoozes if s.active(at) and s.environment_id in (None, environment_id))


def covers(snoozes: Iterable[Snooze], *names: str) -> bool:
    """True when one of the snoozes names the test, by whichever of its names."""
    return any(name in snooze.tests for snooze in snoozes for name in names)


def names(snoozes: Iterable[Snooze]) -> frozenset[str]:
    """All names of tests in snoozes: to ask of many tests whether they are covered."""
    return frozenset(name for snooze in snoozes for name in snooze.tests)


def check_tests(tests: Collection[str]) -> None:
    """Raise :class:`InvalidInput` for a snooze that would cover nothing, or too much."""
    if not tests:
        raise InvalidInput("a snooze names at least one test", field="tests")
    if len(tests) > MAX_TESTS:
        raise InvalidInput(f"a snooze names at most {MAX_TESTS} tests", field="tests")


def check_until(until: float, now: float) -> None:
    """Raise :class:`InvalidInput` for a snooze that ends in the past, or lasts too long."""
    if not until > now:  # nor is "no number" (NaN) in the future
        raise InvalidInput("a snooze ends in the future; to end one now, expire it", field="until")
    if until > now + MAX_DAYS * 86400:
        raise InvalidInput(f"a snooze lasts at most {MAX_DAYS:.0f} days", field="until")
