"""Keeping runs, seeing what is taken, and removing what is beyond the limits."""

import warnings
from collections.abc import Callable

import pytest

from resit.domain.retention import GRACE_SECONDS
from resit.testing.factories import planned
from resit.testing.world import World

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

V1 = "/resit/v1"


def finished(world: World) -> int:
    return world.carry_out(world.plan(world.trigger(), [planned("a"), planned("b")])).id


def test_keep(api: TestClient, world: World) -> None:
    id = finished(world)
    assert api.get(f"{V1}/runs/{id}").json()["kept"] is False
    assert api.post(f"{V1}/runs/{id}/keep").json()["kept"] is True
    assert api.post(f"{V1}/runs/{world.ids.short(id)}/keep").json()["kept"] is True
    assert [run["kept"] for run in api.get(f"{V1}/runs").json()["items"]] == [True]
    assert api.delete(f"{V1}/runs/{id}/keep").json()["kept"] is False
    assert api.post(f"{V1}/runs/99/keep").status_code == 404


def test_limits_usage_and_removal(api: TestClient, world: World) -> None:
    runs = [finished(world) for _ in range(3)]
    changed = api.patch(f"{V1}/projects/shop", json={"keep_days": 30, "keep_runs": 1, "keep_bytes": 2_000_000_000})
    assert {name: changed.json()[name] for name in ("keep_days", "keep_runs", "keep_bytes")} == {
        "keep_days": 30,
        "keep_runs": 1,
        "keep_bytes": 2_000_000_000,
    }
    world.clock.turn(2 * GRACE_SECONDS)
    usage = api.get(f"{V1}/usage").json()
    [shop] = usage["projects"]
    assert (shop["project"], shop["runs"], shop["tests"], shop["keep_runs"]) == ("shop", 3, 6, 1)
    assert shop["oldest"].startswith("2023-")
    assert usage["database"]["size"] > 0
    assert usage["disk"]["size"] > usage["disk"]["free"] > 0
    foreseen = api.post(f"{V1}/retention", json={"dry_run": True, "project": "shop"}).json()
    assert foreseen["doomed"] == [{"project": "shop", "runs": runs[:2]}]
    assert foreseen["rows"] == 0
    removed = api.post(f"{V1}/retention").json()
    assert (removed["runs"], removed["done"], removed["doomed"]) == (2, True, [])
    assert removed["rows"] > 2 * 4
    assert [run["id"] for run in api.get(f"{V1}/runs").json()["items"]] == runs[2:]
    assert api.get(f"{V1}/runs/{runs[0]}").status_code == 404
    assert api.post(f"{V1}/retention", json={"project": "none"}).status_code == 404
    for odd in ({"keep_days": -1}, {"keep_runs": 2**40}, {"keep_bytes": 2**70}, {"keep_runs": "many"}):
        assert api.patch(f"{V1}/projects/shop", json=odd).status_code == 400, odd


def test_a_project_sees_itself_alone(anyone: TestClient, world: World, token: Callable[..., str]) -> None:
    world.project()
    world.project("other")
    anyone.headers["Authorization"] = token(project="shop", scopes=["system:read", "runs:write"])
    usage = anyone.get(f"{V1}/usage").json()
    assert [project["project"] for project in usage["projects"]] == ["shop"]
    assert usage["database"] is usage["disk"] is None
    assert anyone.post(f"{V1}/retention").status_code == 403


@pytest.mark.parametrize("source", [True, False])
def test_the_number_of_a_source_outlives_it(api: TestClient, world: World, source: bool) -> None:
    id = finished(world)
    again = api.post(f"{V1}/runs/{id}/rerun", json={"selection": "all"}).json()["id"]
    world.carry_out(world.run(again))
    if source:
        api.patch(f"{V1}/projects/shop", json={"keep_runs": 1})
        world.clock.turn(2 * GRACE_SECONDS)
        assert api.post(f"{V1}/retention").json()["runs"] == 1
    assert api.get(f"{V1}/runs/{again}").json()["source_run_id"] == id
    assert len(api.get(f"{V1}/runs/{again}/lineage").json()["runs"]) == (1 if source else 2)
