"""What the code that runs now works on. Tasks and threads (``asyncio.to_thread``) inherit it from who began them."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

FIELDS = {
    "run": "the run's number",
    "shard": "the lane of the run; 0 for checkout, setup and listing",
    "batch": "the batch's number within the run",
    "attempt": "the random name of the attempt at the batch, as it stands in the database",
    "worker": "the worker's name",
    "pool": "the pool of the run or the worker",
    "request": "the id of the HTTP request, the same as in its answer's X-Request-Id",
}
"""The fields of a line, in their order, and what they mean."""

Value = str | int
_BOUND: ContextVar[Mapping[str, Value]] = ContextVar("resit_fields")
_NOTHING: Mapping[str, Value] = {}


def fields() -> Mapping[str, Value]:
    """What is bound now, by name."""
    return _BOUND.get(_NOTHING)


def bind(**said: Value | None) -> None:
    """From here on this task, and what it begins, is about this too. None: as it was."""
    if wrong := said.keys() - FIELDS.keys():
        raise ValueError(f"no fields of a log: {sorted(wrong)}")
    _BOUND.set({**fields(), **{name: value for name, value in said.items() if value is not None}})


@contextmanager
def bound(
    *,
    run: int | None = None,
    shard: int | None = None,
    batch: int | None = None,
    attempt: str | None = None,
    worker: str | None = None,
    pool: str | None = None,
) -> Generator[None]:
    """Everything that is logged inside of the block, and by what begins there, is about this. None: as it was."""
    before = _BOUND.set(fields())
    try:
        bind(run=run, shard=shard, batch=batch, attempt=attempt, worker=worker, pool=pool)
        yield
    finally:
        _BOUND.reset(before)
