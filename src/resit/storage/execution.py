"""Stores of batches, attempts, results, artifacts, logs and outgoing messages."""

from collections.abc import Collection, Iterable, Sequence, Set
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from resit.domain.attempt import Attempt, AttemptState, BatchState
from resit.ports import ArtifactRow, Outgoing, StoredResult
from resit.storage import rows, tables
from resit.storage.dialect import among, insert_all, upsert

_B = tables.batches
_A = tables.attempts
_STATES = select(
    _B.c.run_id.label("b_run"), _B.c.number.label("b_number"), _B.c.ended.label("b_ended"), *_A.c
).outerjoin(_A, _A.c.claim == _B.c.fence)
"""Batches with the attempts that hold their fences."""
_CUT = "\n[resit: the log is longer than {limit} characters; the rest was left out]\n"


class Batches:
    """See ``resit.ports.storage.BatchStore``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._attempts: dict[str, Attempt] = {}
        self._found: dict[tuple[int, int], BatchState] = {}
        """What was asked for in this transaction, until something changes: many reports in it are of one attempt."""

    def _changed(self) -> None:
        self._attempts.clear()
        self._found.clear()

    def add(self, run_id: int, numbers: Iterable[int]) -> None:
        values = [{"run_id": run_id, "number": number} for number in numbers]
        insert_all(self._db, insert(_B), values)

    def get(self, run_id: int, number: int) -> BatchState | None:
        if (run_id, number) not in self._found:
            found = self._states(_STATES.where(_B.c.run_id == run_id, _B.c.number == number))
            if not found:
                return None
            self._found[run_id, number] = found[0]
        return self._found[run_id, number]

    def open(self, run_id: int) -> Sequence[BatchState]:
        return self._states(_STATES.where(_B.c.run_id == run_id, _B.c.ended.is_(False)).order_by(_B.c.number))

    def _states(self, query: Select[Any]) -> list[BatchState]:
        return [
            BatchState(
                run_id=row["b_run"],
                number=row["b_number"],
                ended=row["b_ended"],
                fence=rows.attempt(row) if row["claim"] else None,
            )
            for row in self._db.execute(query).mappings()
        ]

    def last(self, run_id: int) -> int:
        query = select(func.max(_B.c.number)).where(_B.c.run_id == run_id)
        return self._db.execute(query).scalar() or 0

    def end(self, run_id: int, number: int) -> None:
        self._changed()
        self._db.execute(update(_B).where(_B.c.run_id == run_id, _B.c.number == number).values(ended=True))

    def end_all(self, run_id: int) -> None:
        self._changed()
        self._db.execute(update(_B).where(_B.c.run_id == run_id).values(ended=True))
        running, ended = AttemptState.RUNNING.value, AttemptState.ENDED.value
        self._db.execute(update(_A).where(_A.c.run_id == run_id, _A.c.state == running).values(state=ended))

    def attempt(self, claim: str) -> Attempt | None:
        if claim not in self._attempts:
            row = self._db.execute(select(_A).where(_A.c.claim == claim)).mappings().first()
            if row is None:
                return None
            self._attempts[claim] = rows.attempt(row)
        return self._attempts[claim]

    def add_attempt(self, attempt: Attempt) -> None:
        self._changed()
        self._db.execute(insert(_A).values(rows.attempt_values(attempt)))
        self._db.execute(
            update(_B).where(_B.c.run_id == attempt.run_id, _B.c.number == attempt.batch).values(fence=attempt.claim)
        )

    def save_attempt(self, attempt: Attempt) -> None:
        self._changed()
        self._db.execute(update(_A).where(_A.c.claim == attempt.claim).values(rows.attempt_values(attempt)))

    def seen(self, claims: Collection[str], now: float) -> None:
        if not claims:
            return
        self._changed()
        wanted = list(claims)
        holds = (
            select(_B.c.fence)
            .where(_B.c.run_id == _A.c.run_id, _B.c.number == _A.c.batch, _B.c.fence == _A.c.claim, ~_B.c.ended)
            .correlate(_A)
            .exists()
        )
        given_up = (_A.c.state == AttemptState.LOST.value) & holds
        # Who holds one of them hears of it at this moment, and may wait for another.
        free = select(_A.c.claim).where(among(self._db, _A.c.claim, wanted)).order_by(_A.c.claim)
        free = free.with_for_update(key_share=True, skip_locked=True)
        self._db.execute(
            update(_A)
            .where(_A.c.claim.in_(free), (_A.c.state == AttemptState.RUNNING.value) | given_up)
            .values(seen_at=now, state=AttemptState.RUNNING.value)
        )

    def losses(self, run_id: int, number: int) -> int:
        query = select(func.count()).select_from(_A)
        query = query.where(_A.c.run_id == run_id, _A.c.batch == number, _A.c.state == AttemptState.LOST.value)
        return self._db.execute(query).scalar_one()

    def at_work(self, run_id: int, since: float, besides: str) -> int:
        running = (_A.c.state == AttemptState.RUNNING.value) & (_A.c.seen_at >= since)
        query = select(func.count()).select_from(_A).where(_A.c.run_id == run_id, running, _A.c.claim != besides)
        return self._db.execute(query).scalar_one()

    def overtaken(self, claims: Collection[str]) -> Sequence[str]:
        if not claims:
            return []
        given_up = _A.c.state == AttemptState.LOST.value
        query = (
            select(_A.c.claim)
            .join(_B, (_B.c.run_id == _A.c.run_id) & (_B.c.number == _A.c.batch))
            .where(among(self._db, _A.c.claim, claims), (_B.c.fence != _A.c.claim) | (_B.c.ended & given_up))
            .order_by(_A.c.claim)
        )
        return list(self._db.execute(query).scalars())

    def silent(self, before: float) -> Sequence[int]:
        running = (_A.c.state == AttemptState.RUNNING.value) & (_A.c.batch > 0)
        query = select(_A.c.run_id).where(running, _A.c.seen_at < before).distinct()
        return list(self._db.execute(query).scalars())


class Results:
    """See ``resit.ports.storage.ResultStore``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._new: list[dict[str, Any]] = []
        """Results that are still to be written: those of many reports together."""

    def write_out(self) -> None:
        """Write what was added, at the end of the transaction: nothing in it reads results."""
        new, self._new = self._new, []
        insert_all(self._db, upsert(self._db, tables.results).on_conflict_do_nothing(), new)

    def add(self, run_id: int, results: Sequence[StoredResult]) -> None:
        self._new.extend(rows.result_values(run_id, result) for result in results)

    def discount(self, run_id: int, ordinals: Collection[int]) -> None:
        if ordinals:
            table = tables.results
            those = (table.c.run_id == run_id) & table.c.ordinal.in_(list(ordinals)) & table.c.counted
            self._db.execute(update(table).where(those).values(counted=False))

    def add_artifacts(self, artifacts: Sequence[ArtifactRow]) -> None:
        if not artifacts:
            return
        statement = upsert(self._db, tables.artifacts)
        # An upload may have come first: it knew the size and that the file is stored, but not what it is about.
        told = ("ordinal", "attempt", "retry", "name", "content_type")
        known = statement.on_conflict_do_update(
            index_elements=["id"],
            set_={name: statement.excluded[name] for name in told},
            where=tables.artifacts.c.run_id == statement.excluded.run_id,
        )
        # What is said last of a file counts.
        each = {artifact.id: artifact for artifact in artifacts}
        insert_all(self._db, known, [rows.artifact_values(each[id]) for id in sorted(each)])

    def artifact(self, id: str) -> ArtifactRow | None:
        row = self._db.execute(select(tables.artifacts).where(tables.artifacts.c.id == id)).mappings().first()
        return rows.artifact(row) if row else None

    def save_artifact(self, artifact: ArtifactRow) -> None:
        statement = upsert(self._db, tables.artifacts).values(rows.artifact_values(artifact))
        self._db.execute(
            statement.on_conflict_do_update(
                index_elements=["id"], set_={"size": artifact.size, "stored": artifact.stored}
            )
        )

    def add_log(self, run_id: int, shard: int, text: str, limit: int, at: float) -> None:
        table = tables.logs
        end = (
            self._db.execute(
                select(func.max(table.c.offset + func.length(table.c.text))).where(
                    table.c.run_id == run_id, table.c.shard == shard
                )
            ).scalar()
            or 0
        )
        if end > limit:
            return
        if end + len(text) > limit:
            text = text[: limit - end] + _CUT.format(limit=limit)
        # A NUL would end the text early for the database's length().
        text = text.replace("\0", "�")
        self._db.execute(insert(table).values(run_id=run_id, shard=shard, offset=end, at=at, text=text))


class Messages:
    """See ``resit.ports.storage.Outbox``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def add(self, *messages: Outgoing) -> None:
        if messages:
            values = [
                {"kind": m.kind, "run_id": m.run_id, "pool": m.pool, "number": m.number, "data": m.data}
                for m in messages
            ]
            insert_all(self._db, insert(tables.outbox), values)

    def pending(self, limit: int) -> Sequence[Outgoing]:
        query = select(tables.outbox).order_by(tables.outbox.c.id).limit(limit)
        names = Outgoing.__dataclass_fields__
        return [Outgoing(**{name: row[name] for name in names}) for row in self._db.execute(query).mappings()]

    def runs(self) -> Set[int]:
        return set(self._db.execute(select(tables.outbox.c.run_id).distinct()).scalars())

    def sent(self, ids: Collection[int]) -> None:
        if ids:
            self._db.execute(delete(tables.outbox).where(among(self._db, tables.outbox.c.id, ids)))
