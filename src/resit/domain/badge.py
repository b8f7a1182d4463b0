"""Badges: how the newest runs stand, in a few words for a README. What colour that has is for those who draw.

The words are those that the vendors' badges show (Empirical, study 2.12; QA.tech, study 1.10).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import assert_never

from resit.domain.ledger import Counts
from resit.domain.run import Problem, Run
from resit.domain.status import RunStatus, Verdict

MAX_LABEL = 60
"""Characters of a label or a message that are shown."""
MAX_HISTORY = 50
"""Runs that a trend shows at most."""
HISTORY = 10
"""Runs that a trend shows when nothing is said."""
_WAITING = (RunStatus.REQUESTED, RunStatus.ADMITTED)
_CHANGES = 3


class BadgeState(StrEnum):
    """How something stands, in the words of a badge."""

    PASSING = "passing"
    FAILING = "failing"
    ERROR = "error"
    PARTIAL = "partial"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    PENDING = "pending"
    RUNNING = "running"
    FLAKY = "flaky"
    NO_TESTS = "no tests"
    NO_RUNS = "no runs"
    NOT_FOUND = "not found"
    RAINBOW = "rainbow"


class BadgeStyle(StrEnum):
    """How much a badge shows: the state alone; with its label; with counts; with how the last runs came out."""

    MINIMAL = "minimal"
    STANDARD = "standard"
    DETAILED = "detailed"
    TREND = "trend"


class Trend(StrEnum):
    """Where the last runs go."""

    IMPROVING = "improving"
    DECLINING = "declining"
    FLUCTUATING = "fluctuating"
    STABLE = "stable"


class Sample(StrEnum):
    """Badges that are made up, to choose from (QA.tech, study 1.10)."""

    FAILING = "failing"
    PASSING = "passing"
    PENDING = "pending"
    RUNNING = "running"
    RAINBOW = "rainbow"
    PARTIAL = "partial"
    ERROR = "error"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    MIXED = "mixed"
    TREND_IMPROVING = "trend-improving"
    TREND_DECLINING = "trend-declining"
    TREND_FLUCTUATING = "trend-fluctuating"
    TREND_STABLE = "trend-stable"
    ZERO_TESTS = "zero-tests"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a badge. ``state`` gives its colour; None is neutral."""

    text: str
    state: BadgeState | None = None


@dataclass(frozen=True, slots=True)
class Badge:
    """What a badge shows, from left to right. ``label`` empty: none. ``history``: oldest first, drawn as bars."""

    label: str
    parts: tuple[Part, ...]
    history: tuple[BadgeState, ...] = ()

    @property
    def text(self) -> str:
        """All of it in words."""
        said = ", ".join(part.text for part in self.parts)
        return f"{self.label}: {said}" if self.label else said


def badge_state(run: Run | None, *, fine: bool = False) -> BadgeState:
    """How a run stands; None: there is no run.

    ``fine`` tells more apart: a run that waits (*pending*) from one at work, one of which only a part came to its end
    (*partial*) and one that had no tests from other errors.
    """
    if run is None:
        return BadgeState.NO_RUNS
    match run.status:
        case RunStatus.CANCELLED:
            return BadgeState.CANCELLED
        case RunStatus.FINISHED:
            return _closed(run, fine)
        case (
            RunStatus.REQUESTED | RunStatus.ADMITTED | RunStatus.PLANNING | RunStatus.RUNNING | RunStatus.FINALIZING
        ) as status:
            return BadgeState.PENDING if fine and status in _WAITING else BadgeState.RUNNING
        case _:
            assert_never(run.status)


def _closed(run: Run, fine: bool) -> BadgeState:
    match run.verdict:
        case Verdict.PASSED:
            return BadgeState.PASSING
        case Verdict.FAILED:
            return BadgeState.FAILING
        case Verdict.SKIPPED:
            return BadgeState.SKIPPED
        case Verdict.ERRORED | None:
            if fine and any(problem.code == "no_tests" for problem in run.problems):
                return BadgeState.NO_TESTS
            if fine and 0 < run.counts.cancelled < run.counts.final:
                return BadgeState.PARTIAL
            return BadgeState.ERROR
        case _:
            assert_never(run.verdict)


def trend(history: Sequence[BadgeState]) -> Trend:
    """Where runs go, oldest first, by the share that pass in the older and in the newer half.

    Three changes or more between passing and not, whatever the halves say, are *fluctuating*. Open runs say nothing.
    """
    said = [state is BadgeState.PASSING for state in history if state not in (BadgeState.RUNNING, BadgeState.PENDING)]
    if sum(one is not other for one, other in pairwise(said)) >= _CHANGES:
        return Trend.FLUCTUATING
    half = len(said) // 2
    older, newer = sum(said[:half]), sum(said[len(said) - half :])
    if older == newer:
        return Trend.STABLE
    return Trend.IMPROVING if newer > older else Trend.DECLINING


def age(seconds: float) -> str:
    """How long ago something was, in the largest unit that fits: ``now``, ``5m ago``, ``3h ago``, ``12d ago``."""
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= length:
            return f"{int(seconds // length)}{unit} ago"
    return "now"


def _counted(counts: Counts) -> tuple[Part, ...]:
    """The counts of a run, worst first."""
    failed = counts.red - counts.errored
    words = (
        (failed, "failed", BadgeState.FAILING),
        (counts.errored, "errored", BadgeState.ERROR),
        (counts.flaky, "flaky", BadgeState.FLAKY),
        (counts.cancelled, "cancelled", BadgeState.CANCELLED),
        (counts.skipped - counts.precluded, "skipped", BadgeState.SKIPPED),
        (counts.passed, "passed", BadgeState.PASSING),
    )
    return tuple(Part(f"{number} {word}", state) for number, word, state in words if number)


def badge(
    label: str,
    runs: Sequence[Run],
    style: BadgeStyle = BadgeStyle.STANDARD,
    *,
    now: float | None = None,
    count: int = HISTORY,
    fine: bool = True,
) -> Badge:
    """The badge of runs, newest first. ``now``: show how long ago the newest one was. ``count``: of a trend's runs."""
    newest = runs[0] if runs else None
    state = badge_state(newest, fine=fine)
    parts, history = (Part(state.value, state),), tuple[BadgeState, ...]()
    match style:
        case BadgeStyle.MINIMAL:
            label = ""
        case BadgeStyle.STANDARD:
            pass
        case BadgeStyle.DETAILED:
            # counts say how a closed run came out; of an open one they would look like it
            if newest is not None and not newest.status.open:
                parts = _counted(newest.counts) or parts
        case BadgeStyle.TREND:
            shown = runs[: min(max(count, 1), MAX_HISTORY)]
            history = tuple(badge_state(run, fine=fine) for run in reversed(shown))
            parts = (*parts, Part(trend(history).value)) if history else parts
        case _:
            assert_never(style)
    if now is not None and newest is not None:
        parts = (*parts, Part(age(now - (newest.finished_at or newest.started_at or newest.created_at))))
    return Badge(label, parts, history)


def not_found(label: str) -> Badge:
    """The badge of what is not there, or not for the one who asks."""
    return Badge(label, (Part(BadgeState.NOT_FOUND.value, BadgeState.NOT_FOUND),))


def sample(
    which: Sample, label: str, style: BadgeStyle = BadgeStyle.STANDARD, *, dated: bool = False, count: int = HISTORY
) -> Badge:
    """A badge that is made up. Samples of trends are trends whatever the style; ``dated``: of two hours ago."""
    now = 7_200.0 if dated else None
    match which:
        case Sample.RAINBOW:
            parts = (Part(BadgeState.RAINBOW.value, BadgeState.RAINBOW),)
            return Badge("" if style is BadgeStyle.MINIMAL else label, (*parts, Part(age(now))) if now else parts)
        case Sample.TREND_IMPROVING:
            return badge(label, _past("FFFFPPPPP"), BadgeStyle.TREND, now=now, count=count)
        case Sample.TREND_DECLINING:
            return badge(label, _past("PPPPPFFFF"), BadgeStyle.TREND, now=now, count=count)
        case Sample.TREND_FLUCTUATING:
            return badge(label, _past("PFPPFPFFP"), BadgeStyle.TREND, now=now, count=count)
        case Sample.TREND_STABLE:
            return badge(label, _past("PPPPPPPPP"), BadgeStyle.TREND, now=now, count=count)
        case _:
            return badge(label, [_RUNS[which]], style, now=now, count=count)


def _past(letters: str) -> list[Run]:
    """Runs that passed or failed, given oldest first."""
    one = {"P": _RUNS[Sample.PASSING], "F": _RUNS[Sample.FAILING]}
    return [one[letter] for letter in reversed(letters)]


def _run(status: RunStatus, verdict: Verdict | None = None, counts: Counts = Counts(), code: str = "") -> Run:
    problems = (Problem(code=code, message=""),) if code else ()
    return Run(
        id=0, uuid="", project_id=0, environment_id=0, status=status, verdict=verdict, counts=counts, problems=problems
    )


_RUNS = {
    Sample.PASSING: _run(RunStatus.FINISHED, Verdict.PASSED, Counts(passed=42)),
    Sample.FAILING: _run(RunStatus.FINISHED, Verdict.FAILED, Counts(passed=38, failed=4)),
    Sample.MIXED: _run(RunStatus.FINISHED, Verdict.FAILED, Counts(passed=30, failed=5, flaky=2, errored=1, skipped=4)),
    Sample.ERROR: _run(RunStatus.FINISHED, Verdict.ERRORED, code="no_worker"),
    Sample.PARTIAL: _run(RunStatus.FINISHED, Verdict.ERRORED, Counts(passed=24, cancelled=18)),
    Sample.SKIPPED: _run(RunStatus.FINISHED, Verdict.SKIPPED, Counts(skipped=42)),
    Sample.CANCELLED: _run(RunStatus.CANCELLED, Verdict.ERRORED, Counts(passed=12, cancelled=30)),
    Sample.PENDING: _run(RunStatus.REQUESTED),
    Sample.RUNNING: _run(RunStatus.RUNNING, counts=Counts(passed=21, planned=21)),
    Sample.ZERO_TESTS: _run(RunStatus.FINISHED, Verdict.ERRORED, code="no_tests"),
}
