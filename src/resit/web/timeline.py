"""What each lane of a run did when: its tests as blocks, and the time between them; pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from resit.domain.attempt import Attempt, AttemptState
from resit.domain.run import Run
from resit.ports.reads import Execution

FINEST = 1 / 500
"""What is narrower, as a part of the whole time, is drawn together with its neighbours of the same kind."""
_RED = frozenset({"failed", "timed_out", "interrupted", "errored"})


@dataclass(frozen=True, slots=True)
class Block:
    """A test in a lane, or neighbours too short to be seen alone, or a batch that left no test.

    ``start`` and ``width`` are parts of the whole time. ``ordinal``: the test's number, where it is one; ``kind``: ""
    for good, "red", "gone" for what does not count, "now" for a batch that goes on.
    """

    batch: int
    start: float
    width: float
    kind: str
    words: str
    ordinal: int | None = None


@dataclass(slots=True)
class Lane:
    """A place where one test runs at a time, as far as is known."""

    name: str
    blocks: list[Block] = field(default_factory=list[Block])
    workers: list[str] = field(default_factory=list[str])
    tests: int = 0
    busy: float = 0.0
    idle: float = 0.0


@dataclass(frozen=True, slots=True)
class Timeline:
    """All lanes. ``span``: seconds from the first to the last; ``idle`` and ``total``: of all lanes together."""

    lanes: Sequence[Lane]
    span: float
    idle: float
    total: float


@dataclass(frozen=True, slots=True)
class _Spell:
    """From when to when something was at work in a lane."""

    start: float
    end: float
    kind: str
    batch: int
    worker: str
    ordinals: tuple[int, ...]
    words: str


def timeline(run: Run, attempts: Iterable[Attempt], executions: Iterable[Execution], now: float) -> Timeline:
    """The tests of a run by shard, place in the shard's process, and time.

    An attempt of which no test is told is drawn as a whole. Times of tests are of their worker's clock.
    """
    known = {(each.batch, each.number): each for each in attempts if each.batch > 0 and each.started_at}
    found: dict[tuple[int, int], list[_Spell]] = {}
    told: set[tuple[int, int]] = set()
    for each in executions:
        attempt = known.get((each.batch, each.attempt))
        if attempt is not None and each.started_at > 0:
            told.add((each.batch, each.attempt))
            kind = "gone" if not each.counted else "red" if each.status in _RED else ""
            found.setdefault((attempt.shard, each.parallel), []).append(
                _Spell(each.started_at, each.started_at + max(each.duration, 0.0), kind, each.batch, attempt.worker,
                       (each.ordinal,), each.status.replace("_", " "))
            )  # fmt: skip
    for place, attempt in known.items():
        if place not in told:
            spell = _whole(run, attempt, now)
            lane = min((lane for lane in found if lane[0] == attempt.shard), default=(attempt.shard, -1))
            found.setdefault(lane, []).append(spell)
    if not found:
        return Timeline((), 0.0, 0.0, 0.0)
    begin = min(spell.start for spells in found.values() for spell in spells)
    end = max(spell.end for spells in found.values() for spell in spells)
    span = max(end - begin, 0.001)
    shards = [shard for shard, _ in found]
    lanes = [
        _lane(_name(shard, place, shards.count(shard)), found[shard, place], begin, span)
        for shard, place in sorted(found)
    ]
    return Timeline(lanes, span, sum(lane.idle for lane in lanes), span * len(lanes))


def _whole(run: Run, attempt: Attempt, now: float) -> _Spell:
    goes_on = attempt.state is AttemptState.RUNNING and run.status.open
    end = max(now if goes_on else attempt.seen_at, attempt.started_at)
    gone = attempt.state in (AttemptState.LOST, AttemptState.RETURNED)
    words = f"attempt {attempt.number} of the batch: {attempt.state.value}"
    kind = "now" if goes_on else "gone" if gone else ""
    return _Spell(attempt.started_at, end, kind, attempt.batch, attempt.worker, (), words)


def _name(shard: int, place: int, lanes: int) -> str:
    return f"shard {shard}" if lanes == 1 else f"{shard}, lane {place + 1}"


def _lane(name: str, spells: Sequence[_Spell], begin: float, span: float) -> Lane:
    lane = Lane(name)
    together: list[_Spell] = []
    for spell in sorted(spells, key=lambda spell: (spell.start, spell.end)):
        if together and _belong(together, spell, span):
            together.append(spell)
        else:
            if together:
                lane.blocks.append(_block(together, begin, span))
            together = [spell]
        if spell.worker not in lane.workers:
            lane.workers.append(spell.worker)
    lane.blocks.append(_block(together, begin, span))
    lane.tests = sum(len(spell.ordinals) for spell in spells)
    lane.busy = _covered([(spell.start, spell.end) for spell in spells])
    lane.idle = max(span - lane.busy, 0.0)
    return lane


def _belong(together: Sequence[_Spell], spell: _Spell, span: float) -> bool:
    """Drawn together: short ones of one batch and kind, with nothing to be seen between them."""
    first, last = together[0], together[-1]
    same = (first.batch, first.kind) == (spell.batch, spell.kind) and spell.ordinals and first.ordinals
    short = spell.end - spell.start < FINEST * span and last.end - last.start < FINEST * span
    return bool(same) and short and spell.start - last.end < FINEST * span


def _block(spells: Sequence[_Spell], begin: float, span: float) -> Block:
    first = spells[0]
    end = max(spell.end for spell in spells)
    tests = len({ordinal for spell in spells for ordinal in spell.ordinals})
    words = first.words if tests <= 1 else f"{tests} tests"
    return Block(
        batch=first.batch,
        start=(first.start - begin) / span,
        width=(end - first.start) / span,
        kind=first.kind,
        words=f"{words}, {end - first.start:.2f} s, batch {first.batch}, on {first.worker}",
        ordinal=first.ordinals[0] if tests == 1 else None,
    )


def _covered(times: Sequence[tuple[float, float]]) -> float:
    """Seconds that at least one of the times covers."""
    sum_, reached = 0.0, 0.0
    for start, end in sorted(times):
        begin = max(start, reached)
        if end > begin:
            sum_ += end - begin
            reached = end
    return sum_
