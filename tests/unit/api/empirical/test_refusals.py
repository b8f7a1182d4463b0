"""Whatever is refused is refused in the vendor's envelope, with a status that its documents know."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from resit.api.empirical import app as empirical
from resit.api.empirical.errors import STATUS
from resit.api.faces import face
from resit.domain import errors
from resit.domain.access import Scope
from resit.testing.factories import ADMIN
from resit.testing.world import World

Refused = Callable[..., str]
PUBLIC = ("/api/badges/", "/content", "/api/analytics/")
"""Parts of paths that need no token."""


def family(base: type[errors.ResitError]) -> Iterator[type[errors.ResitError]]:
    yield base
    for child in base.__subclasses__():
        yield from family(child)


ERRORS = [kind for kind in family(errors.ResitError) if kind is not errors.ResitError]


def routes(world: World) -> list[tuple[str, str]]:
    """Every route of the dialect, its parameters filled in."""
    paths: dict[str, dict[str, Any]] = empirical.app(world.services()).openapi()["paths"]
    fill = {"{id}": "1", "{run_id}": "1", "{name}": "test-runs", "{project_slug}": "shop", "{environment_slug}": "x"}
    found: list[tuple[str, str]] = []
    for template, methods in paths.items():
        path = template
        for name, value in fill.items():
            path = path.replace(name, value)
        found.extend((method.upper(), path) for method in methods)
    return found


def test_every_error_of_the_core_has_a_status() -> None:
    assert set(STATUS) == set(ERRORS)


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_of_the_core_is_told_in_the_envelope(
    shop: TestClient, world: World, monkeypatch: pytest.MonkeyPatch, refused: Refused, kind: type[errors.ResitError]
) -> None:
    def refuse(*_args: object, **_named: object) -> None:
        raise kind("why it is so; what to do", retry_after=7)

    monkeypatch.setattr(world.runs, "trigger", refuse)
    answer = shop.put("/api/test-runs", json={"environment": "default"})
    assert refused(answer, STATUS[kind]) == "why it is so; what to do"
    assert ("WWW-Authenticate" in answer.headers) is issubclass(kind, errors.Unauthenticated)
    waits = {errors.Unavailable: "2", errors.NoRoom: "2", errors.RateLimited: "7"}
    assert answer.headers.get("Retry-After") == waits.get(kind)


def test_the_documents_know_neither_409_nor_422() -> None:
    assert not {409, 422} & {int(status) for status in STATUS.values()}


def test_every_route_is_reached_and_needs_a_token_but_the_public_ones(
    anyone: TestClient, world: World, refused: Refused
) -> None:
    world.project()
    found = routes(world)
    assert len(found) > 40
    for method, path in found:
        assert face(path)[0] == "empirical", path
        answer = anyone.request(method, path, follow_redirects=False)
        if any(part in path for part in PUBLIC):
            assert answer.status_code in (200, 307, 400, 404), path
        else:
            refused(answer, 401)
            assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_every_route_also_answers_under_the_dialects_name(anyone: TestClient, refused: Refused) -> None:
    refused(anyone.get("/empirical/api/test-runs"), 401)
    refused(anyone.post("/empirical/v1/trigger"), 401)
    refused(anyone.get("/empirical/nothing"), 404)


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer  ", "Basic eDp5", "Bearer nonsense", "Bearer " + "x" * 5000, "Token abc"],
)
def test_what_is_no_token(anyone: TestClient, refused: Refused, header: str) -> None:
    refused(anyone.get("/api/environment-variables", headers={"Authorization": header}), 401)


def test_a_disabled_and_a_deleted_key(shop: TestClient, world: World, refused: Refused) -> None:
    assert shop.get("/api/environment-variables").status_code == 200
    for found in world.access.tokens(ADMIN):
        world.access.revoke(ADMIN, found.id)
    refused(shop.get("/api/environment-variables"), 401)
    refused(shop.put("/api/test-runs", json={"environment": "default"}), 401)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api", 404),
        ("GET", "/api/", 404),
        ("GET", "/api/nothing", 404),
        ("POST", "/api/v2/nothing", 404),
        ("GET", "/api/test-runs/1/nothing", 404),
        ("GET", "/api/analytics/nothing", 400),
        ("GET", "/api/test-runs/1/results", 404),
        ("POST", "/api/test-runs", 405),
        ("DELETE", "/api/test-runs/1", 405),
        ("GET", "/api/test-runs/1/cancel", 405),
        ("DELETE", "/api/snoozes/1", 405),
        ("DELETE", "/api/environments/1", 405),
        ("GET", "/v1/trigger", 405),
        ("PUT", "/v1/trigger", 405),
        ("GET", "/api/test-runs/0", 400),
        ("GET", "/api/test-runs/-1", 400),
        ("GET", "/api/test-runs/x", 400),
        ("GET", "/api/test-runs/1.5", 400),
        ("GET", f"/api/test-runs/{10**30}", 404),
        ("GET", f"/api/test-runs/{'9' * 5000}", 400),
        ("GET", "/api/test-runs/999", 404),
        ("GET", f"/api/test-runs/{2**53}", 404),
        ("GET", f"/api/test-runs/{2**52 + 77}/status", 404),
        ("GET", "/api/test-runs/999/status", 404),
        ("GET", "/api/test-runs/999/artifacts", 404),
        ("GET", "/api/v2/test-runs/999/cases", 404),
        ("POST", "/api/test-runs/999/cancel", 404),
        ("POST", "/api/test-runs/999/re-run", 404),
        ("GET", "/api/v2/test-cases/nothing", 404),
        ("GET", f"/api/v2/test-cases/{'x' * 5000}", 400),
        ("GET", "/api/snoozes/999", 404),
        ("GET", f"/api/snoozes/{10**30}", 404),
        ("GET", "/api/resources/999", 404),
        ("DELETE", "/api/resources/999", 404),
        ("GET", "/api/resources/999/content", 400),
        ("GET", "/api/resources/999/content?scope=r&exp=1&sig=x", 403),
        ("GET", "/api/resources/999/content?scope=r&exp=-1&sig=x", 403),
        ("GET", f"/api/resources/999/content?scope=r&exp={10**300}&sig=x", 403),
        ("GET", "/api/artifacts/999/content?exp=1&sig=x", 403),
        ("GET", "/api/artifacts/999/content?exp=x&sig=x", 400),
        ("GET", "/api/artifacts/999/content?exp=1&sig=%F0%9F", 403),
        ("GET", "/api/projects/999", 404),
        ("GET", f"/api/projects/{10**30}", 404),
        ("DELETE", "/api/webhooks/999", 404),
        ("DELETE", "/api/api-keys/999", 403),
        ("GET", "/api/test-runs?page=0", 400),
        ("GET", "/api/test-runs?page=x", 400),
        ("GET", "/api/test-runs?per_page=0", 400),
        ("GET", "/api/test-runs?per_page=101", 400),
        ("GET", "/api/test-runs?state=finished", 400),
        ("GET", "/api/test-runs?result=green", 400),
        ("GET", "/api/test-runs?id=0", 400),
        ("GET", "/api/test-runs?interval_in_days=0", 400),
        ("GET", f"/api/test-runs?interval_in_days={10**30}", 400),
        ("GET", "/api/test-runs?environment_ids=1,x", 400),
        ("GET", "/api/test-runs?project_id=999", 400),
        ("GET", f"/api/test-runs?branch={'x' * 2001}", 400),
        ("GET", "/api/v2/test-runs/1/cases?per_page=1001", 400),
        ("GET", "/api/v2/test-cases?per_page=101", 400),
        ("GET", "/api/v2/test-cases?is_active=yes", 400),
        ("GET", "/api/environments/list?is_disabled=yes", 400),
        ("GET", "/api/snoozes?status=over", 400),
        ("GET", f"/api/snoozes?environment_id={10**30}", 404),
        ("GET", "/api/v2/analytics/test-runs?days=0", 400),
        ("GET", "/api/v2/analytics/test-runs?days=91", 400),
        ("GET", "/api/v2/analytics/test-runs?start_date=2026-01-01", 400),
        ("GET", "/api/v2/analytics/test-runs?end_date=2026-01-01", 400),
        ("GET", "/api/v2/analytics/test-runs?start_date=2026-01-02&end_date=2026-01-01", 400),
        ("GET", "/api/v2/analytics/test-runs?start_date=soon&end_date=later", 400),
        ("GET", "/api/v2/analytics/test-count?environment_id=x", 400),
        ("GET", f"/api/v2/analytics/test-count?environment_id={10**30}", 400),
        ("GET", "/api/v2/analytics/test-cases?limit=501", 400),
        ("GET", "/api/v2/analytics/test-cases?limit_history=101", 400),
        ("GET", "/api/v2/analytics/test-cases?order_by=name", 400),
        ("GET", "/api/v1/analytics/test-cases?order=up", 400),
    ],
)
def test_what_is_not_there_or_not_so(
    shop: TestClient, world: World, refused: Refused, method: str, path: str, status: int
) -> None:
    world.planned("a")
    answer = shop.request(method, path)
    refused(answer, status)
    if status == 405:
        assert answer.headers["allow"]


RUN = "PUT /api/test-runs"
BODIES: list[tuple[str, object]] = [
    (RUN, b""),
    (RUN, b"{"),
    (RUN, b"nonsense"),
    (RUN, b"\xff\xfe\x00"),
    (RUN, b"environment=default"),
    (RUN, b"[" * 100_000),
    (RUN, b'{"environment": "default", "x": ' + b"[" * 70 + b"]" * 70 + b"}"),
    (RUN, b'{"environment": "default", "total_shards": ' + b"9" * 5000 + b"}"),
    (RUN, b'{"environment": "default", "metadata": {"a": NaN}}'),
    (RUN, b'{"environment": "default", "metadata": {"a": Infinity}}'),
    (RUN, b'{"environment": "default", "metadata": {"a": 1e999}}'),
    (RUN, b'{"environment": "\\ud800"}'),
    (RUN, b'{"environment": "default", "tags": ["\\udfff"]}'),
    (RUN, b'{"environment": "default", "metadata": {"\\ud800": 1}}'),
    (RUN, b'{"environment": "default", "github_actor": "a\\u0000"}'),
    (RUN, []),
    (RUN, "text"),
    (RUN, {}),
    (RUN, {"environment": None}),
    (RUN, {"environment": 1}),
    (RUN, {"environment": ["default"]}),
    (RUN, {"environment": ""}),
    (RUN, {"environment": "  "}),
    (RUN, {"environment": "nowhere"}),
    (RUN, {"environment": "x" * 5000}),
    (RUN, {"environment": "default", "build": "main"}),
    (RUN, {"environment": "default", "build": None}),
    (RUN, {"environment": "default", "build": {"commit": 1}}),
    (RUN, {"environment": "default", "build": {"branch": "main"}, "branch": "main"}),
    (RUN, {"environment": "default", "build": {"url": "https://x.test"}, "branch": "main"}),
    (RUN, {"environment": "default", "branch": "--upload-pack=x"}),
    (RUN, {"environment": "default", "branch": 1}),
    (RUN, {"environment": "default", "metadata": []}),
    (RUN, {"environment": "default", "metadata": {"a": True}}),
    (RUN, {"environment": "default", "metadata": {"a": None}}),
    (RUN, {"environment": "default", "metadata": {"a": {}}}),
    (RUN, {"environment": "default", "metadata": {"a": [1]}}),
    (RUN, {"environment": "default", "metadata": {str(n): n for n in range(101)}}),
    (RUN, {"environment": "default", "environment_variables_overrides": {"A": "1"}}),
    (RUN, {"environment": "default", "environment_variables_overrides": [{"name": "A"}]}),
    (RUN, {"environment": "default", "environment_variables_overrides": [{"value": "1"}]}),
    (RUN, {"environment": "default", "environment_variables_overrides": [{"name": "A", "value": 1}]}),
    (RUN, {"environment": "default", "environment_variables_overrides": [{"name": "A B", "value": "1"}]}),
    (RUN, {"environment": "default", "environment_variables_overrides": [{"name": "RESIT_X", "value": "1"}]}),
    (RUN, {"environment": "default", "tags": "@smoke"}),
    (RUN, {"environment": "default", "tags": [1]}),
    (RUN, {"environment": "default", "tags": ["x"] * 101}),
    (RUN, {"environment": "default", "project_id": 999}),
    (RUN, {"environment": "default", "project_id": 0}),
    (RUN, {"environment": "default", "project_id": "1"}),
    (RUN, {"environment": "default", "project_id": True}),
    (RUN, {"environment": "default", "send_notifications": "no"}),
    (RUN, {"environment": "default", "send_notifications": 0}),
    (RUN, {"environment": "default", "total_shards": 0}),
    (RUN, {"environment": "default", "total_shards": -1}),
    (RUN, {"environment": "default", "total_shards": 1.5}),
    (RUN, {"environment": "default", "total_shards": "2"}),
    (RUN, {"environment": "default", "total_shards": 257}),
    (RUN, {"environment": "default", "rerun_source_id": 0}),
    (RUN, {"environment": "default", "rerun_source_id": "1"}),
    (RUN, {"environment": "default", "rerun_only_failed": True}),
    (RUN, {"environment": "default", "rerun_only_failed": "yes"}),
    (RUN, {"environment": "default", "test_case_ids": "a"}),
    (RUN, {"environment": "default", "test_case_ids": [""]}),
    (RUN, {"environment": "default", "test_case_ids": [1]}),
    (RUN, {"environment": "default", "concurrency": {}}),
    (RUN, {"environment": "default", "concurrency": {"group": "g"}}),
    (RUN, {"environment": "default", "concurrency": {"on_conflict": "wait"}}),
    (RUN, {"environment": "default", "concurrency": {"group": "", "on_conflict": "wait"}}),
    (RUN, {"environment": "default", "concurrency": {"group": "g" * 513, "on_conflict": "wait"}}),
    (RUN, {"environment": "default", "concurrency": {"group": "g", "on_conflict": "queue"}}),
    (RUN, {"environment": "default", "github_actor": "x" * 2001}),
    ("POST /v1/trigger", {}),
    ("POST /v1/trigger", {"environment": ""}),
    ("POST /v1/trigger", {"environment": "", "platform": ""}),
    ("POST /v1/trigger", {"environment": "", "platform": "nowhere"}),
    ("POST /v1/trigger", {"environment": "nowhere"}),
    ("POST /api/test-runs/1/re-run", {"only_failed": "yes"}),
    ("POST /api/test-runs/1/re-run", {"only_failed": 1}),
    ("POST /api/test-runs/1/re-run", {"only_failed": None}),
    ("POST /api/test-runs/1/re-run", {"send_notifications": "no"}),
    ("POST /api/test-runs/1/re-run", []),
    ("POST /api/test-runs/1/re-run", {"only_failed": True}),
    ("POST /api/test-runs/1/cancel", {"reason": 1}),
    ("POST /api/test-runs/1/cancel", {"reason": "x" * 2001}),
    ("PATCH /api/v2/test-cases/a", {}),
    ("PATCH /api/v2/test-cases/a", {"tags": "x"}),
    ("PATCH /api/v2/test-cases/a", {"tags": [1]}),
    ("PATCH /api/v2/test-cases/a", {"tags": ["@"]}),
    ("PATCH /api/v2/test-cases/a", {"tags": ["x"] * 101}),
    ("POST /api/environments", {}),
    ("POST /api/environments", {"name": "x"}),
    ("POST /api/environments", {"name": "x", "slug": "no slug"}),
    ("POST /api/environments", {"name": "x", "slug": "default"}),
    ("POST /api/environments", {"name": "x", "slug": "x", "playwright_projects_match": ["!a"]}),
    ("POST /api/environments", {"name": "x", "slug": "x", "scheduled_trigger": "soon"}),
    ("PATCH /api/environments/1", {"slug": "other"}),
    ("PATCH /api/environments/1", {"is_disabled": "no"}),
    ("PATCH /api/environments/1", {"is_disabled": None}),
    ("PATCH /api/environments/1", {"playwright_projects_match": ["!a"]}),
    ("PATCH /api/environments/1", {"scheduled_trigger": 5}),
    ("POST /api/snoozes", {}),
    ("POST /api/snoozes", {"test_ids": [], "snooze_until": "2023-12-01T00:00:00Z"}),
    ("POST /api/snoozes", {"test_ids": ["a"]}),
    ("POST /api/snoozes", {"test_ids": ["a"], "snooze_until": "soon"}),
    ("POST /api/snoozes", {"test_ids": ["a"], "snooze_until": 1_900_000_000}),
    ("POST /api/snoozes", {"test_ids": ["a"], "snooze_until": "2020-01-01T00:00:00Z"}),
    ("POST /api/snoozes", {"test_ids": ["a"], "snooze_until": "9999-12-31T23:59:59Z"}),
    ("POST /api/snoozes", {"test_ids": ["a"], "snooze_until": "0001-01-01T00:00:00+23:00"}),
    ("POST /api/snoozes", {"test_ids": "a", "snooze_until": "2023-12-01T00:00:00Z"}),
    (
        "POST /api/snoozes",
        {"test_ids": ["a"], "snooze_until": "2023-12-01T00:00:00Z", "scoped_to_environment_id": 999},
    ),
    (
        "POST /api/snoozes",
        {"test_ids": ["a"], "snooze_until": "2023-12-01T00:00:00Z", "created_from_test_run_id": 999},
    ),
    ("POST /api/resources", {}),
    ("POST /api/resources", {"name": ""}),
    ("POST /api/resources", {"name": "x", "size_bytes": -1}),
    ("POST /api/resources", {"name": "x", "url": "javascript:alert(1)"}),
    ("POST /api/resources", {"name": "x", "mime_type": "text"}),
    ("POST /api/webhooks", {}),
    ("POST /api/webhooks", {"url": "https://x.test"}),
    ("POST /api/webhooks", {"url": "ftp://x.test", "events": ["test_run.queued"]}),
    ("POST /api/webhooks", {"url": "https://x.test", "events": ["test_run.exploded"]}),
    ("POST /api/projects/merge-branches", {}),
    ("POST /api/projects/merge-branches", {"base_branch": "main"}),
    ("POST /api/v2/analytics/test-case-history/batch", {}),
    ("POST /api/v2/analytics/test-case-history/batch", {"test_case_ids": []}),
    ("POST /api/v2/analytics/test-case-history/batch", {"test_case_ids": ["a"], "limit_per_test_case": 0}),
    ("POST /api/v2/analytics/test-case-history/batch", {"test_case_ids": ["a"], "limit_per_test_case": 1001}),
    ("POST /api/v2/analytics/test-case-history/batch", {"test_case_ids": ["a"], "days": 91}),
    ("POST /api/v2/analytics/test-case-history/batch", {"test_case_ids": ["a"], "environment_id": "x"}),
]


@pytest.mark.parametrize("at", range(len(BODIES)))
def test_bodies_that_make_no_sense(shop: TestClient, world: World, refused: Refused, at: int) -> None:
    run = world.planned("a")
    before = world.dump(run)
    where, body = BODIES[at]
    method, path = where.split()
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = shop.request(method, path, content=content, headers={"Content-Type": "application/json"})
    refused(answer, 400)
    assert world.dump(run) == before
    with world.store.read() as tx:
        assert tx.runs.get(run.id + 1) is None
        assert not tx.snoozes.of_project(1)
        assert not tx.resources.of_project(1)
        assert not tx.webhooks.of_project(1)
        assert len(tx.projects.environments(1)) == 1


def test_a_host_that_is_none(shop: TestClient, refused: Refused) -> None:
    host = {"Host": "[::1"}
    refused(shop.get("/api/nothing", headers=host), 404)
    refused(shop.patch("/api/test-runs", headers=host), 405)
    refused(shop.get("/api/test-runs/x", headers=host), 400)
    assert shop.get("/api/analytics/test-runs", headers=host, follow_redirects=False).status_code == 307


def test_faults_name_the_member(shop: TestClient, refused: Refused) -> None:
    body: dict[str, Any] = {"environment": "default", "build": {"commit": 1}, "total_shards": 0}
    refused(shop.put("/api/test-runs", json=body), 400, "build.commit: ", "total_shards: ")


def test_the_content_type_of_a_body_does_not_matter(shop: TestClient) -> None:
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded", ""):
        headers = {"Content-Type": kind} if kind else {}
        answer = shop.put("/api/test-runs", content=b'{"environment": "default"}', headers=headers)
        assert answer.status_code == 200, kind


def test_a_body_that_is_too_large(shop: TestClient, refused: Refused) -> None:
    body = b'{"environment": "' + b"x" * (3 * 1024 * 1024) + b'"}'
    refused(shop.put("/api/test-runs", content=body), 413)


def test_a_fault_of_ours_tells_nothing_of_itself(
    shop: TestClient, world: World, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    def broken(*_args: object, **_named: object) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(world.runs, "trigger", broken)
    words = refused(shop.put("/api/test-runs", json={"environment": "default"}), 500)
    assert "secret" not in words


def test_a_key_that_may_only_read(shop: TestClient, world: World, token: Callable[..., str], refused: Refused) -> None:
    run = world.planned("a")
    shop.headers["Authorization"] = token(scopes=[Scope.RUNS_READ.value])
    assert shop.get("/api/test-runs").status_code == 200
    refused(shop.put("/api/test-runs", json={"environment": "default"}), 403, "runs:write")
    refused(shop.post(f"/api/test-runs/{run.id}/cancel"), 403)
    refused(shop.post(f"/api/test-runs/{run.id}/re-run"), 403)
    refused(shop.get(f"/api/test-runs/{run.id}"), 403, "results:read")
    refused(shop.post("/api/projects/merge-branches", json={"base_branch": "a", "head_branch": "b"}), 403)
    refused(shop.get("/api/api-keys"), 403)


def test_quota_and_suspension(shop: TestClient, world: World, refused: Refused) -> None:
    world.organizations.set(ADMIN, {"monthly_runs": 1})
    assert shop.put("/api/test-runs", json={"environment": "default"}).status_code == 200
    refused(shop.put("/api/test-runs", json={"environment": "default"}), 402)
    world.organizations.set(ADMIN, {"suspended": True})
    refused(shop.get("/api/test-runs"), 403, "suspended")
