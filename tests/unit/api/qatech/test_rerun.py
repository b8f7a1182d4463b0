"""Run again, as the seed has it: its own examples, its table of refusals, and the order of checks."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from resit.domain import wire
from resit.domain.ids import row_uuid
from resit.domain.organization import Organization
from resit.domain.run import Run
from resit.testing.factories import ADMIN, NOW, planned, result, uuid_of
from resit.testing.world import World

Refused = Callable[..., str]
BOTH = ["/v1/run", "/run"]


def path(world: World, run: Run) -> str:
    """Where a run is run again."""
    return f"/v1/run/{world.ids.short(run.id)}"


@pytest.mark.parametrize("base", BOTH)
@pytest.mark.parametrize("body", [b"", b"  ", b"{}", b'{"failedOnly": false}', b'{"failedOnly": null}', b'{"else": 1}'])
def test_the_whole_run(world: World, shop: TestClient, mixed: Run, base: str, body: bytes) -> None:
    before = world.dump(mixed)
    answer = shop.post(f"{base}/{world.ids.short(mixed.id)}", content=body)
    assert answer.status_code == 200
    document = answer.json()
    new = world.run(mixed.id + 1)
    short = world.ids.short(new.id)
    url = f"http://resit.test/p/shop/results/{short}"
    # The very keys of the seed, in its order, and no testPlan.
    assert document == {"success": True, "run": {"id": new.uuid, "shortId": short, "url": url, "testCount": 8}}
    assert list(document["run"]) == ["id", "shortId", "url", "testCount"]
    assert new.source_run_id == mixed.id
    assert world.signals.told == 1
    assert world.dump(mixed) == before
    world.settle()
    assert world.run(new.id).counts.total == 8


def test_the_failed_ones_as_the_seed_asks_for_them(world: World, shop: TestClient, mixed: Run) -> None:
    """Failed, skipped and errored ones; never one that passed, on whichever try."""
    before = world.dump(mixed)
    json_ = {"Content-Type": "application/json"}
    answer = shop.post(path(world, mixed), content=b'{"failedOnly": true}', headers=json_)
    assert answer.json()["run"]["testCount"] == 6
    world.settle()
    assert set(world.outcomes(world.run(mixed.id + 1))) == {f"t.py::{name}" for name in "fseigd"}
    assert world.dump(mixed) == before


def test_chosen_ones_by_either_uuid(world: World, shop: TestClient, mixed: Run, case_of: Callable[[str], str]) -> None:
    chosen = [case_of("t.py::p"), row_uuid(mixed.uuid, "t.py::f"), case_of("t.py::p").upper()]
    answer = shop.post(path(world, mixed), json={"projectTestCaseIds": chosen})
    assert answer.status_code == 200
    assert answer.json()["run"]["testCount"] == 2
    world.settle()
    assert set(world.outcomes(world.run(mixed.id + 1))) == {"t.py::p", "t.py::f"}


def seen_of(client: TestClient, where: str) -> list[Any]:
    """All that can be read of a run here."""
    return [client.get(where, params=query).json() for query in ({}, {"testCases": "failed"}, {"testCases": "all"})]


def test_a_rerun_is_run_again_and_its_source_stays_as_it_was(world: World, shop: TestClient, mixed: Run) -> None:
    first = shop.post(path(world, mixed), json={"failedOnly": True}).json()["run"]
    seen = seen_of(shop, path(world, mixed))
    # before it has its plan
    answer = shop.post(f"/v1/run/{first['shortId']}", json={})
    assert answer.status_code == 200, answer.text
    second = answer.json()["run"]
    assert second["testCount"] == first["testCount"] == 6
    assert len({first["shortId"], second["shortId"], world.ids.short(mixed.id)}) == 3
    world.settle()
    world.carry_out(world.run(mixed.id + 2))
    assert shop.get(f"/run/{second['shortId']}").json()["result"] == "PASSED"
    third = shop.post(f"/v1/run/{second['shortId']}", json={"failedOnly": True})
    assert third.status_code == 400
    assert seen == seen_of(shop, path(world, mixed))


def test_a_run_that_is_still_open(world: World, shop: TestClient, refused: Refused) -> None:
    """Study A11: its verdicts so far count."""
    run = world.planned("a", "b")
    refused(shop.post(path(world, run), json={"failedOnly": True}), 400, "no test failed")
    voice = world.voice(run)
    events = [wire.to_wire(result("a", "skipped"))]
    world.report({**voice, "what": "batch.started"}, {**voice, "what": "batch.events", "events": events})
    assert shop.post(path(world, run), json={"failedOnly": True}).json()["run"]["testCount"] == 1
    assert shop.post(path(world, run), json={}).json()["run"]["testCount"] == 2


def test_cancelled_tests_are_among_the_failed(world: World, shop: TestClient) -> None:
    run = world.planned("a", "b")
    world.runs.cancel(ADMIN, run.id)
    assert shop.post(path(world, run), json={"failedOnly": True}).json()["run"]["testCount"] == 2


@pytest.mark.parametrize("run_that", ["exists", "does not"])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"failedOnly": true, "projectTestCaseIds": ["ID"]}', "exclude each other"),
        ('{"failedOnly": false, "projectTestCaseIds": ["ID"]}', "exclude each other"),
        ('{"projectTestCaseIds": []}', "no tests to run"),
        ('{"projectTestCaseIds": ["a"]}', "'a' is no UUID"),
        ('{"projectTestCaseIds": ["{ID}"]}', "no UUID"),
        ('{"projectTestCaseIds": "ID"}', "valid list"),
        ('{"projectTestCaseIds": [1]}', "valid string"),
        ('{"projectTestCaseIds": [null]}', "valid string"),
        ('{"failedOnly": "true"}', "valid boolean"),
        ('{"failedOnly": 1}', "valid boolean"),
        ("[]", "JSON object"),
        ('"all"', "JSON object"),
        ("1", "JSON object"),
        ("{", "not JSON"),
        ("failedOnly=true", "not JSON"),
        ('{"failedOnly": NaN}', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"a": ' + "[" * 100 + "]" * 100 + "}", "levels deep"),
        ('{"projectTestCaseIds": ["\\ud800"]}', "no UUID"),
        ('{"projectShortId": 1}', "valid string"),
    ],
)
def test_bodies_that_make_no_sense(
    world: World, shop: TestClient, mixed: Run, refused: Refused, body: str, words: str, run_that: str
) -> None:
    """A body is looked at before the run is looked for."""
    before = world.dump(mixed)
    where = path(world, mixed) if run_that == "exists" else "/v1/run/nothing"
    refused(shop.post(where, content=body.replace("ID", uuid_of("x"))), 400, words)
    assert world.dump(mixed) == before
    assert len(world.reads.lineage(mixed.id)) == 1


def test_null_is_the_default(world: World, shop: TestClient, mixed: Run) -> None:
    body = b'{"failedOnly": true, "projectTestCaseIds": null, "projectShortId": null}'
    assert shop.post(path(world, mixed), content=body).json()["run"]["testCount"] == 6


def test_tests_that_the_run_does_not_have_are_named(
    world: World, shop: TestClient, mixed: Run, refused: Refused, case_of: Callable[[str], str]
) -> None:
    unknown = [uuid_of("x"), uuid_of("y")]
    body = {"projectTestCaseIds": [case_of("t.py::p"), *unknown]}
    refused(shop.post(path(world, mixed), json=body), 400, *unknown)
    refused(shop.post(path(world, mixed), json={"projectTestCaseIds": unknown[:1]}), 400, unknown[0])
    many = [uuid_of(str(number)) for number in range(30)]
    refused(shop.post(path(world, mixed), json={"projectTestCaseIds": many}), 400, "and 10 more")
    assert len(world.reads.lineage(mixed.id)) == 1


def test_nothing_failed(world: World, shop: TestClient, refused: Refused) -> None:
    run = world.carry_out(world.planned("a"))
    refused(shop.post(path(world, run), json={"failedOnly": True}), 400, "nothing to run again")


def _quota(world: World, **members: Any) -> None:
    with world.store.write() as tx:
        tx.organization.save(Organization(**members))


def test_the_order_of_checks(
    world: World, shop: TestClient, mixed: Run, refused: Refused, token: Callable[..., str]
) -> None:
    """401, 403, body 400, 404, 402, nothing to run 400 (study 2.12)."""
    run = world.carry_out(world.planned("a"))
    own, none = path(world, run), "/v1/run/nothing"
    reading = token(scopes=["runs:read", "results:read"])
    _quota(world, monthly_runs=1)
    bad, failed = {"failedOnly": 1}, {"failedOnly": True}
    refused(shop.post(none, json=bad, headers={"Authorization": "Bearer x"}), 401)
    refused(shop.post(none, json=bad, headers={"Authorization": reading}), 403, "runs:write")
    refused(shop.post(none, json=bad), 400, "failedOnly")
    refused(shop.post(none, json=failed), 404)
    refused(shop.post(own, json=failed), 402, "used up")
    refused(shop.post(own, json={}), 402, "used up")
    _quota(world)
    refused(shop.post(own, json=failed), 400, "nothing to run again")
    _quota(world, suspended=True)
    refused(shop.post(none, json=bad), 403, "suspended")
    refused(shop.get(own), 403, "suspended")
    assert shop.get(own, headers={"Authorization": "Bearer x"}).status_code == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer nonsense", "Basic YTpi", "nonsense"])
def test_no_valid_key(world: World, shop: TestClient, mixed: Run, refused: Refused, header: str) -> None:
    for answer in (
        shop.post(path(world, mixed), json={}, headers={"Authorization": header}),
        shop.get(path(world, mixed), headers={"Authorization": header}),
        shop.post("/v1/run", json={}, headers={"Authorization": header}),
    ):
        refused(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_run_of_another_project_is_not_there(
    world: World, shop: TestClient, mixed: Run, refused: Refused, token: Callable[..., str]
) -> None:
    world.project("other")
    other = {"Authorization": token(project="other")}
    short = world.ids.short(mixed.id)
    said = refused(shop.post(f"/v1/run/{short}", json={}, headers=other), 404)
    there = refused(shop.post("/v1/run/nothing", json={}, headers=other), 404)
    assert said.replace(short, "?") == there.replace("nothing", "?")
    refused(shop.get(f"/v1/run/{short}", headers=other), 404)


@pytest.mark.parametrize("short", ["x", "X" * 65, "x" * 5000, "0", "9" * 30, "-1", "a_b", "%F0%28", "run%00", "runa."])
def test_short_ids_that_nothing_has(shop: TestClient, refused: Refused, short: str) -> None:
    refused(shop.get(f"/v1/run/{short}"), 404)
    refused(shop.post(f"/v1/run/{short}"), 404)
    refused(shop.get(f"/v1/run-test-case/{short}"), 404)
    refused(shop.get(f"/v1/run-test-case/{short}/trace"), 404)


def test_projects_may_be_named(
    world: World, shop: TestClient, mixed: Run, refused: Refused, token: Callable[..., str]
) -> None:
    """Study 2.1: a project's key may repeat its own project; one that is bound to none need not say it here."""
    other = world.project("other")
    own = f"proj_{world.ids.short(mixed.project_id)}"
    foreign = f"proj_{world.ids.short(other.id)}"
    assert shop.post(path(world, mixed), json={"projectShortId": own}).status_code == 200
    refused(shop.post(path(world, mixed), json={"projectShortId": foreign}), 403)
    refused(shop.post(path(world, mixed), json={"projectShortId": "proj_nothing"}), 403)
    assert shop.get(path(world, mixed), params={"projectShortId": own}).status_code == 200
    refused(shop.get(path(world, mixed), params={"projectShortId": foreign}), 403)
    of_all = {"Authorization": token(project=None)}
    assert shop.post(path(world, mixed), json={}, headers=of_all).status_code == 200
    assert shop.post(path(world, mixed), json={"projectShortId": own}, headers=of_all).status_code == 200
    refused(shop.post(path(world, mixed), json={"projectShortId": foreign}, headers=of_all), 404)
    refused(shop.post(path(world, mixed), json={"projectShortId": "proj_nothing"}, headers=of_all), 404)


def test_a_rerun_keeps_the_words_of_its_source(world: World, shop: TestClient) -> None:
    """Study 2.6: plan, overrides, parameters and what triggered it."""
    body = {"trigger": "GITHUB", "actor": "octo", "branch": "refs/heads/main", "parameters": {"configs": {"a": 1}}}
    first = shop.post("/v1/run", json=body).json()["run"]
    run = world.plan(world.run(1), [planned("a")])
    shop.post(f"/v1/run/{first['shortId']}", json={})
    new = world.run(2)
    for name in ("build", "actor", "via", "variables", "test_plan_id"):
        assert getattr(new, name) == getattr(run, name)
    assert json.loads(new.variables["QATECH_PARAMETERS"]) == {"configs": {"a": 1}}
    assert new.created_at == NOW
