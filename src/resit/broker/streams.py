"""How the streams and consumers are made. All of it is idempotent: whoever misses one makes it again."""

from typing import Any

from resit.broker import subjects
from resit.broker.link import Link, Refused

ACK_WAIT = 10.0
"""Seconds of a lease on a job or a batch; renewed with progress, so this bounds how late a dead worker is noticed."""
EVENTS_ACK_WAIT = 30.0
"""Seconds that a control plane has for the commit of what it took."""
EVENTS_BYTES = 1024**3
"""What may wait for the control plane. When it is full the broker refuses, workers keep their events and try again."""
DUPLICATES = 300.0
"""Seconds in which a repeated message id is recognized."""

_OTHER_SETTINGS = 10058
"""JetStream's error number of a stream that exists with other settings."""
_UNLIMITED = -1


def _seconds(value: float) -> int:
    return int(value * 1e9)


def _stream(name: str, subject: str, **more: Any) -> dict[str, Any]:
    """A stream whose messages are gone once they are settled, and which refuses rather than forgets."""
    return {
        "name": name,
        "subjects": [subject],
        "retention": "workqueue",
        "discard": "new",
        "storage": "file",
        "num_replicas": 1,
        "max_consumers": _UNLIMITED,
        "max_msgs": _UNLIMITED,
        "max_bytes": _UNLIMITED,
        "duplicate_window": _seconds(DUPLICATES),
        **more,
    }


def _streams(replicas: int) -> list[dict[str, Any]]:
    once = {"max_msgs_per_subject": 1, "discard_new_per_subject": True, "num_replicas": replicas}
    return [
        _stream(subjects.JOBS, "jobs.>", **once),
        _stream(subjects.BATCHES, "batches.>", **once),
        # No limit of age: it would silently drop what no control plane has read yet.
        _stream(subjects.EVENTS, "events.>", max_bytes=EVENTS_BYTES, num_replicas=replicas),
    ]


async def ensure_streams(link: Link, replicas: int = 1) -> None:
    """Make the streams that are missing; one that an operator has set differently stays as it is."""
    for config in _streams(replicas):
        try:
            await link.api(f"STREAM.CREATE.{config['name']}", config)
        except Refused as refused:
            if refused.number != _OTHER_SETTINGS:
                raise


async def _ensure_consumer(
    link: Link, stream: str, name: str, subject: str, *, ack_wait: float, out_at_once: int
) -> None:
    """Make a pull consumer, or give the existing one these limits."""
    config = {
        "name": name,
        "durable_name": name,
        "filter_subject": subject,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": _seconds(ack_wait),
        "max_deliver": _UNLIMITED,
        "max_ack_pending": out_at_once,
        "max_waiting": 4096,
        "replay_policy": "instant",
    }
    await link.api(
        f"CONSUMER.CREATE.{stream}.{name}.{subject}", {"stream_name": stream, "config": config, "action": ""}
    )


async def ensure_pool(link: Link, pool: str, ack_wait: float) -> None:
    """The consumer that all workers of a pool share; how many jobs are out is decided by who asks for them."""
    await _ensure_consumer(
        link,
        subjects.JOBS,
        subjects.pool_consumer(pool),
        subjects.pool_jobs(pool),
        ack_wait=ack_wait,
        out_at_once=_UNLIMITED,
    )


async def ensure_run(link: Link, pool: str, run: int, lanes: int, ack_wait: float) -> None:
    """The consumer of a run's batches, at most ``lanes`` of them out at once."""
    await _ensure_consumer(
        link,
        subjects.BATCHES,
        subjects.run_consumer(run),
        subjects.run_batches(run, pool),
        ack_wait=ack_wait,
        out_at_once=lanes,
    )


async def ensure_events(link: Link, ack_wait: float) -> None:
    """The consumer that all control planes share."""
    await _ensure_consumer(
        link, subjects.EVENTS, subjects.EVENTS_CONSUMER, "events.>", ack_wait=ack_wait, out_at_once=50_000
    )
