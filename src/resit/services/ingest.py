"""What workers report, taken into the ledger: each report once, in its worker's order, many in one transaction.

A report is JSON: ``run``, ``claim`` (the attempt's random name), ``what`` and the members of that kind
(services/reports.py); and ``from`` and ``n``, its voice and number (domain/voice.py), and ``to``, where the worker
hears how far it was taken. Reports of the first release have none of the three and are taken as they come.
Malformed reports are dropped and counted, never retried for ever: what can't be understood today can't be tomorrow.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, cast

from resit.domain import wire
from resit.domain.errors import Conflict, NotFound
from resit.domain.voice import Turn, Voice, taken, turn
from resit.ports import Clock, Store
from resit.services.desk import Desk
from resit.services.reports import MAX_NAME, Change, understand


@dataclass(frozen=True, slots=True)
class Told:
    """A report as it came: from a worker of ``pool`` (empty: unknown), held by the broker for ``age`` seconds."""

    data: bytes
    pool: str = ""
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Confirmed:
    """How far a voice was taken; ``missing``: what comes next has not come, though something later has."""

    pool: str
    address: str
    run: int
    name: str
    taken: int
    missing: bool = False


@dataclass(slots=True)
class Taken:
    """What became of some reports: the runs that changed, why some were dropped, which wait for others before them
    (their places), and what the workers are to hear."""

    changed: Sequence[int] = ()
    dropped: list[str] = field(default_factory=list[str])
    early: set[int] = field(default_factory=set[int])
    confirmed: Sequence[Confirmed] = ()
    results: int = 0
    """Results of tests that were among them."""


@dataclass(frozen=True, slots=True)
class _Report:
    """A report with what stands on its envelope, at its place in what was told. ``name`` empty: it has no number."""

    place: int
    told: Told
    run: int
    name: str
    number: int
    address: str
    results: int
    tests: Set[str]
    change: Change | wire.MalformedEvent


class Ingest:
    """One call is one transaction."""

    def __init__(self, store: Store, clock: Clock, max_log: int) -> None:
        self._store, self._clock, self._max_log = store, clock, max_log

    def take(self, reports: Sequence[Told]) -> Taken:
        """Apply reports, those of each voice in the order of their numbers."""
        done = Taken()
        found: list[_Report] = []
        for place, told in enumerate(reports):
            try:
                found.append(self._open(place, told))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                done.dropped.append(f"MalformedEvent: no envelope: {error!r}")
        with self._store.write() as tx:
            desk = Desk(tx, self._clock.now())
            hall = _Hall(desk, found)
            for report in _in_turn(found):
                try:
                    hall.hear(report)
                except (wire.MalformedEvent, NotFound, Conflict) as error:
                    done.dropped.append(f"{type(error).__name__}: {error}")
            done.early, done.confirmed, done.results = hall.early, hall.close(), hall.results
            done.changed = desk.file()
        return done

    def _open(self, place: int, told: Told) -> _Report:
        """Read the envelope; what is malformed inside of it still has its number, lest others wait for it."""
        data = _read(told.data)
        try:
            change = understand(data, self._max_log)
        except wire.MalformedEvent as error:
            change = error
        name = wire.text(data.get("from", ""))[:MAX_NAME]
        understood = not isinstance(change, wire.MalformedEvent)
        return _Report(
            place=place,
            told=told,
            run=wire.whole(data["run"], wire.LARGE),
            name=name,
            number=wire.whole(data["n"]) if name else 0,
            address=wire.text(data.get("to", ""))[:MAX_NAME],
            results=_results(data) if understood else 0,
            tests=_tests(data) if understood else frozenset(),
            change=change,
        )


class _Hall:
    """The voices that one transaction hears."""

    def __init__(self, desk: Desk, reports: Collection[_Report]) -> None:
        self._desk = desk
        self.results = 0
        self.early: set[int] = set()
        self._voices: dict[tuple[int, str], Voice] = {}
        self._heard: dict[tuple[int, str], _Report] = {}
        self._gone: dict[tuple[int, str], Confirmed] = {}
        names: dict[int, set[str]] = {}
        for report in reports:
            names.setdefault(report.run, set()).add(report.name)
        # In one order everywhere, so that two control planes never wait for each other's runs.
        there = desk.load(names)
        for report in reports:
            if report.tests:
                desk.tx.ledger.foresee(report.run, report.tests)
        self._voices.update(desk.tx.voices.get({run: names[run] - {""} for run in there}))

    def hear(self, report: _Report) -> None:
        """Let a report speak when it has its turn."""
        try:
            run = self._desk.run(report.run)
            if report.told.pool and run.pool != report.told.pool:
                raise Conflict(f"a worker of pool {report.told.pool!r} spoke of run {run.id}, which is of another pool")
        except (NotFound, Conflict):
            # Nobody will ever want it: the worker need not keep it.
            self._gone[report.run, report.name] = _confirmed(report, report.number)
            raise
        voice = self._turn(report)
        if voice is None:
            return
        if isinstance(report.change, wire.MalformedEvent):
            raise report.change
        report.change(self._desk, voice)
        self.results += report.results

    def _turn(self, report: _Report) -> Voice | None:
        """The voice with this report taken, or None when it has been heard, or has to wait."""
        key = report.run, report.name
        voice = self._voices.get(key) or Voice(run_id=report.run, name=report.name)
        if not report.name:
            return voice
        self._heard[key] = report
        self._voices[key] = voice
        match turn(voice, report.number, report.told.age):
            case Turn.KNOWN:
                return None
            case Turn.EARLY:
                self.early.add(report.place)
                return None
            case Turn.TAKE:
                self._voices[key] = taken(voice, report.number)
                return self._voices[key]

    def close(self) -> list[Confirmed]:
        """Remember how far the voices were taken; what their workers are to hear."""
        self._desk.tx.voices.save([self._voices[key] for key in self._heard], self._desk.now)
        waiting = {(report.run, report.name) for report in self._heard.values() if report.place in self.early}
        heard = [
            _confirmed(report, self._voices[key].taken, missing=key in waiting) for key, report in self._heard.items()
        ]
        return [word for word in [*heard, *self._gone.values()] if word.address and word.name]


def _results(data: Mapping[str, Any]) -> int:
    """How many results a report holds, which has been understood."""
    events: Sequence[Mapping[str, Any]] = data["events"] if data["what"] == "batch.events" else ()
    return sum(event["kind"] == "result" for event in events)


def _tests(data: Mapping[str, Any]) -> Set[str]:
    """The tests that a report speaks of, which has been understood."""
    events: Sequence[Mapping[str, Any]] = data["events"] if data["what"] == "batch.events" else ()
    return {wire.text(event["test"]) for event in events}


def _confirmed(report: _Report, number: int, *, missing: bool = False) -> Confirmed:
    return Confirmed(report.told.pool, report.address, report.run, report.name, number, missing)


def _in_turn(reports: Iterable[_Report]) -> list[_Report]:
    """Each voice's reports by their numbers, where its first one stood; the others as they came."""
    first: dict[tuple[int, str], int] = {}

    def place(report: _Report) -> tuple[int, int, int]:
        if not report.name:
            return report.place, 0, report.place
        return first.setdefault((report.run, report.name), report.place), report.number, report.place

    return sorted(reports, key=place)


def _read(data: bytes) -> Mapping[str, Any]:
    """The JSON object of a report. Raises :class:`ValueError` for anything else."""
    try:
        found = json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return cast("dict[str, Any]", found)
