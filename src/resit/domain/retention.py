"""Which runs go: by age, number and size, the oldest first.

Never: a run that is open, that somebody keeps, that an open run is a re-run of, or that has ended only just now - what
belongs to it may still be coming in. The last run of a project that ended outlives limits of number and size. Runs
that are kept count for no limit: what somebody keeps does not drive out what nobody does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from resit.domain.errors import InvalidInput

GRACE_SECONDS = 3600.0
"""How long a run stays at least after its end: uploads, reports and notices of it may be under way."""
DAY = 86_400.0
MAX_DAYS = 36_500.0
MAX_RUNS = 2**31 - 1
MAX_BYTES = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The limits of a project: age in days, number of runs, bytes of their files; 0: no such limit."""

    days: float = 0.0
    runs: int = 0
    bytes: int = 0

    @property
    def any(self) -> bool:
        """Whether there is a limit."""
        return bool(self.days or self.runs or self.bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A run, as far as it matters here. ``needed``: an open run is a re-run of it. ``bytes``: of its files."""

    id: int
    ended_at: float | None = None
    """None while it is open."""
    kept: bool = False
    needed: bool = False
    bytes: int = 0

    def may_go(self, now: float) -> bool:
        """Whether a limit can reach it."""
        return self.ended_at is not None and self.ended_at <= now - GRACE_SECONDS and not self.kept and not self.needed


def doomed(runs: Sequence[Standing], policy: Policy, now: float) -> list[int]:
    """The runs of one project that go, oldest first. ``runs`` may be in any order: greater numbers are newer."""
    found: list[int] = []
    number = size = 0
    newest = True
    for run in sorted(runs, key=lambda run: -run.id):
        if run.kept:
            continue
        number += 1
        size += run.bytes
        last = newest and run.ended_at is not None
        newest = newest and not last
        beyond = not last and ((policy.runs and number > policy.runs) or (policy.bytes and size > policy.bytes))
        old = policy.days and run.ended_at is not None and run.ended_at < now - policy.days * DAY
        if (beyond or old) and run.may_go(now):
            found.append(run.id)
    return found[::-1]


def check_policy(days: float, runs: int, bytes: int) -> None:
    """Raises :class:`InvalidInput` for limits that are none."""
    for field, value, most in (
        ("keep_days", days, MAX_DAYS),
        ("keep_runs", runs, MAX_RUNS),
        ("keep_bytes", bytes, MAX_BYTES),
    ):
        if not 0 <= value <= most:
            raise InvalidInput(f"{field} is from 0 (no limit) to {most:.0f}", field=field)
