"""Retention: runs that are beyond their project's limits go, rows and files both, a little at a time.

A run is marked first: from then on nobody reads it. Then its files go, then its rows, itself the last. Whatever dies in
between, the mark is there, and it is gone on with. Files that no row knows go too, when they have lain for a day.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from resit.domain.access import Principal, Scope
from resit.domain.errors import NotFound
from resit.domain.retention import DAY, doomed
from resit.domain.run import Run
from resit.ports import Artifacts, Clock, Ids, Store
from resit.ports.retention import RetentionStore, Room, Usage
from resit.ports.telemetry import SILENT, Counted, Telemetry
from resit.services.catalog import find_project
from resit.services.runs import find_run

STEP_SECONDS = 0.05
"""How long a step may keep others from writing, about."""
LEAST_ROWS, MOST_ROWS = 50, 5_000
FILES = 500
"""Files that go in one step."""
_OURS = re.compile(r"\d{1,18}/[a-z0-9][a-z0-9/-]*|resource-\d{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Freed:
    """What has gone. ``bytes``: of the files; ``strays``: files among them that no row knew."""

    runs: int = 0
    rows: int = 0
    files: int = 0
    bytes: int = 0
    strays: int = 0

    def __add__(self, other: "Freed") -> "Freed":
        return Freed(**{name: getattr(self, name) + getattr(other, name) for name in Freed.__slots__})

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in Freed.__slots__)


@dataclass(frozen=True, slots=True)
class Doom:
    """The runs of a project that are beyond its limits."""

    project: str
    runs: Sequence[int]


class Retention:
    """See the module. Several may work at the same time; each finds what is left."""

    def __init__(
        self,
        store: Store,
        rows: RetentionStore,
        artifacts: Artifacts,
        clock: Clock,
        ids: Ids,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._store, self._rows, self._artifacts, self._clock, self._ids = store, rows, artifacts, clock, ids
        self._telemetry = telemetry
        self._most = LEAST_ROWS
        self._without_files: int | None = None

    # ------------------------------------------------------------ what people ask for

    def keep(self, principal: Principal, name: str | int, kept: bool) -> Run:
        """Keep a run whatever the limits say, or no longer. Raises :class:`NotFound`."""
        principal.need(Scope.RUNS_WRITE)
        with self._store.write() as tx:
            id = find_run(tx, self._ids, principal, name).id
            [run] = tx.runs.hold([id]) or [None]
            if run is None:
                raise NotFound(f"no run {name}", resource="run", id=str(name)[:80])
            if run.kept != kept:
                run = replace(run, kept=kept, seq=run.seq + 1)
                tx.runs.save(run)
            return run

    def usage(self, principal: Principal) -> tuple[Sequence[Usage], Room | None]:
        """What the projects within reach take; for who reaches all of them, the database, too."""
        principal.need(Scope.SYSTEM_READ)
        found = self._rows.usage(principal.project_id)
        return found, self._rows.room() if principal.project_id is None else None

    def foreseen(self, principal: Principal, project: str = "") -> Sequence[Doom]:
        """What :meth:`remove` would remove. Raises :class:`NotFound`."""
        return self._doomed(self._within(principal, project))

    def remove(self, principal: Principal, project: str = "", seconds: float = 20.0) -> tuple[Freed, bool]:
        """Remove what is beyond the limits, for so long at most; what has gone, and whether that was all."""
        id = self._within(principal, project)
        end = time.monotonic() + seconds
        self.begin(id)
        freed = Freed()
        while time.monotonic() < end:
            gone = self.step()
            if gone is None:
                return freed, True
            freed += gone
        return freed, False

    def _within(self, principal: Principal, project: str) -> int | None:
        principal.need_all()
        if not project:
            return None
        with self._store.read() as tx:
            return find_project(tx, principal, project).id

    # ------------------------------------------------------------ what is done, step by step

    def begin(self, project_id: int | None = None) -> int:
        """Mark the runs that go; returns how many."""
        return sum(
            self._rows.mark(doom.runs[at : at + 100]) for doom in self._doomed(project_id) for at in _hundreds(doom)
        )

    def _doomed(self, project_id: int | None) -> Sequence[Doom]:
        now = self._clock.now()
        found: list[Doom] = []
        for kept in self._rows.projects(project_id):
            standings = self._rows.standings(kept.id, sizes=bool(kept.policy.bytes))
            if runs := doomed(standings, kept.policy, now):
                found.append(Doom(kept.slug, runs))
        return found

    def step(self) -> Freed | None:
        """A little of what is marked; None when nothing is."""
        run = self._rows.marked()
        if run is None:
            return None
        if self._without_files != run:
            files = list(islice(self._artifacts.stored(f"{run}/"), FILES))
            if files:
                self._artifacts.remove(*(file.key for file in files))
                return self._told(Freed(files=len(files), bytes=sum(file.size for file in files)))
            self._without_files = run
        began = time.monotonic()
        rows, gone = self._rows.erase(run, self._most)
        self._learn(rows, time.monotonic() - began)
        return self._told(Freed(runs=1 if gone and rows else 0, rows=rows))

    def _told(self, freed: Freed) -> Freed:
        for kind, number in (("run", freed.runs), ("artifact", freed.files)):
            if number:
                self._telemetry.count(Counted.RETENTION_REMOVED, number, kind=kind)
        if freed.bytes:
            self._telemetry.count(Counted.RETENTION_FREED, freed.bytes)
        return freed

    def _learn(self, rows: int, took: float) -> None:
        """As many rows at a time as go in :data:`STEP_SECONDS`."""
        if rows >= self._most or took > STEP_SECONDS:
            fitting = round(self._most * STEP_SECONDS / max(took, 0.001))
            self._most = min(max(fitting, LEAST_ROWS, self._most // 2), MOST_ROWS, self._most * 2)

    def sweep(self, after: str = "") -> tuple[Freed, str | None]:
        """Files that no row knows go, of those after a key; what has gone, and where to go on (None: nowhere)."""
        found = list(islice(self._artifacts.stored(after=after), FILES))
        if not found:
            return Freed(), None
        before = self._clock.now() - DAY
        old = {file.key: file for file in found if file.modified < before and _OURS.fullmatch(file.key)}
        known = self._rows.known(old.keys()) if old else ()
        strays = [file for key, file in old.items() if key not in known]
        if strays:
            self._artifacts.remove(*(file.key for file in strays))
        size = sum(file.size for file in strays)
        return self._told(Freed(files=len(strays), bytes=size, strays=len(strays))), found[-1].key

    def tidy(self) -> Freed:
        """What uploads that were cut off a day ago have left behind goes."""
        return self._told(Freed(bytes=self._artifacts.tidy(self._clock.now() - DAY)))


def _hundreds(doom: Doom) -> range:
    return range(0, len(doom.runs), 100)
