"""The framework's own report of a finished run: who makes it, and who may read it (domain/report.py)."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from resit.domain import report
from resit.domain.errors import Conflict, NotFound, Unauthenticated
from resit.domain.report import HTML, Report, ReportState
from resit.ports import Clock, Outgoing, Signer, Store, Transaction
from resit.services.work import UPLOAD_PATH, equipped

READ_SECONDS = 12 * 3600.0
"""How long an address of a report is good for."""
MAKE_SECONDS = 3600.0
"""How long a worker may hand a report in after it began it."""
QUIET_SECONDS = 20.0
"""A report that has not moved for so long is looked for at the broker."""
AT_ONCE = 100
_MAKER, _READER = "report-maker:", "report-reader:"


class HtmlReports:
    """See the module. Workers ask for the first half, people for the second."""

    def __init__(self, store: Store, clock: Clock, signer: Signer) -> None:
        self._store, self._clock, self._signer = store, clock, signer
        self.upload_url = ""

    # ------------------------------------------------------------ making

    def begin(self, pool: str, run_id: int, claim: str) -> dict[str, Any]:
        """A worker of ``pool`` begins; all that it needs. ``open`` is False when there is nothing to do for it."""
        found = self._move(pool, run_id, lambda found, now: report.begun(found, claim, now))
        if found is None or not report.holds(found, claim):
            return {"open": False}
        with self._store.read() as tx:
            run = tx.runs.get(run_id)
            if run is None:
                return {"open": False}
            outfit, gone = dict[str, Any](), ""
            try:
                _, outfit = equipped(tx, self._signer, run)
            except NotFound as error:
                gone = error.message
        if gone:
            self.failed(pool, run_id, claim, gone)
            return {"open": False}
        token = self._signer.sign(f"{_MAKER}{run_id}:{claim}", self._clock.now() + MAKE_SECONDS)
        return {"open": True, **outfit, "upload": {"url": self.upload_url, "path": UPLOAD_PATH, "token": token}}

    def failed(self, pool: str, run_id: int, claim: str, words: str) -> None:
        """A worker can't make it."""
        self._move(pool, run_id, lambda found, now: report.failed(found, claim, words, now))

    def returned(self, pool: str, run_id: int, claim: str) -> None:
        """A worker that goes gives it back."""
        self._move(pool, run_id, lambda found, now: report.returned(found, claim, now))

    def maker(self, token: str) -> tuple[int, str]:
        """The run whose report the bearer makes, and its claim. Raises :class:`Unauthenticated`, :class:`Conflict`."""
        said = self._signer.verify(token, self._clock.now()) if token.isascii() else None
        if said is None or not said.startswith(_MAKER):
            raise Unauthenticated("this token does not open a report, or no longer")
        number, _, claim = said.removeprefix(_MAKER).partition(":")
        found = self.standing(int(number))
        if found is None or not report.holds(found, claim):
            raise Conflict(f"the report of run {number} is no longer this worker's")
        return int(number), claim

    def made(self, run_id: int, claim: str, key: str, size: int) -> None:
        """It is stored. Raises :class:`Conflict` when another worker has taken it over: the file is the caller's to
        delete."""
        found = self._move(None, run_id, lambda found, now: report.ended(found, claim, key, size, now))
        if found is None or found.key != key:
            raise Conflict(f"the report of run {run_id} is no longer this worker's")

    def refused(self, run_id: int, claim: str, words: str) -> None:
        """What came is no report."""
        self._move(None, run_id, lambda found, now: report.failed(found, claim, words, now))

    def gone(self, run_id: int) -> None:
        """Its file is not in the store any more."""
        self._move(None, run_id, report.removed)

    def _move(self, pool: str | None, run_id: int, change: Callable[[Report, float], Report]) -> Report | None:
        """The report after a change; None when there is none, or none of this pool's."""
        with self._store.write() as tx:
            [run] = tx.runs.hold([run_id]) or [None]
            found = tx.reports.get(run_id, HTML)
            if run is None or found is None or (pool is not None and run.pool != pool):
                return None
            after = change(found, self._clock.now())
            if after != found:
                tx.reports.save(after)
            return after

    # ------------------------------------------------------------ what got lost

    def quiet(self) -> Sequence[tuple[Report, str]]:
        """The reports that have not moved for a while, and their pools: to be looked for at the broker."""
        with self._store.read() as tx:
            return tx.reports.quiet(self._clock.now() - QUIET_SECONDS, AT_ONCE)

    def seen(self, run_ids: Collection[int]) -> None:
        """The broker has them: there is nothing to do for a while."""
        if run_ids:
            with self._store.write(lasting=False) as tx:
                tx.reports.touch(run_ids, HTML, self._clock.now())

    def again(self, run_id: int) -> bool:
        """Nobody has it: hand it out anew. False when that was done too often, or nobody wants it any more."""
        with self._store.write() as tx:
            [run] = tx.runs.hold([run_id]) or [None]
            found = tx.reports.get(run_id, HTML)
            if run is None or found is None or not found.state.open:
                return False
            after = report.again(found, self._clock.now())
            tx.reports.save(after)
            if after.state.open:
                tx.outbox.add(Outgoing(kind="report", run_id=run.id, pool=run.pool))
            return after.state.open

    # ------------------------------------------------------------ reading

    def standing(self, run_id: int) -> Report | None:
        """How far the report of a run got; None: it has none."""
        with self._store.read() as tx:
            return tx.reports.get(run_id, HTML)

    def sign(self, run_id: int) -> tuple[str, float]:
        """What opens the report of a run to whoever has it, and until when."""
        expires = self._clock.now() + READ_SECONDS
        with self._store.read() as tx:
            subject = _subject(tx, run_id)
        return self._signer.sign(subject, expires), expires

    def opened(self, capability: str) -> Report:
        """The report that a capability opens, when it is there. Raises :class:`NotFound`."""
        said = self._signer.verify(capability, self._clock.now()) if capability.isascii() else None
        if said is None or not said.startswith(_READER):
            raise NotFound("this address is not valid, or no longer")
        number = int(said.removeprefix(_READER).partition(":")[0])
        with self._store.read() as tx:
            found = tx.reports.get(number, HTML)
            if found is None or found.state is not ReportState.READY or said != _subject(tx, number):
                raise NotFound("there is no such report any more")
        return found


def _subject(tx: Transaction, run_id: int) -> str:
    run = tx.runs.get(run_id)
    if run is None:
        raise NotFound(f"no run {run_id}")
    return f"{_READER}{run.id}:{run.uuid}"
