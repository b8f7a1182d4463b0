"""What any store must keep to for workers, their pools and credentials; a part of ``stores.StoreContract``."""

from dataclasses import replace

from resit.domain.fleet import ALIVE_SECONDS, MAX_HOLDING, Holding, Pool, Worker, WorkerCredential
from resit.domain.status import RunStatus
from resit.ports import Store
from resit.ports.fleet import PoolUse
from resit.testing import factories
from resit.testing.factories import NOW, ODD


def worker(name: str = "w1", pool: str = "p", **members: object) -> Worker:
    """A worker."""
    values: dict[str, object] = {"slots": 2, "seen_at": NOW, **members}
    return Worker(name=name, pool=pool, **values)  # type: ignore[arg-type]


def credential(prefix: str = "p", pool: str = "p", **members: object) -> WorkerCredential:
    """A credential; no two of different prefixes share a digest."""
    values: dict[str, object] = {"name": "", "digest": f"digest {prefix}", "created_at": NOW, **members}
    return WorkerCredential(id=0, pool=pool, prefix=prefix, **values)  # type: ignore[arg-type]


class FleetContract:
    """One test a promise; ``store`` is a fixture of the derived class."""

    def test_workers_come_back_as_they_were_last_seen(self, store: Store) -> None:
        """Every member, by pool and name."""
        first = worker(
            "ü'%_",
            "z",
            version="1.2",
            labels={"os": "linux", "arch": "arm64"},
            holding=(Holding(1, 2, 3, NOW - 5.5), Holding(2**40)),
            draining=True,
            host=ODD,
            credential_id=7,
            started_at=NOW - 100.25,
        )
        plain = worker("a", "z")
        with store.write() as tx:
            tx.workers.seen(worker("ü'%_", "z", host="before", slots=9))
            for one in (first, plain, worker("b", "y", seen_at=NOW - 1)):
                tx.workers.seen(one)
        with store.read() as tx:
            assert tx.workers.all(NOW) == [plain, first]
            assert [one.name for one in tx.workers.all(NOW - 1)] == ["b", "a", "ü'%_"]
            assert tx.workers.all(NOW + 1) == []

    def test_what_a_worker_holds_is_kept_within_bounds(self, store: Store) -> None:
        """However much it says."""
        with store.write() as tx:
            tx.workers.seen(worker(holding=tuple(Holding(n) for n in range(MAX_HOLDING + 10))))
            assert len(tx.workers.all(0)[0].holding) == MAX_HOLDING

    def test_workers_that_are_alive(self, store: Store) -> None:
        """By pool, since a time; those that are draining take no work and don't count."""
        with store.write() as tx:
            for name, at in (("a", NOW), ("b", NOW + 10), ("a", NOW + 20)):
                tx.workers.seen(worker(name, seen_at=at))
            tx.workers.seen(worker("c", draining=True, seen_at=NOW + 20))
            tx.workers.seen(worker("d", "q", seen_at=NOW + 5))
            assert [tx.workers.alive("p", NOW + n) for n in (0, 15, 25)] == [2, 1, 0]
            assert tx.workers.alive("nowhere", 0) == 0
            assert tx.workers.alive_by_pool(NOW) == {"p": 2, "q": 1}
            assert tx.workers.alive_by_pool(NOW + 15) == {"p": 1}
            assert tx.workers.alive_by_pool(NOW + 25) == {}

    def test_nobody_takes_the_name_of_a_living_worker_of_another_pool(self, store: Store) -> None:
        """Not until that one has been silent for long enough."""
        with store.write() as tx:
            tx.workers.seen(worker("w", "mine"))
            tx.workers.seen(worker("w", "theirs", seen_at=NOW + ALIVE_SECONDS))
            assert [one.pool for one in tx.workers.all(0)] == ["mine"]
            tx.workers.gone("w", "theirs")
            assert [one.pool for one in tx.workers.all(0)] == ["mine"]
            tx.workers.seen(worker("w", "theirs", seen_at=NOW + ALIVE_SECONDS + 1))
            assert [one.pool for one in tx.workers.all(0)] == ["theirs"]

    def test_workers_leave_and_are_forgotten(self, store: Store) -> None:
        """One by its name, others by how long ago they were seen."""
        with store.write() as tx:
            for name, at in (("a", NOW), ("b", NOW + 1), ("c", NOW + 2)):
                tx.workers.seen(worker(name, seen_at=at))
            tx.workers.gone("c", "p")
            tx.workers.gone("nobody", "p")
            tx.workers.forget(NOW + 1)
            assert [one.name for one in tx.workers.all(0)] == ["b"]

    def test_pools_come_back_as_they_were(self, store: Store) -> None:
        """By name; saving makes one that is missing."""
        one = Pool(name="one", labels={"os": "linux", "v": "1.2"}, description=ODD, created_at=NOW + 0.25)
        two = Pool(name="two")
        with store.write() as tx:
            assert (tx.pools.get("one"), list(tx.pools.all())) == (None, [])
            tx.pools.save(two)
            tx.pools.add(one)
        with store.write() as tx:
            assert (tx.pools.get("one"), tx.pools.get("two")) == (one, two)
            assert tx.pools.all() == [one, two]
            changed = replace(one, labels={}, description="")
            tx.pools.save(changed)
            assert tx.pools.all() == [changed, two]
            tx.pools.remove("one")
            tx.pools.remove("nobody's")
            assert tx.pools.all() == [two]

    def test_what_needs_a_pool(self, store: Store) -> None:
        """Environments that name it, runs that are open, credentials that are valid."""
        with store.write() as tx:
            assert tx.pools.use("p", NOW) == PoolUse([], 0, 0)
            shop = tx.projects.add(factories.project(slug="shop"))
            staging = replace(factories.environment(shop.id), slug="staging", pool="p")
            staging = tx.projects.add_environment(staging, "")
            tx.projects.add_environment(replace(staging, slug="other", uuid="other", pool="q"), "")
            for n, status in enumerate((RunStatus.RUNNING, RunStatus.REQUESTED, RunStatus.FINISHED)):
                run = factories.run(shop.id, staging.id, uuid=factories.uuid_of(f"of a pool {n}"), status=status)
                tx.runs.add(replace(run, pool="p"))
            tx.worker_credentials.add(credential("valid"))
            tx.worker_credentials.add(credential("lasting", expires_at=NOW + 1))
            tx.worker_credentials.add(credential("expired", expires_at=NOW))
            tx.worker_credentials.add(credential("revoked", revoked_at=NOW))
            tx.worker_credentials.add(credential("other", "q"))
            assert tx.pools.use("p", NOW) == PoolUse(["shop/staging"], 2, 2)
            assert tx.pools.use("q", NOW) == PoolUse(["shop/other"], 0, 1)

    def test_credentials_of_workers_come_back_as_they_were(self, store: Store) -> None:
        """By number, by the beginning of their secret, and all of them, oldest first."""
        with store.write() as tx:
            assert (tx.worker_credentials.get(1), list(tx.worker_credentials.all())) == (None, [])
            one = tx.worker_credentials.add(credential("same", name=ODD, created_by="ann", expires_at=NOW + 0.5))
            two = tx.worker_credentials.add(credential("same", "q", digest="another", seen_at=NOW))
            three = tx.worker_credentials.add(credential("else"))
        assert len({one.id, two.id, three.id, 0}) == 4
        with store.write() as tx:
            assert [tx.worker_credentials.get(id) for id in (one.id, two.id)] == [one, two]
            assert list(tx.worker_credentials.by_prefix("same")) == [one, two]
            assert list(tx.worker_credentials.by_prefix("sam")) == []
            assert list(tx.worker_credentials.all()) == [one, two, three]
            revoked = replace(one, revoked_at=NOW + 9, seen_at=NOW + 8)
            tx.worker_credentials.save(revoked)
            assert list(tx.worker_credentials.all()) == [revoked, two, three]
