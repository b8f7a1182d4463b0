"""Store of voices: how far the numbered reports of workers were taken."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, select

from resit.domain.voice import Voice
from resit.storage import tables
from resit.storage.dialect import upsert

_V = tables.voices


class Voices:
    """See ``resit.ports.storage.VoiceStore``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def get(self, run_id: int, names: Collection[str]) -> Mapping[str, Voice]:
        if not names:
            return {}
        query = select(_V).where(_V.c.run_id == run_id, _V.c.name.in_(list(names)))
        return {
            row["name"]: Voice(run_id=run_id, name=row["name"], taken=row["taken"], gap=row["gap"])
            for row in self._db.execute(query).mappings()
        }

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
