"""Test cases: found by any name, tagged, written down; and links to files."""

import pytest

from resit.domain.access import Principal, Scope
from resit.domain.errors import Forbidden, InvalidInput, NotFound
from resit.domain.ids import case_key
from resit.ports import ArtifactRow
from resit.services.cases import MAX_GOAL, MAX_NAME, MAX_TAG, find_case
from resit.services.links import sign_artifact, signed_artifact
from resit.testing.factories import ADMIN, planned, uuid_of
from resit.testing.world import World

TEST = planned("t.py::a", tags=("smoke",))


def bound(project_id: int, *scopes: Scope) -> Principal:
    return Principal("bound", project_id, frozenset(scopes or (Scope.RUNS_READ, Scope.RUNS_WRITE)))


def found(world: World, principal: Principal, name: str, project_id: int | None = None) -> tuple[int, str]:
    with world.store.read() as tx:
        project, case = find_case(tx, principal, name, project_id)
    return project, case.uuid


@pytest.fixture
def uuid(world: World) -> str:
    """A test case of the project ``shop``, beside another project without one."""
    world.project()
    world.project("other")
    world.plan(world.trigger(), [TEST])
    return world.reads.test_cases(1, "", 0, 10).items[0].uuid


def test_a_test_case_has_three_names(world: World, uuid: str) -> None:
    for name in (TEST.id, case_key(TEST), uuid):
        for principal in (ADMIN, bound(1)):
            assert found(world, principal, name) == (1, uuid)
        assert found(world, ADMIN, name, 1) == (1, uuid)
        with pytest.raises(Forbidden):
            found(world, bound(2), name)
        with pytest.raises(Forbidden):
            found(world, ADMIN, name, 2)
    for principal in (ADMIN, bound(1), bound(2)):
        with pytest.raises(NotFound):
            found(world, principal, "nothing")


def test_a_name_of_several_projects_must_be_told_apart(world: World, uuid: str) -> None:
    world.plan(world.trigger("other"), [TEST])
    with pytest.raises(InvalidInput):
        found(world, ADMIN, TEST.id)
    assert found(world, ADMIN, TEST.id, 1) == (1, uuid)
    assert found(world, ADMIN, TEST.id, 2)[0] == 2
    assert found(world, ADMIN, uuid) == (1, uuid)
    assert found(world, bound(2), TEST.id)[0] == 2


def test_tags_stand_in_place_of_the_suites(world: World, uuid: str) -> None:
    assert world.cases.set_tags(bound(1), TEST.id, [" @money ", "@money", "x"]) == uuid
    world.plan(world.trigger(), [TEST])
    assert world.reads.cases_of([uuid])[uuid].tags == ("@money", "x"), "a later listing does not undo them"
    world.cases.set_tags(bound(1), TEST.id, [])
    assert world.reads.cases_of([uuid])[uuid].tags == ()


@pytest.mark.parametrize("tags", [[""], ["@"], [" "], ["x" * (MAX_TAG + 1)], ["\0"], ["\ud800"], ["x"] * 101])
def test_what_is_no_tag(world: World, uuid: str, tags: list[str]) -> None:
    with pytest.raises(InvalidInput):
        world.cases.set_tags(bound(1), TEST.id, tags)
    assert world.reads.cases_of([uuid])[uuid].tags == ("smoke",)


def test_tags_need_the_right_to_write(world: World, uuid: str) -> None:
    with pytest.raises(Forbidden):
        world.cases.set_tags(bound(1, Scope.RUNS_READ), uuid, ["x"])


def test_a_draft_is_written_down_and_never_executed(world: World, uuid: str) -> None:
    draft = world.cases.add_draft(bound(1), "shop", name="buys a gift", goal="It works")
    case = world.reads.cases_of([draft.uuid])[draft.uuid]
    assert (case.title, case.goal, case.draft, case.active) == ("buys a gift", "It works", True, False)
    with pytest.raises(InvalidInput, match="draft"):
        world.trigger(tests=(draft.uuid,))
    with pytest.raises(NotFound):
        world.cases.add_draft(bound(2), "shop", name="x", goal="x")
    with pytest.raises(Forbidden):
        world.cases.add_draft(bound(1, Scope.RUNS_READ), "shop", name="x", goal="x")
    for name, goal in [("", "x"), (" ", "x"), ("x" * (MAX_NAME + 1), "x"), ("x", "x" * (MAX_GOAL + 1)), ("\0", "x")]:
        with pytest.raises(InvalidInput):
            world.cases.add_draft(bound(1), "shop", name=name, goal=goal)


def test_a_signature_opens_its_artifact_until_it_ends(world: World, uuid: str) -> None:
    one, two = uuid_of("one"), uuid_of("two")
    with world.store.write() as tx:
        for id, stored in ((one, True), (two, False)):
            tx.results.save_artifact(ArtifactRow(id=id, run_id=1, stored=stored))
    ends = int(world.clock.now()) + 60
    sign = sign_artifact(world.signer, one, ends)

    def opened(id: str = one, expires: int = ends, signature: str = sign) -> ArtifactRow:
        with world.store.read() as tx:
            return signed_artifact(tx, world.signer, world.clock.now(), id, expires, signature)

    assert opened().id == one
    for wrong in ({"id": two}, {"expires": ends + 1}, {"signature": sign[:-1]}, {"signature": ""}, {"signature": "é"}):
        with pytest.raises(Forbidden):
            opened(**wrong)  # type: ignore[arg-type]
    with pytest.raises(Forbidden):
        opened(signature=world.signer.sign(f"run:{one}", ends + 60))
    with pytest.raises(NotFound):
        opened(two, ends, sign_artifact(world.signer, two, ends))
    world.clock.turn(60)
    with pytest.raises(Forbidden):
        opened()
