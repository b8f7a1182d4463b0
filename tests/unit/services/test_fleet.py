"""Pools, credentials of workers, who is there, and which pool a run goes to."""

import json
from dataclasses import replace
from typing import Any

import pytest

from resit.domain.access import PROJECT_SCOPES, Principal, Scope
from resit.domain.errors import AlreadyExists, Conflict, Forbidden, InvalidInput, NotFound, ResitError
from resit.domain.fleet import ALIVE_SECONDS, FORGET_SECONDS, Holding, WorkerCredential, WorkersAddress
from resit.domain.rerun import Again
from resit.domain.status import SelectionKind
from resit.ports import Outgoing, Pass
from resit.services.work import SWEEP_SECONDS
from resit.testing.factories import ADMIN, NOW, planned
from resit.testing.world import World

BOTH_DATABASES = True
DAY = 86_400.0
ADDRESS = WorkersAddress(brokers=("tls://ci:4222",), server="https://ci", ca="PEM")


def pool(world: World, name: str = "linux", **labels: str) -> None:
    world.fleet.add_pool(ADMIN, name=name, labels=labels)


def issue(world: World, pool: str = "default", **words: Any) -> tuple[WorkerCredential, str]:
    """A credential and its secret."""
    world.fleet.address = ADDRESS
    made, secret, address = world.fleet.issue(ADMIN, **{"pool": pool, **words})
    assert address == ADDRESS
    return made, secret


def alive(world: World, name: str = "w1", pool: str = "default", **about: Any) -> dict[str, Any]:
    """A worker says that it lives."""
    return world.work.alive(pool, {"worker": name, "slots": 2, "version": "1", **about})


def messages(world: World) -> list[Outgoing]:
    return [replace(message, id=0) for message in world.settle()]


# ---------------------------------------------------------------- credentials


def test_a_credential_admits_to_its_pool(world: World) -> None:
    pool(world)
    made, secret = issue(world, "linux", name="rack 3", expires_in_days=1)
    assert (made.created_by, made.created_at, made.expires_at) == ("admin", NOW, NOW + DAY)
    assert world.fleet.admit(secret) == Pass("linux", made.id, "rack 3", NOW + DAY)
    for other in ("", "x", secret[:-1], secret + "x", secret[:12], "é" * 20):
        assert world.fleet.admit(other) is None
    assert secret not in repr(world.fleet.credentials(ADMIN))


def test_an_expired_and_a_revoked_credential_admit_nobody(world: World) -> None:
    _, short = issue(world, expires_in_days=1)
    made, long = issue(world)
    world.clock.turn(DAY)
    assert world.fleet.admit(short) is None
    assert world.fleet.admit(long)
    revoked = world.fleet.revoke(ADMIN, made.id)
    assert revoked.revoked_at == NOW + DAY
    assert world.fleet.admit(long) is None
    assert messages(world) == [Outgoing(kind="revoke", run_id=0, pool="default", number=made.id)]
    world.clock.turn(5)
    assert world.fleet.revoke(ADMIN, made.id) == revoked
    assert [message.kind for message in messages(world)] == ["revoke"]


def test_the_use_of_a_credential_is_noted_once_a_minute(world: World) -> None:
    made, secret = issue(world)

    def seen() -> float | None:
        return next(c.seen_at for c in world.fleet.credentials(ADMIN) if c.id == made.id)

    assert seen() is None
    for turn, expected in ((0, NOW), (59, NOW), (1, NOW + 60), (30, NOW + 60)):
        world.clock.turn(turn)
        world.fleet.admit(secret)
        assert seen() == expected


def test_there_are_no_credentials_for_a_server_that_nobody_reaches(world: World) -> None:
    with pytest.raises(Conflict, match="resit serve --workers-listen HOST:PORT"):
        world.fleet.issue(ADMIN, pool="default")
    assert not world.fleet.credentials(ADMIN)


@pytest.mark.parametrize(
    "words",
    [
        {"pool": "nowhere"},
        {"pool": "*"},
        {"pool": ""},
        {"pool": "default", "expires_in_days": 0},
        {"pool": "default", "expires_in_days": float("nan")},
        {"pool": "default", "expires_in_days": 1e9},
        {"pool": "default", "name": "x" * 201},
        {"pool": "default", "name": "\0"},
    ],
)
def test_credentials_that_are_not_made(world: World, words: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        issue(world, **words)
    assert not world.fleet.credentials(ADMIN)


def test_the_fleet_is_its_operators(world: World) -> None:
    project = world.project()
    bound = Principal("bound", project.id, frozenset({Scope.ADMIN}))
    contributor = Principal("ann", None, frozenset(PROJECT_SCOPES))
    for who in (bound, contributor):
        for refused in (
            lambda who=who: world.fleet.issue(who, pool="default"),
            lambda who=who: world.fleet.credentials(who),
            lambda who=who: world.fleet.revoke(who, 1),
            lambda who=who: world.fleet.add_pool(who, name="x", labels={}),
            lambda who=who: world.fleet.change_pool(who, "default", {}),
            lambda who=who: world.fleet.remove_pool(who, "default"),
        ):
            with pytest.raises(Forbidden):
                refused()
        assert [view.pool.name for view in world.fleet.pools(who)] == ["default"]
    with pytest.raises(Forbidden):
        world.fleet.workers(Principal("x", None, frozenset({Scope.RUNS_READ})))
    for id in (0, -1, 1, 2**60):
        with pytest.raises(NotFound):
            world.fleet.revoke(ADMIN, id)


# ---------------------------------------------------------------- pools


def test_pools_are_made_changed_and_removed(world: World) -> None:
    pool(world, os="linux")
    with pytest.raises(AlreadyExists):
        pool(world)
    with pytest.raises(AlreadyExists):
        pool(world, "default")
    changed = world.fleet.change_pool(ADMIN, "linux", {"labels": {"os": None, "arch": "arm64"}, "description": "new"})
    assert (changed.pool.labels, changed.pool.description) == ({"arch": "arm64"}, "new")
    world.fleet.change_pool(ADMIN, "default", {"labels": {"os": "linux"}})
    assert [(view.pool.name, view.pool.labels) for view in world.fleet.pools(ADMIN)] == [
        ("default", {"os": "linux"}),
        ("linux", {"arch": "arm64"}),
    ]
    world.fleet.remove_pool(ADMIN, "linux")
    for action in (world.fleet.remove_pool, lambda who, name: world.fleet.change_pool(who, name, {})):
        with pytest.raises(NotFound):
            action(ADMIN, "linux")
    with pytest.raises(InvalidInput):
        world.fleet.change_pool(ADMIN, "default", {"name": "other"})


def test_a_pool_that_is_needed_stays(world: World) -> None:
    def stays(words: str) -> None:
        with pytest.raises(Conflict, match=words):
            world.fleet.remove_pool(ADMIN, "linux")

    pool(world)
    project = world.project()
    environment = world.environment(pool="linux")
    stays("shop/staging")
    world.planned("a", environment="staging")
    world.catalog.change_environment(ADMIN, environment.id, {"pool": "default"})
    stays("1 open runs")
    world.runs.cancel(ADMIN, 1)
    made, _ = issue(world, "linux")
    stays("1 worker credentials")
    world.fleet.revoke(ADMIN, made.id)
    world.fleet.remove_pool(ADMIN, "linux")
    with pytest.raises(Conflict, match="stays"):
        world.fleet.remove_pool(ADMIN, "default")
    assert project


def test_environments_name_pools_that_there_are(world: World) -> None:
    world.project()
    pool(world, os="linux", browser="chrome")
    assert world.environment(slug="one", pool="linux").pool == "linux"
    assert world.environment(slug="two", pool="os=linux , browser=chrome").pool == "browser=chrome,os=linux"
    refusals: list[tuple[str, str]] = [
        ("mac", r"no pool 'mac'; there are: default \(no labels\); linux \(browser=chrome,os=linux\)"),
        ("os=mac", "no pool has the labels os=mac; there are: default"),
        ("os", "there is no pool"),
        ("", "no name of a pool"),
        ("os=linux,", "no label"),
    ]
    for wanted, words in refusals:
        with pytest.raises(InvalidInput, match=words) as refused:
            world.environment(slug="three", pool=wanted)
        assert refused.value.field == "pool"
    environment = world.environment(slug="three")
    changed = world.catalog.change_environment(ADMIN, environment.id, {"pool": "os=linux"})
    assert changed.pool == "os=linux"
    with pytest.raises(InvalidInput):
        world.catalog.change_environment(ADMIN, environment.id, {"pool": "mac"})


def test_a_run_goes_to_the_pool_that_fits_best_when_it_is_requested(world: World) -> None:
    world.project()
    for name in ("b", "c", "a"):
        pool(world, name, os="linux")
    world.environment(pool="os=linux")

    def requested() -> str:
        return world.trigger(environment="staging").pool

    assert requested() == "a"
    alive(world, "w1", "b")
    assert requested() == "b"
    for name in ("w2", "w3"):
        alive(world, name, "c")
    run = world.trigger(environment="staging")
    assert run.pool == "c"
    assert {message.pool for message in messages(world) if message.run_id == run.id} == {"c"}
    alive(world, "w3", "c", draining=True)
    assert requested() == "b"
    world.clock.turn(ALIVE_SECONDS + 1)
    assert requested() == "a"
    assert world.run(run.id).pool == "c"


def test_a_rerun_is_given_a_pool_anew(world: World) -> None:
    world.project()
    pool(world, "a", os="linux")
    environment = world.environment(pool="a")
    run = world.carry_out(world.planned("t", environment="staging"))
    world.catalog.change_environment(ADMIN, environment.id, {"pool": "default"})
    world.fleet.remove_pool(ADMIN, "a")
    again, _ = world.runs.rerun(ADMIN, run.id, Again(kind=SelectionKind.ALL))
    assert (world.run(run.id).pool, again.pool) == ("a", "default")


def test_a_run_of_labels_that_nobody_has_any_more_is_refused(world: World) -> None:
    world.project()
    pool(world, "a", os="linux")
    world.environment(pool="os=linux")
    world.fleet.change_pool(ADMIN, "a", {"labels": {"os": None}})
    with pytest.raises(InvalidInput, match="no pool has the labels os=linux; there are: a"):
        world.trigger(environment="staging")
    assert world.reads.lineage(1) == []


# ---------------------------------------------------------------- workers


def test_what_a_worker_says_of_itself(world: World) -> None:
    pool(world)
    made, _ = issue(world, "linux")
    alive(
        world,
        pool="linux",
        labels={"os": "linux"},
        host="rack",
        up=90.5,
        credential=made.id,
        holding=[[7, 1, 2, 3.5], [7, 2, 0, 0], [6, -1, 0, 0]],
        draining=True,
    )
    (found,) = world.fleet.workers(ADMIN)
    assert (found.name, found.pool, found.slots, found.version, found.host) == ("w1", "linux", 2, "1", "rack")
    assert (found.labels, found.draining, found.credential_id) == ({"os": "linux"}, True, made.id)
    assert found.holding == (Holding(7, 1, 2, NOW - 3.5), Holding(7, 2, 0, NOW), Holding(6, -1, 0, NOW))
    assert (found.started_at, found.seen_at) == (NOW - 90.5, NOW)
    (_, view) = world.fleet.pools(ADMIN)
    assert (view.workers, view.slots) == (0, 0)
    alive(world, pool="linux")
    (_, view) = world.fleet.pools(ADMIN)
    assert (view.workers, view.slots) == (1, 2)


@pytest.mark.parametrize(
    "words",
    [
        {"slots": -1},
        {"slots": "many"},
        {"slots": 2**60},
        {"worker": "\0"},
        {"worker": "x" * 201},
        {"holding": [[1, 2]]},
        {"holding": [[1, -2, 0, 0]]},
        {"holding": [[2**60, 0, 0, 0]]},
        {"holding": 5},
        {"labels": 5},
        {"up": "long"},
        {"credential": -1},
    ],
)
def test_a_worker_that_makes_no_sense_is_not_listed(world: World, words: dict[str, Any]) -> None:
    with pytest.raises((ResitError, ValueError, TypeError, AttributeError)):
        alive(world, **{"name": "w", **words}) if "worker" not in words else world.work.alive(
            "default", {"slots": 1, **words}
        )
    assert world.fleet.workers(ADMIN) == []


def test_odd_words_of_a_worker_are_kept_out(world: World) -> None:
    alive(
        world, labels={"OS": "x y"}, up=json.loads("NaN"), version="v" * 100, holding=[[1, 1, 1, json.loads("1e999")]]
    )
    (found,) = world.fleet.workers(ADMIN)
    assert (found.labels, found.started_at, len(found.version)) == ({}, NOW, 64)
    assert found.holding[0].since > 0


def test_a_worker_may_not_boast_of_another_pools_credential(world: World) -> None:
    pool(world)
    made, _ = issue(world, "linux")
    alive(world, pool="default", credential=made.id)
    assert world.fleet.workers(ADMIN)[0].credential_id is None


def test_workers_leave_or_are_forgotten_after_a_day(world: World) -> None:
    alive(world, "stays")
    alive(world, "leaves")
    alive(world, "leaves", "other", leaving=True)
    assert len(world.fleet.workers(ADMIN)) == 2
    alive(world, "leaves", leaving=True)
    assert [worker.name for worker in world.fleet.workers(ADMIN)] == ["stays"]
    world.clock.turn(FORGET_SECONDS)
    assert [worker.alive(world.clock.now()) for worker in world.fleet.workers(ADMIN)] == [False]
    world.clock.turn(1)
    assert world.fleet.workers(ADMIN) == []
    world.clock.turn(SWEEP_SECONDS)
    alive(world, "fresh")
    with world.store.read() as tx:
        assert [worker.name for worker in tx.workers.all(0)] == ["fresh"]


def test_who_is_bound_to_a_project_sees_what_is_held_of_it(world: World) -> None:
    shop = world.project()
    world.project(slug="bank")
    mine, theirs = world.planned("a"), world.planned("a", project="bank")
    alive(world, holding=[[mine.id, 1, 1, 5], [theirs.id, 1, 1, 6]])
    bound = Principal("bound", shop.id, frozenset(PROJECT_SCOPES))
    assert world.fleet.workers(bound)[0].holding == (Holding(mine.id, 1, 1, NOW - 5), Holding(0, since=NOW - 6))
    assert [place.run for place in world.fleet.workers(ADMIN)[0].holding] == [mine.id, theirs.id]


def test_batches_are_cut_for_the_workers_that_take_work(world: World) -> None:
    world.project()
    alive(world, "w1")
    alive(world, "w2", draining=True)
    tests = [f"t{n}" for n in range(8)]
    for name, batches in (("w3", 2), ("w4", 3)):
        alive(world, name)
        run = world.trigger(shards=4)
        world.plan(run, [planned(test) for test in tests], claim=name, shares_process=True, lanes=4)
        with world.store.read() as tx:
            assert len(tx.batches.open(run.id)) == batches
