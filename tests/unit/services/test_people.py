"""People, what they may ask for, and the organization."""

from typing import Any

import pytest
from sqlalchemy import Engine, select

from resit.domain import passwords
from resit.domain.access import PROJECT_SCOPES, Principal, Role, Scope, Token
from resit.domain.errors import (
    AlreadyExists,
    Forbidden,
    InvalidInput,
    NotFound,
    QuotaExceeded,
    ResitError,
    Suspended,
    Unauthenticated,
)
from resit.domain.organization import Organization, month_start
from resit.storage import tables
from resit.testing.factories import ADMIN
from resit.testing.world import World

PASSWORD = "correct horse"


def add(world: World, email: str = "ann@example.org", **members: Any) -> Any:
    words = {"name": "Ann", "role": "contributor", "password": PASSWORD, **members}
    return world.people.add(ADMIN, email=email, **words)


def sign_in(world: World, email: str = "ann@example.org", password: str = PASSWORD, **asked: Any) -> tuple[Token, str]:
    words = {"token_name": "laptop", "scopes": [], "expires_in_days": 7, **asked}
    return world.people.sign_in(email, password, **words)


def bearer(world: World, **asked: Any) -> Principal:
    return world.access.authenticate(sign_in(world, **asked)[1])


# ---------------------------------------------------------------- accounts


def test_an_account_is_as_it_was_made(world: World) -> None:
    project = world.project()
    ann = add(world, " Ann@Example.ORG ", project="shop")
    ben = add(world, "ben@example.org", name=" ", role="admin")
    assert (ann.email, ann.name, ann.role, ann.project_id) == ("ann@example.org", "Ann", Role.CONTRIBUTOR, project.id)
    assert (ben.name, ben.role, ben.project_id, ben.disabled) == ("ben@example.org", Role.ADMIN, None, False)
    assert list(world.people.all(ADMIN)) == [ann, ben]


@pytest.mark.parametrize(
    ("odd", "field"),
    [
        ({"email": ""}, "email"),
        ({"email": "ann"}, "email"),
        ({"email": "ann@"}, "email"),
        ({"email": "a@b@c"}, "email"),
        ({"email": "a b@c"}, "email"),
        ({"email": "a@b\ud800"}, "email"),
        ({"email": "a@" + "b" * 300}, "email"),
        ({"name": "x" * 201}, "name"),
        ({"name": "\0"}, "name"),
        ({"role": "king"}, "role"),
        ({"password": "1234567"}, "password"),
        ({"password": "x" * 129}, "password"),
    ],
    ids=repr,
)
def test_odd_accounts_are_refused(world: World, odd: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        add(world, **odd)
    assert refused.value.field == field
    assert not world.people.all(ADMIN)


def test_an_address_has_one_account_and_a_project_must_be_there(world: World) -> None:
    add(world)
    with pytest.raises(AlreadyExists):
        add(world, "ANN@example.org")
    world.people.disable(ADMIN, "ann@example.org")
    with pytest.raises(AlreadyExists):
        add(world)
    with pytest.raises(NotFound):
        add(world, "ben@example.org", project="nowhere")
    assert len(world.people.all(ADMIN)) == 1


def test_people_are_an_administrators_of_all_projects(world: World) -> None:
    project = world.project()
    others = [
        Principal("x", None, frozenset(PROJECT_SCOPES)),
        Principal("x", None, frozenset({Scope.TOKENS_MANAGE, Scope.SYSTEM_WRITE})),
        Principal("x", project.id, frozenset({Scope.ADMIN}), Role.ADMIN),
    ]
    for who in others:
        with pytest.raises(Forbidden):
            world.people.add(who, email="a@b", name="", role="user", password=PASSWORD)
        with pytest.raises(Forbidden):
            world.people.all(who)
        with pytest.raises(Forbidden):
            world.people.disable(who, "a@b")
        with pytest.raises(Forbidden):
            world.organizations.set(who, {"suspended": True})


def test_passwords_are_not_kept(world: World, engine: Engine) -> None:
    add(world)
    _, secret = sign_in(world)
    with engine.connect() as connection:
        found = "\n".join(repr(connection.execute(select(t)).all()) for t in tables.metadata.sorted_tables)
    assert PASSWORD not in found
    assert secret not in found
    assert "scrypt$" in found


# ---------------------------------------------------------------- signing in


def test_a_person_signs_in(world: World) -> None:
    project = world.project()
    ann = add(world, project="shop")
    token, secret = sign_in(world, "ANN@example.org")
    assert (token.user_id, token.project_id, token.name) == (ann.id, project.id, "laptop")
    assert token.expires_at == world.clock.now() + 7 * 86400
    who = world.access.authenticate(secret)
    assert who == Principal(
        "Ann",
        project.id,
        frozenset({Scope.RUNS_READ, Scope.RESULTS_READ}),
        Role.CONTRIBUTOR,
        ann.id,
        token.id,
        ann.email,
    )
    world.clock.turn(7 * 86400)
    with pytest.raises(Unauthenticated):
        world.access.authenticate(secret)


def test_the_same_words_whatever_is_wrong(world: World) -> None:
    add(world)
    add(world, "ben@example.org")
    world.people.disable(ADMIN, "ben@example.org")
    said = set[str]()
    for email, password in [
        ("ann@example.org", "wrong horse"),
        ("nobody@example.org", PASSWORD),
        ("ben@example.org", PASSWORD),
        ("no address", PASSWORD),
        ("", PASSWORD),
    ]:
        with pytest.raises(Unauthenticated) as refused:
            sign_in(world, email, password, scopes=["admin"])
        said.add(refused.value.message)
    assert len(said) == 1


def test_the_same_work_whatever_is_wrong(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    add(world)
    add(world, "ben@example.org")
    world.people.disable(ADMIN, "ben@example.org")
    work: list[object] = []
    real = passwords._scrypt
    monkeypatch.setattr(passwords, "_scrypt", lambda *given: (work.append(given[2]), real(*given))[1])
    for email in ("ann@example.org", "ben@example.org", "nobody@example.org"):
        with pytest.raises(Unauthenticated):
            sign_in(world, email, "wrong horse")
    assert len(work) == 3
    assert len(set(work)) == 1


@pytest.mark.parametrize(
    ("odd", "field"),
    [
        ({"token_name": ""}, "token_name"),
        ({"token_name": "a b"}, "token_name"),
        ({"token_name": "ä"}, "token_name"),
        ({"token_name": "a\n"}, "token_name"),
        ({"token_name": "x" * 51}, "token_name"),
        ({"expires_in_days": 0.9}, "expires_in_days"),
        ({"expires_in_days": 30.1}, "expires_in_days"),
        ({"expires_in_days": float("nan")}, "expires_in_days"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"email": "\ud800@x"}, "email"),
        ({"email": "x" * 256}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"password": "1234567\ud800"}, "password"),
    ],
    ids=repr,
)
def test_odd_wishes_are_refused(world: World, odd: dict[str, Any], field: str) -> None:
    add(world)
    with pytest.raises(InvalidInput) as refused:
        sign_in(world, **odd)
    assert refused.value.field == field
    assert not world.access.tokens(ADMIN)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("scope", list(Scope))
def test_a_role_limits_the_scopes(world: World, role: Role, scope: Scope) -> None:
    add(world, role=role.value)
    guarded = {Scope.BASELINES_WRITE, Scope.SYSTEM_WRITE, Scope.TOKENS_MANAGE, Scope.ADMIN}
    if role is Role.ADMIN or scope not in guarded:
        assert bearer(world, scopes=[scope.value]).scopes == {scope}
        return
    with pytest.raises(Forbidden) as refused:
        sign_in(world, scopes=["runs:read", scope.value])
    assert refused.value.details["refused_scopes"] == [scope.value]
    assert not world.access.tokens(ADMIN)


def test_a_name_is_used_once_by_a_person(world: World) -> None:
    add(world)
    add(world, "ben@example.org")
    token, secret = sign_in(world)
    with pytest.raises(AlreadyExists):
        sign_in(world)
    world.access.revoke_current(world.access.authenticate(secret))
    with pytest.raises(AlreadyExists):
        sign_in(world)
    assert sign_in(world, "ben@example.org")
    assert sign_in(world, token_name="Laptop")
    assert token.name == "laptop"


def test_disabling_closes_every_door_at_once(world: World) -> None:
    add(world, role="admin")
    token, secret = sign_in(world, scopes=["admin"])
    _, made = world.access.create_token(world.access.authenticate(secret), project=None, scopes=["runs:read"])
    old, _ = sign_in(world, token_name="old")
    world.access.revoke(ADMIN, old.id)
    world.clock.turn(10)
    assert world.people.disable(ADMIN, "Ann@example.org").disabled
    assert world.people.disable(ADMIN, "ann@example.org").disabled
    for one in (secret, made):
        with pytest.raises(Unauthenticated):
            world.access.authenticate(one)
    revoked = {one.id: one.revoked_at for one in world.access.tokens(ADMIN)}
    assert revoked[token.id] == world.clock.now()
    assert revoked[old.id] == world.clock.now() - 10
    with pytest.raises(NotFound):
        world.people.disable(ADMIN, "nobody@example.org")
    with pytest.raises(InvalidInput):
        world.people.disable(ADMIN, "nobody")


# ---------------------------------------------------------------- the organization


def test_what_is_not_named_stays(world: World) -> None:
    assert world.organizations.get(ADMIN) == (Organization(), 0)
    assert world.organizations.set(ADMIN, {"monthly_runs": 5}) == Organization(monthly_runs=5)
    assert world.organizations.set(ADMIN, {"suspended": True}) == Organization(monthly_runs=5, suspended=True)
    assert world.organizations.set(ADMIN, {}) == Organization(monthly_runs=5, suspended=True)
    changed = world.organizations.set(ADMIN, {"monthly_runs": None, "suspended": False})
    assert changed == world.organizations.get(ADMIN)[0] == Organization()


ODD: list[dict[str, object]] = [
    {"monthly_runs": -1},
    {"monthly_runs": True},
    {"monthly_runs": 1.5},
    {"monthly_runs": "7"},
    {"monthly_runs": 2**31},
    {"suspended": None},
    {"suspended": 1},
    {"name": "x"},
    {"monthly_runs": 3, "suspended": "yes"},
]


@pytest.mark.parametrize("changes", ODD, ids=repr)
def test_odd_settings_are_refused_whole(world: World, changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        world.organizations.set(ADMIN, changes)
    assert world.organizations.get(ADMIN)[0] == Organization()


def test_a_month_has_so_many_runs_in_all_projects(world: World) -> None:
    world.project()
    world.project("other")
    world.organizations.set(ADMIN, {"monthly_runs": 2})
    world.trigger("shop")
    world.trigger("other")
    with pytest.raises(QuotaExceeded):
        world.trigger("shop")
    assert world.organizations.get(ADMIN)[1] == 2
    world.clock.time = month_start(world.clock.now() + 32 * 86400)
    assert world.organizations.get(ADMIN)[1] == 0
    assert world.trigger("shop")


def test_who_may_look_at_the_organization(world: World) -> None:
    assert world.organizations.get(Principal("x", 1, frozenset({Scope.SYSTEM_READ})))
    with pytest.raises(Forbidden):
        world.organizations.get(Principal("x", None, frozenset({Scope.RUNS_READ})))


def test_a_suspended_organization_answers_its_administrators_alone(world: World) -> None:
    world.project()
    add(world, role="admin")
    add(world, "bound@example.org", role="admin", project="shop")
    add(world, "ben@example.org")
    people = {email: sign_in(world, f"{email}@example.org")[1] for email in ("ann", "bound", "ben")}
    made = {
        "ci": world.access.create_token(ADMIN, project="shop")[1],
        "all": world.access.create_token(ADMIN, project=None, scopes=["runs:read"])[1],
        "admin of one": world.access.create_token(ADMIN, project="shop", scopes=["admin"])[1],
        "operator": world.access.create_token(ADMIN, project=None, scopes=["admin"])[1],
    }
    world.organizations.set(ADMIN, {"suspended": True})
    said: dict[str, type[ResitError] | None] = {}
    for name, secret in {**people, **made, "stranger": "x" * 40}.items():
        try:
            world.access.authenticate(secret)
            said[name] = None
        except ResitError as error:
            said[name] = type(error)
    assert said == {
        "ann": None,
        "operator": None,
        "stranger": Unauthenticated,
        **dict.fromkeys(("bound", "ben", "ci", "all", "admin of one"), Suspended),
    }
    world.organizations.set(ADMIN, {"suspended": False})
    assert all(world.access.authenticate(secret) for secret in {**people, **made}.values())
