"""One control plane at a time holds a duty, by the database's clock; the others see who is there."""

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine, update

from resit.ports import Plane
from resit.storage import tables
from resit.storage.connect import transaction
from resit.storage.duties import SqlDuties
from resit.storage.times import clock_now
from resit.testing.world import empty

BOTH_DATABASES = True


def duties(engine: Engine, name: str) -> SqlDuties:
    return SqlDuties(engine, Plane(name=name, url=f"http://{name}", version="1", broker="b", key="k"))


def pass_by(engine: Engine, seconds: float) -> None:
    """Time goes by, for leases and signs of life."""
    with transaction(engine, write=True) as db:
        db.execute(update(tables.duties).values(until=tables.duties.c.until - seconds))
        seen = tables.control_planes.c.seen_at
        db.execute(update(tables.control_planes).values(seen_at=seen - seconds))


def test_a_duty_is_one_holders_until_it_runs_out_or_is_given_up(engine: Engine) -> None:
    empty(engine)
    one, other = duties(engine, "one"), duties(engine, "other")
    assert one.hold("steward", 5)
    assert not other.hold("steward", 5)
    assert one.hold("steward", 5)
    assert other.hold("another duty", 5)
    pass_by(engine, 6)
    assert other.hold("steward", 5)
    assert not one.hold("steward", 5)
    one.release("steward")
    assert not one.hold("steward", 5)
    other.release("steward")
    assert one.hold("steward", 5)


def test_of_many_at_once_one_holds_it(engine: Engine) -> None:
    empty(engine)
    many = [duties(engine, f"plane {n}") for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert sum(pool.map(lambda found: found.hold("steward", 5), many)) == 1


def test_planes_are_those_that_were_there_lately(engine: Engine) -> None:
    empty(engine)
    one, other = duties(engine, "one"), duties(engine, "other")
    one.present()
    other.present()
    one.present()
    assert [plane.name for plane in one.planes(15)] == ["one", "other"]
    pass_by(engine, 20)
    other.present()
    [plane] = one.planes(15)
    assert (plane.name, plane.url, plane.version, plane.broker, plane.key) == ("other", "http://other", "1", "b", "k")
    assert plane.started_at < plane.seen_at


def test_the_databases_clock_is_the_time(engine: Engine) -> None:
    import time

    with engine.connect() as connection:
        found = connection.execute(clock_now().select()).scalar_one()
    assert abs(found - time.time()) < 5
