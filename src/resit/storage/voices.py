"""Store of voices: how far the numbered reports of workers were taken."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, select

from resit.domain.voice import Voice
from resit.storage import tables
from resit.storage.cases import slices
from resit.storage.dialect import among, upsert

_V = tables.voices


class Voices:
    """See ``resit.ports.made.VoiceStore``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def get(self, names: Mapping[int, Collection[str]]) -> Mapping[tuple[int, str], Voice]:
        wanted = {(run, name) for run, some in names.items() for name in some}
        found: dict[tuple[int, str], Voice] = {}
        for few in slices(sorted(wanted)):
            runs, these = {run for run, _ in few}, {name for _, name in few}
            query = select(_V).where(among(self._db, _V.c.run_id, runs), among(self._db, _V.c.name, these))
            for row in self._db.execute(query).mappings():
                key = row["run_id"], row["name"]
                if key in wanted:
                    found[key] = Voice(run_id=key[0], name=key[1], taken=row["taken"], gap=row["gap"])
        return found

    def save(self, voices: Collection[Voice], now: float) -> None:
        if not voices:
            return
        values = [
            {"run_id": voice.run_id, "name": voice.name, "taken": voice.taken, "gap": voice.gap, "heard_at": now}
            for voice in voices
        ]
        statement = upsert(self._db, _V)
        new = {name: statement.excluded[name] for name in ("taken", "gap", "heard_at")}
        self._db.execute(statement.on_conflict_do_update(index_elements=["run_id", "name"], set_=new), values)
