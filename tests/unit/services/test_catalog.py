"""Changes of projects and environments."""

from typing import Any

import pytest

from resit.domain.access import Principal, Scope
from resit.domain.errors import AlreadyExists, Forbidden, InvalidInput, NotFound
from resit.domain.project import Environment, Platform, repository
from resit.domain.rerun import Again
from resit.domain.selection import Filters
from resit.domain.status import SelectionKind
from resit.testing.factories import ADMIN, NOW
from resit.testing.world import World


def change(world: World, environment: Environment, **changes: Any) -> Environment:
    return world.catalog.change_environment(ADMIN, environment.id, changes)


def test_an_environment_is_changed_and_the_rest_stays(world: World) -> None:
    world.project()
    made = world.environment(variables={"A": "1"}, match=["chrome"], schedule="0 6 * * *")
    world.clock.turn(5)
    changed = change(world, made, ignore=["mobile"], platform=Platform.WINDOWS)
    assert changed == world.catalog.environment(ADMIN, made.id)
    assert (changed.filters, changed.platform) == (Filters(("chrome",), ("mobile",)), Platform.WINDOWS)
    assert (changed.variables, changed.schedule, changed.slug) == ({"A": "1"}, "0 6 * * *", "staging")
    assert (changed.created_at, changed.updated_at) == (NOW, NOW + 5)
    assert change(world, made, name="", slug="stage").name == "stage"


def test_variables_and_secrets_change_one_by_one(world: World) -> None:
    world.project()
    made = world.environment(variables={"A": "1", "B": "2"}, secrets={"KEY": "old", "PIN": "1234"})
    changed = change(world, made, variables={"A": None, "C": "3"}, secrets={"KEY": "new", "PIN": None, "X": "y"})
    assert (changed.variables, changed.secrets) == ({"B": "2", "C": "3"}, ("KEY", "X"))
    variables = world.work.spec("default", world.planned("a", environment="staging").id)["variables"]
    assert {name: variables.get(name) for name in "ABC"} == {"A": None, "B": "2", "C": "3"}
    assert (variables["KEY"], variables["X"], "PIN" in variables) == ("new", "y", False)
    assert change(world, made, secrets={"KEY": None, "X": None}).secrets == ()
    with world.store.read() as tx:
        assert tx.projects.sealed(made.id) == ""
    moved = change(world, made, variables={"B": None}, secrets={"B": "now a secret"})
    assert (dict(moved.variables), moved.secrets) == ({"C": "3"}, ("B",))


def test_a_disabled_environment_takes_no_new_runs(world: World) -> None:
    world.project()
    made = world.environment()
    run = world.carry_out(world.planned("a", environment="staging"))
    waiting = world.trigger(environment="staging")
    change(world, made, disabled=True)
    assert world.run(waiting.id).status.open, "what was requested before goes on"
    with pytest.raises(InvalidInput):
        world.trigger(environment="staging")
    with pytest.raises(InvalidInput):
        world.runs.rerun(ADMIN, run.id, Again(kind=SelectionKind.ALL))
    change(world, made, disabled=False)
    assert world.runs.rerun(ADMIN, run.id, Again(kind=SelectionKind.ALL))


@pytest.mark.parametrize(
    "odd",
    [
        {"slug": "Upper"}, {"slug": ""}, {"name": "x" * 3000}, {"match": ["!x"]}, {"ignore": ["!x"]},
        {"match": ["x"] * 101}, {"schedule": "soon"}, {"variables": {"1A": "x"}}, {"secrets": {"RESIT_A": "x"}},
        {"variables": {"KEY": "x"}}, {"secrets": {"A": "x"}}, {"id": 7}, {"project_id": 2}, {"pool": "x"},
        {"secrets": {"S": "\0"}},
    ],
    ids=lambda odd: str(odd)[:40],
)  # fmt: skip
def test_odd_changes_are_refused_and_nothing_is_half_done(world: World, odd: dict[str, Any]) -> None:
    world.project()
    made = world.environment(variables={"A": "1"}, secrets={"KEY": "v"})
    with pytest.raises(InvalidInput):
        world.catalog.change_environment(ADMIN, made.id, {"disabled": True, **odd})
    assert world.catalog.environment(ADMIN, made.id) == made


def test_slugs_stay_unique_and_the_default_keeps_its_own(world: World) -> None:
    project = world.project()
    made = world.environment()
    with pytest.raises(AlreadyExists):
        change(world, made, slug="default")
    with pytest.raises(InvalidInput):
        change(world, world.reads.environments(project.id)[0], slug="other")
    assert change(world, made, slug="staging") == made, "its own slug is no conflict"


def test_environments_need_their_scope_and_reach(world: World) -> None:
    world.project()
    made = world.environment()
    reader = Principal("r", made.project_id, frozenset({Scope.RUNS_READ}))
    other = Principal("o", world.project("bank").id, frozenset({Scope.RUNS_READ, Scope.RUNS_WRITE}))
    assert world.catalog.environment(reader, made.id) == made
    with pytest.raises(Forbidden):
        world.catalog.change_environment(reader, made.id, {})
    for id in (made.id, 0, -1, 2**70):
        with pytest.raises(NotFound):
            world.catalog.environment(other, id)
        with pytest.raises(NotFound):
            world.catalog.change_environment(other, id, {"disabled": True})


def test_a_project_is_changed(world: World) -> None:
    made = world.project(repository="acme/shop")
    assert repository(made) == "acme/shop"
    changed = world.catalog.change_project(ADMIN, "shop", {"repository": "", "branch": "main", "name": ""})
    assert (repository(changed), changed.branch, changed.name) == ("local/shop", "main", "shop")
    with world.store.read() as tx:
        assert tx.projects.get(made.id) == changed


def test_a_change_keeps_the_credentials_of_the_source(world: World) -> None:
    made = world.project(source="https://user:pass@git.test/acme/shop.git")
    with world.store.read() as tx:
        before = tx.projects.sealed_source(made.id)
    world.catalog.change_project(ADMIN, "shop", {"name": "Shop"})
    with world.store.read() as tx:
        assert tx.projects.sealed_source(made.id) == before


@pytest.mark.parametrize(
    "odd",
    [
        {"max_runs": -1}, {"max_runs": 10_001}, {"shards": 257}, {"time_limit": 0}, {"time_limit": float("nan")},
        {"repository": "acme"}, {"repository": "a/b/c"}, {"branch": "-x"}, {"name": "\0"}, {"source": "/"},
        {"slug": "x"}, {"setup": "rm"},
    ],
    ids=repr,
)  # fmt: skip
def test_odd_changes_of_a_project_are_refused(world: World, odd: dict[str, Any]) -> None:
    made = world.project()
    with pytest.raises(InvalidInput):
        world.catalog.change_project(ADMIN, "shop", {"name": "New", **odd})
    with world.store.read() as tx:
        assert tx.projects.get(made.id) == made


def test_changing_a_project_is_for_the_operator(world: World) -> None:
    made = world.project()
    for project_id, scope in ((made.id, Scope.ADMIN), (None, Scope.RUNS_WRITE)):
        with pytest.raises(Forbidden):
            world.catalog.change_project(Principal("x", project_id, frozenset({scope})), "shop", {"max_runs": 1})
