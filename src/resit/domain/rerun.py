"""What a re-run asks of its source."""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from resit.domain.admission import check_priority
from resit.domain.errors import InvalidInput, NothingToRun, RunNotCarriedThrough, RunStillOpen
from resit.domain.failfast import check_max_failures
from resit.domain.run import Run
from resit.domain.selection import Taken
from resit.domain.status import RunStatus, SelectionKind, Verdict


class SourceMust(StrEnum):
    """How far the source of a re-run of failed tests must have come.

    ``CLOSED``: its failed tests are known. ``CARRIED_THROUGH``: it ended, and not for a reason outside its tests
    (Empirical, study 2.5). ``EXIST``: what is known now will do (QA.tech, study A11).
    """

    CLOSED = "closed"
    CARRIED_THROUGH = "carried_through"
    EXIST = "exist"


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Which tests of a run are to run again. ``tests``: ids, keys or UUIDs, for the kind *chosen*.

    ``lenient``: names that the source does not have are left out, as long as one is left. ``notify``, ``priority``
    and ``max_failures`` None: as the source. ``start_at``: not before this time.
    """

    kind: SelectionKind
    tests: tuple[str, ...] = ()
    taken: Taken = Taken.RED
    source: SourceMust = SourceMust.CLOSED
    lenient: bool = False
    reason: str = ""
    notify: bool | None = None
    priority: int | None = None
    max_failures: int | None = None
    start_at: float | None = None

    def check(self) -> None:
        """Raise :class:`NothingToRun` or :class:`InvalidInput` for a request that can't be meant."""
        if self.kind is SelectionKind.CHOSEN and not self.tests:
            raise NothingToRun("no tests were named", field="tests")
        if self.kind is not SelectionKind.CHOSEN and self.tests:
            raise InvalidInput("tests are named only with the selection 'chosen'", field="tests")
        if self.priority is not None:
            check_priority(self.priority)
        if self.max_failures is not None:
            check_max_failures(self.max_failures)

    def check_source(self, run: Run) -> None:
        """Raise what speaks against re-running the failed tests of ``run``, if anything does.

        Raises :class:`RunStillOpen`, :class:`RunNotCarriedThrough` or :class:`NothingToRun`.
        """
        if self.kind is not SelectionKind.FAILED:
            return
        match self.source:
            case SourceMust.EXIST:
                pass
            case SourceMust.CLOSED | SourceMust.CARRIED_THROUGH:
                if run.status.open:
                    raise RunStillOpen(
                        f"run {run.id} is still {run.status}: wait for its end, or re-run all", status=run.status.value
                    )
                if self.source is SourceMust.CARRIED_THROUGH and not carried_through(run):
                    raise RunNotCarriedThrough(
                        f"run {run.id} was not carried through: re-run all of it", status=run.status.value
                    )
            case _:
                assert_never(self.source)
        if not self.taken.size(run.counts):
            raise NothingToRun(f"{_nothing(self.taken)} in run {run.id}: there is nothing to run again", failed_count=0)


def carried_through(run: Run) -> bool:
    """True for a run that ended and said something of all its tests."""
    return run.status is RunStatus.FINISHED and run.verdict is not Verdict.ERRORED


def _nothing(taken: Taken) -> str:
    match taken:
        case Taken.RED | Taken.SHOWN_FAILED:
            return "nothing failed"
        case Taken.RAN_AND_FAILED:
            return "no test failed or was without its output (tests without a result did not fail)"
        case Taken.NOT_PASSED:
            return "no test failed, was skipped or errored"
        case Taken.NOT_GREEN:
            return "nothing failed or was cancelled"
        case _:
            assert_never(taken)
