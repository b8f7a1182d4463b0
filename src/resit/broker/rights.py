"""What a worker may say and hear at the broker: all of its own pool, and nothing else."""

from dataclasses import dataclass

from resit.broker import subjects


@dataclass(frozen=True, slots=True)
class Rights:
    """The subjects that may be published to and subscribed to; everything else is refused."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def of_worker(pool: str, inbox: str) -> Rights:
    """The rights of a worker of ``pool`` that awaits answers under ``inbox``. Raises ValueError for a bad pool name.

    ``$JS.ACK``: servers may name domain and account before the stream, when they are told to; ours are not.
    """
    jobs, batches = subjects.jobs_stream(pool), subjects.batches_stream(pool)
    return Rights(
        publish=(
            f"events.{pool}.*",
            f"ask.{pool}.*",
            f"$JS.API.CONSUMER.MSG.NEXT.{jobs}.*",
            f"$JS.API.CONSUMER.MSG.NEXT.{batches}.*",
            f"$JS.ACK.{jobs}.>",
            f"$JS.ACK.{batches}.>",
        ),
        subscribe=(f"cancel.{pool}.*", f"tell.{pool}.*", f"{inbox}.>"),
    )
