"""Tokens and scopes, projects and environments, secrets."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from resit.domain.access import PROJECT_SCOPES, Principal, Role, Scope
from resit.domain.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    ResitError,
    Unauthenticated,
)
from resit.testing.factories import ADMIN, uuid_of
from resit.testing.world import World


def bearer(world: World, **asked: Any) -> Principal:
    """Who bears a fresh token."""
    return world.access.authenticate(world.access.create_token(ADMIN, **{"project": "shop", **asked})[1])


def test_a_token_speaks_for_its_project_with_its_scopes(world: World) -> None:
    project = world.project()
    assert bearer(world) == Principal("token 1", project.id, frozenset(PROJECT_SCOPES), token_id=1)
    found = bearer(world, scopes=["runs:read"], name="ci")
    assert found == Principal("ci", project.id, frozenset({Scope.RUNS_READ}), token_id=2)
    assert bearer(world, project=None, scopes=["admin"]).project_id is None


def test_tokens_expire_and_are_revoked(world: World) -> None:
    world.project()
    token, secret = world.access.create_token(ADMIN, project="shop", expires_in_days=1)
    world.clock.turn(86_399)
    assert world.access.authenticate(secret)
    world.clock.turn(1)
    with pytest.raises(Unauthenticated) as expired:
        world.access.authenticate(secret)
    token, secret = world.access.create_token(ADMIN, project="shop")
    world.access.revoke(ADMIN, token.id)
    world.access.revoke(ADMIN, token.id)
    with pytest.raises(Unauthenticated) as revoked:
        world.access.authenticate(secret)
    with pytest.raises(Unauthenticated) as unknown:
        world.access.authenticate(secret[:12] + "another")
    assert str(expired.value) == str(revoked.value) == str(unknown.value)


@pytest.mark.parametrize("days", [0, -1, 3651, float("nan"), float("inf")])
def test_odd_lives_of_tokens(world: World, days: float) -> None:
    world.project()
    with pytest.raises(InvalidInput):
        world.access.create_token(ADMIN, project="shop", expires_in_days=days)


def test_nobody_gives_away_more_than_they_have(world: World) -> None:
    world.project()
    world.project("other")
    manager = bearer(world, scopes=["tokens:manage", "runs:read"])
    admin_of_one = bearer(world, scopes=["admin"])
    assert world.access.create_token(manager, project="shop", scopes=["runs:read"])
    refused: list[tuple[Principal, dict[str, Any], type[ResitError]]] = [
        (manager, {"project": "shop", "scopes": ["runs:write"]}, Forbidden),
        (manager, {"project": "shop", "scopes": ["admin"]}, Forbidden),
        (manager, {"project": None, "scopes": ["runs:read"]}, Forbidden),
        (manager, {"project": "other", "scopes": ["runs:read"]}, NotFound),
        (admin_of_one, {"project": None, "scopes": ["admin"]}, Forbidden),
        (admin_of_one, {"project": "other"}, NotFound),
        (bearer(world), {"project": "shop"}, Forbidden),
    ]
    for who, asked, error in refused:
        with pytest.raises(error):
            world.access.create_token(who, **asked)
    with pytest.raises(Forbidden):
        world.catalog.add_project(admin_of_one, slug="mine", source=str(world.folder), executor="pytest")


def test_a_project_of_others_is_refused_in_the_words_of_one_that_does_not_exist(world: World) -> None:
    world.project()
    world.project("other")
    manager = bearer(world, scopes=["tokens:manage"])
    said = set()
    for name in ("other", "nowhere"):
        with pytest.raises(NotFound) as refused:
            world.access.create_token(manager, project=name, scopes=["tokens:manage"])
        said.add(refused.value.message.replace(name, "x"))
    assert len(said) == 1


def test_tokens_of_others_are_out_of_reach(world: World) -> None:
    world.project()
    world.project("other")
    manager = bearer(world, scopes=["tokens:manage"])
    token, _ = world.access.create_token(ADMIN, project="other")
    assert [found.project_id for found in world.access.tokens(manager)] == [manager.project_id]
    assert len(world.access.tokens(ADMIN)) == 2
    for id in (token.id, 999, 10**30, -1):
        with pytest.raises(NotFound):
            world.access.revoke(manager, id)


def test_secrets_of_tokens_are_not_kept(world: World, engine: Engine) -> None:
    world.project()
    _, secret = world.access.create_token(ADMIN, project="shop")
    assert secret not in everything(engine)


def everything(engine: Engine) -> str:
    """All that stands in the database, as text."""
    with sqlite3.connect(str(engine.url.database)) as connection:
        found = "\n".join(connection.iterdump())
    connection.close()
    return found


def test_secrets_of_environments_are_sealed_and_reach_workers_alone(world: World, engine: Engine) -> None:
    secret = "hunter2-and-more"
    world.project()
    made = world.environment(secrets={"PASSWORD": secret, "EMPTY": ""}, variables={"USER": "me"})
    run = world.planned("a", environment="staging", variables={"EXTRA": "1"})
    spec = world.work.spec("default", run.id)
    assert spec["variables"] == {"ENV_SLUG": "staging", "USER": "me", "PASSWORD": secret, "EMPTY": "", "EXTRA": "1"}
    assert spec["secrets"] == [secret]
    run = world.carry_out(run)
    assert made.secrets == ("EMPTY", "PASSWORD")
    assert secret not in world.dump(run) + repr(world.reads.environments(made.project_id)) + everything(engine)
    assert world.work.spec("default", run.id) == {"open": False, "why": "the run was over"}


FILE = uuid_of("an artifact")


def test_upload_tokens_are_for_one_run_and_a_day(world: World) -> None:
    world.project()
    run = world.planned("a")
    token = world.work.spec("default", run.id, "w:1")["upload"]["token"]
    assert world.work.may_upload(token, FILE) == run.id
    for forged in (
        "",
        "x",
        token + "0",
        token[:-1],
        "é.é",
        json.dumps({"run": 1}),
        ".".join(reversed(token.split("."))),
    ):
        with pytest.raises(Unauthenticated):
            world.work.may_upload(forged, FILE)
    for subject in ("somebody else", f"upload:{run.id}:another-pool:w1", "upload:999:default:w1"):
        with pytest.raises(Unauthenticated):
            world.work.may_upload(world.signer.sign(subject, world.clock.now() + 1), FILE)
    world.clock.turn(26 * 3600)
    with pytest.raises(Unauthenticated):
        world.work.may_upload(token, FILE)


def test_uploads_are_taken_for_an_hour_after_the_end_of_a_run(world: World) -> None:
    world.project()
    run = world.planned("a")
    token = world.work.spec("default", run.id, "w1")["upload"]["token"]
    world.carry_out(run)
    world.clock.turn(3600)
    assert world.work.may_upload(token, FILE) == run.id
    world.clock.turn(1)
    with pytest.raises(Conflict, match="is over"):
        world.work.may_upload(token, FILE)


def test_an_artifact_of_another_run_is_not_taken_over(world: World) -> None:
    world.project()
    one, two = world.planned("a"), world.planned("a")
    world.work.uploaded(one.id, "a" * 36, 5)
    with pytest.raises(NotFound):
        world.work.uploaded(two.id, "a" * 36, 6)
    token = world.work.spec("default", two.id, "w1")["upload"]["token"]
    with pytest.raises(NotFound):
        world.work.may_upload(token, "a" * 36)


ODD_PROJECTS: list[dict[str, Any]] = [
    {"slug": "Shop"},
    {"executor": "jest"},
    {"source": ""},
    {"source": "--upload-pack=evil"},
    {"source": "relative/path"},
    {"source": "/no/such/folder"},
    {"source": "/" + "x" * 1500},
    {"source": "http://["},
    {"source": "ext::sh -c evil"},
    {"source": "javascript://x"},
    {"source": "a\nb@c:d"},
    {"source": "https://x/\ud800"},
    {"workdir": "/etc"},
    {"workdir": "a/../../b"},
    {"workdir": "\0"},
    {"config": "../secret"},
    {"branch": "--evil"},
    {"name": "x" * 2001},
    {"setup": "echo \0"},
    {"shards": -1},
    {"shards": 257},
    {"time_limit": 0},
    {"time_limit": float("nan")},
    {"time_limit": 8 * 86400},
    {"stall_limit": 0.5},
    {"stall_limit": float("nan")},
    {"batch_limit": -1},
    {"batch_limit": 8 * 86400},
]


@pytest.mark.parametrize("odd", ODD_PROJECTS, ids=repr)
def test_odd_projects_are_refused(world: World, odd: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        world.project(**odd)
    assert not world.reads.projects(None, 0, 10).items


@pytest.mark.parametrize(
    "source", ["https://h/r.git", "http://h/r", "ssh://git@h/r", "git@h:o/r.git", "file:///srv/r.git", "git://h/r"]
)
def test_sources_that_a_worker_can_try(world: World, source: str) -> None:
    assert world.project(source=source).source == source


def test_a_folder_that_is_no_folder(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="does not exist"):
        world.project(source=str(tmp_path / "file"))


def test_names_are_taken_once(world: World) -> None:
    world.project()
    world.environment()
    with pytest.raises(AlreadyExists):
        world.project()
    with pytest.raises(AlreadyExists):
        world.environment()
    with pytest.raises(AlreadyExists):
        world.environment(slug="default")


@pytest.mark.parametrize(
    "odd",
    [
        {"slug": "-"},
        {"variables": {"A B": "x"}},
        {"secrets": {"RESIT_X": "x"}},
        {"variables": {"A": "1"}, "secrets": {"A": "2"}},
        {"match": ["*"] * 101},
        {"match": ["\0"]},
        {"name": "\ud800"},
    ],
    ids=repr,
)
def test_odd_environments_are_refused(world: World, odd: dict[str, Any]) -> None:
    project = world.project()
    with pytest.raises(InvalidInput):
        world.environment(**odd)
    assert len(world.reads.environments(project.id)) == 1


def test_environments_need_their_scope_and_reach(world: World) -> None:
    world.project()
    world.project("other")
    words: dict[str, Any] = {"slug": "x", "variables": {}, "secrets": {}}
    with pytest.raises(Forbidden):
        world.catalog.add_environment(bearer(world, scopes=["runs:read"]), "shop", **words)
    with pytest.raises(NotFound):
        world.catalog.add_environment(bearer(world, scopes=["runs:write"]), "other", **words)
    assert world.catalog.add_environment(bearer(world, scopes=["runs:write"]), "shop", **words)


# ---------------------------------------------------------------- whose tokens


def person(
    world: World, email: str, *, role: str = "contributor", project: str | None = None
) -> Callable[..., Principal]:
    """A new person; calling it signs in."""
    world.people.add(ADMIN, email=email, name="", role=role, password="correct horse", project=project)

    def sign_in(name: str, *scopes: str) -> Principal:
        _, secret = world.people.sign_in(email, "correct horse", token_name=name, scopes=scopes, expires_in_days=7)
        return world.access.authenticate(secret)

    return sign_in


def test_the_role_of_a_token_that_is_nobodys_follows_from_its_scopes(world: World) -> None:
    world.project()
    assert bearer(world).role is Role.CONTRIBUTOR
    assert bearer(world, scopes=["tokens:manage"]).role is Role.CONTRIBUTOR
    admin = bearer(world, scopes=["admin"])
    assert (admin.role, admin.user_id, admin.email) == (Role.ADMIN, None, "")


def test_a_token_belongs_to_who_made_it(world: World) -> None:
    world.project()
    ann = person(world, "ann@x", role="admin")("laptop", "admin")
    made, secret = world.access.create_token(ann, project="shop", name="ci")
    assert made.user_id == ann.user_id
    assert world.access.create_token(ADMIN, project="shop")[0].user_id is None
    who = world.access.authenticate(secret)
    assert (who.role, who.project_id, who.scopes) == (Role.ADMIN, made.project_id, frozenset(PROJECT_SCOPES))


def test_everybody_may_revoke_the_token_they_send(world: World) -> None:
    world.project()
    _, secret = world.access.create_token(ADMIN, project="shop", scopes=["runs:read"])
    who = world.access.authenticate(secret)
    world.access.revoke_current(who)
    with pytest.raises(Unauthenticated):
        world.access.authenticate(secret)
    world.access.revoke(who, who.token_id)
    with pytest.raises(NotFound):
        # who has no token, like the one who starts the server
        world.access.revoke_current(ADMIN)


def test_people_revoke_their_own_tokens_and_do_not_see_others(world: World) -> None:
    world.project()
    ann, ben = person(world, "ann@x"), person(world, "ben@x", project="shop")
    one, two, other = ann("one"), ann("two"), ben("one")
    world.access.revoke(one, two.token_id)
    assert world.access.own_tokens(one)[1].revoked_at == world.clock.now()
    said = set()
    for id in (other.token_id, 999):
        with pytest.raises(NotFound) as refused:
            world.access.revoke(one, id)
        said.add(refused.value.message.replace(str(id), "x"))
    assert len(said) == 1
    with pytest.raises(Forbidden):
        world.access.revoke(bearer(world), other.token_id)
    admin = person(world, "root@x", role="admin")
    with pytest.raises(NotFound):
        world.access.revoke(admin("reader", "runs:read"), other.token_id)
    world.access.revoke(admin("manager", "tokens:manage"), other.token_id)
    assert world.access.own_tokens(other)[0].revoked_at == world.clock.now()


def test_pages_of_tokens(world: World) -> None:
    world.project()
    ann = person(world, "ann@x", role="admin")
    one = ann("t1", "tokens:manage")
    own = [one.token_id, *(ann(f"t{n}").token_id for n in range(2, 6))]
    bound = person(world, "ben@x", role="admin", project="shop")("b", "tokens:manage")
    nobodys = bearer(world)

    def page(who: Principal, everyone: bool = False, offset: int = 0, limit: int = 50) -> tuple[list[int], int]:
        found, total = world.access.tokens_of(who, everyone=everyone, offset=offset, limit=limit)
        return [token.id for token in found], total

    assert page(one) == (own, 5)
    assert page(one, offset=1, limit=2) == (own[1:3], 5)
    assert page(one, offset=5) == ([], 5)
    assert page(one, everyone=True) == ([*own, bound.token_id, nobodys.token_id], 7)
    assert page(bound, everyone=True) == ([bound.token_id, nobodys.token_id], 2)
    assert page(nobodys) == ([nobodys.token_id], 1)
    assert page(nobodys, offset=1) == ([], 1)
    assert page(ADMIN) == ([], 0)
    for who in (nobodys, ann("reader"), person(world, "eve@x")("e")):
        with pytest.raises(Forbidden):
            page(who, everyone=True)
