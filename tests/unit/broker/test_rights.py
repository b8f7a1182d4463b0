"""The rights of a worker are those of its pool, whatever the pool is called."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from resit.broker import rights, subjects
from resit.broker.address import Address, inbox_of
from resit.broker.configuration import Listen
from resit.ports import Job, Urgency

POOLS = st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True)
NUMBERS = st.integers(1, 10**9)


def allowed(patterns: Sequence[str], subject: str) -> bool:
    """As the server decides it."""
    made = (re.escape(pattern).replace(r"\*", "[^.]+").replace(">", ".+") for pattern in patterns)
    return any(re.fullmatch(pattern, subject) for pattern in made)


def spoken(pool: str, run: int) -> list[str]:
    """What a worker of the pool publishes."""
    jobs, batches = subjects.jobs_stream(pool), subjects.batches_stream(pool)
    return [
        subjects.events(pool, run),
        subjects.ask(pool, "spec"),
        *(f"$JS.API.CONSUMER.MSG.NEXT.{jobs}.{subjects.urgency_consumer(urgency)}" for urgency in Urgency),
        f"$JS.API.CONSUMER.MSG.NEXT.{batches}.{subjects.run_consumer(run)}",
        f"$JS.ACK.{jobs}.high.1.2.3.4.5",
        f"$JS.ACK.{batches}.run-{run}.1.2.3.4.5",
    ]


def heard(pool: str, run: int, secret: str) -> list[str]:
    """What a worker of the pool subscribes to, or would get."""
    return [
        subjects.cancel(pool, run),
        subjects.pool_cancel(pool),
        subjects.tell(pool, "w-1"),
        f"{inbox_of(secret)}.x.1",
    ]


@given(POOLS, NUMBERS)
def test_a_worker_may_do_its_work(pool: str, run: int) -> None:
    mine = rights.of_worker(pool, inbox_of("mine"))
    assert all(allowed(mine.publish, subject) for subject in spoken(pool, run))
    assert all(allowed(mine.subscribe, subject) for subject in heard(pool, run, "mine"))


@given(POOLS, POOLS, NUMBERS)
def test_a_worker_may_do_nothing_of_another_pool(pool: str, other: str, run: int) -> None:
    assume(pool != other)
    mine = rights.of_worker(pool, inbox_of("mine"))
    handed = [subjects.job(pool, Job("plan", run), Urgency.HIGH), subjects.batch(pool, run, 1)]
    words = [subjects.cancel(pool, run), subjects.tell(pool, "w"), subjects.SIGNAL]
    assert not any(allowed(mine.publish, subject) for subject in [*spoken(other, run), *handed, *words])
    assert not any(allowed(mine.subscribe, subject) for subject in heard(other, run, "other"))
    assert not any(allowed(mine.subscribe, subject) for subject in [*spoken(pool, run), *handed, ">", "_INBOX.>"])


@pytest.mark.parametrize("pool", ["", "*", "a.b", ">", "A", "a b"])
def test_no_name_of_a_pool_widens_the_rights(pool: str) -> None:
    with pytest.raises(ValueError, match="not a pool name"):
        rights.of_worker(pool, inbox_of("mine"))


def test_the_place_of_answers_tells_nothing_of_the_secret() -> None:
    address = Address("nats://host", token="secret")
    assert address.inbox == inbox_of("secret") != inbox_of("Secret")
    assert "secret" not in address.inbox
    assert "secret" not in repr(address)


@pytest.mark.parametrize(
    ("text", "host", "shown", "reachable"),
    [
        ("10.0.0.5:4222", "10.0.0.5", "10.0.0.5:4222", "10.0.0.5"),
        ("0.0.0.0:4222", "0.0.0.0", "0.0.0.0:4222", "127.0.0.1"),  # noqa: S104 - nothing listens
        (":4222", "0.0.0.0", "0.0.0.0:4222", "127.0.0.1"),  # noqa: S104
        ("[::]:4222", "::", "[::]:4222", "::1"),
        ("ci.example.org:4222", "ci.example.org", "ci.example.org:4222", "ci.example.org"),
    ],
)
def test_an_address_to_listen_on(text: str, host: str, shown: str, reachable: str) -> None:
    listen = Listen.of(text)
    assert (listen.host, listen.port, str(listen), listen.reachable) == (host, 4222, shown, reachable)
