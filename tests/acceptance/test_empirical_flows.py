"""The flows that Empirical's own suite goes through against the live product (study 3.4), against a real server."""

import hashlib
import hmac
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from black_box import Resit, Suites, git, until

SUITE = {
    "test_cart.py": """
        import os
        def test_adds(): assert os.environ["ENV_SLUG"] == "staging"
        def test_removes(): assert os.environ.get("MENDED")
    """,
    "test_pay.py": "def test_pays(): pass",
}
UNKNOWN = "0" * 20 + "-" + "1" * 20


class Vendor:
    """The vendor's API of a server, with a key of one project."""

    def __init__(self, resit: Resit, project: str) -> None:
        made = resit.post("/tokens", {"project": project, "name": "ci"})
        self.key, self.key_id, self.resit = made["token"], made["id"], resit
        headers = {"Authorization": f"Bearer {self.key}"}
        self.http = httpx.Client(base_url=resit.url, headers=headers, timeout=30, trust_env=False)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """``data`` of an answer."""
        answer = self.http.request(method, f"/api/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def trigger(self, **body: Any) -> int:
        """A run of ``staging``; its number."""
        return self.ask("PUT", "test-runs", {"environment": "staging", **body})["test_run"]["id"]

    def end(self, id: int) -> dict[str, Any]:
        """A run at its end: ``data.test_run``."""
        self.resit.end(id)
        return self.ask("GET", f"test-runs/{id}")["test_run"]

    def cases(self) -> dict[str, str]:
        """The ids of the test cases by their names."""
        return {case["name"]: case["id"] for case in self.ask("GET", "v2/test-cases")["test_cases"]}


def made(resit: Resit, suite: Suites) -> Vendor:
    """A project with an environment ``staging``."""
    found = Vendor(resit, resit.project(suite(SUITE)))
    found.ask("POST", "environments", {"name": "Staging", "slug": "staging"})
    return found


@pytest.fixture
def vendor(resit: Resit, suite: Suites) -> Iterator[Vendor]:
    """The API of the server that most tests share."""
    found = made(resit, suite)
    yield found
    found.http.close()


@pytest.fixture
def near(tmp_path: Path, suite: Suites) -> Iterator[Vendor]:
    """The API of a server that may tell webhooks on this machine."""
    server = Resit(tmp_path)
    try:
        server.start("--allow-private-webhooks")
        found = made(server, suite)
        yield found
        found.http.close()
    finally:
        server.close()


def test_named_tests_snoozes_and_reruns(vendor: Vendor) -> None:
    first = vendor.end(vendor.trigger(total_shards=2))
    shown = first["testRun"]
    assert (shown["state"], shown["result"], shown["total_count"], shown["failed_count"]) == ("ended", "failed", 3, 1)
    cases = vendor.cases()
    # one id runs one test, an unknown one is ignored, unknown ones alone are an error
    one = vendor.end(vendor.trigger(test_case_ids=[cases["test_pays"], UNKNOWN]))
    assert [row["pw_test_id"] for row in one["flattenedSummaryDetails"]] == [cases["test_pays"]]
    status = vendor.ask("GET", f"test-runs/{one['testRun']['run_id']}/status")
    assert status["test_case_ids"] == [cases["test_pays"], UNKNOWN]
    none = vendor.end(vendor.trigger(test_case_ids=[UNKNOWN]))["testRun"]
    assert (none["state"], none["total_count"]) == ("error", 0)
    # a snoozed failure is run again with the others that failed, fails, and does not block
    body = {"test_ids": [cases["test_removes"]], "snooze_until": "2099-01-01T00:00:00.000Z"}
    assert vendor.http.post("/api/snoozes", json=body).status_code == 400, "so far away is not a snooze"
    body["snooze_until"] = _tomorrow()
    vendor.ask("POST", "snoozes", {**body, "scoped_to_environment_id": shown["environment_id"]})
    again = vendor.ask("POST", f"test-runs/{shown['id']}/re-run", {"only_failed": True})["test_run"]["id"]
    snoozed = vendor.end(again)
    found = snoozed["testRun"]
    assert (found["result"], found["total_count"], found["failed_count"]) == ("passed", 1, 1)
    assert found["failed_count_after_snoozing"] == 0
    assert len(snoozed["flattenedSummaryDetails"][0]["snooze_info"]) == 1
    # mended by an override: no failure any more, and nothing to run again
    override = [{"name": "MENDED", "value": "1"}]
    green = vendor.trigger(rerun_source_id=again, rerun_only_failed=True, environment_variables_overrides=override)
    assert vendor.end(green)["testRun"]["failed_count"] == 0
    assert vendor.http.post(f"/api/test-runs/{green}/re-run", json={"only_failed": True}).status_code == 400


def test_the_branch_of_the_build_is_tested_where_the_suite_has_it(resit: Resit, suite: Suites) -> None:
    where = suite("def test_main(): pass")
    git(where, "init", "-q", "-b", "main")
    git(where, "add", ".")
    git(where, "commit", "-qm", "main")
    git(where, "checkout", "-qb", "feat/login")
    (where / "test_it.py").write_text("def test_login(): assert 0")
    git(where, "commit", "-qam", "login")
    git(where, "checkout", "-q", "main")
    vendor = Vendor(resit, resit.project(f"file://{where}"))
    with vendor.http:
        for build, taken, tests in [
            ("feat/login", "feat/login", ["test_login"]),
            ("feat/other", "main", ["test_main"]),
            ("", "main", ["test_main"]),
        ]:
            found = vendor.end(vendor.trigger(environment="default", build={"branch": build, "commit": "c"}))
            assert found["testRun"]["test_run_branch"] == taken
            assert [row["name"] for row in found["flattenedSummaryDetails"]] == tests
        first = vendor.ask("GET", "test-runs?branch=feat/login")["test_runs"]["items"][0]["id"]
        again = vendor.ask("POST", f"test-runs/{first}/re-run", {"only_failed": True})["test_run"]
        assert again["test_run_branch"] == "feat/login"
        assert vendor.end(again["id"])["testRun"]["failed_count"] == 1


def test_keys_and_other_projects(vendor: Vendor, resit: Resit, suite: Suites) -> None:
    other = resit.project(suite(SUITE))
    run = resit.trigger(other)
    assert vendor.http.get(f"/api/test-runs/{run}").status_code == 404
    assert vendor.http.post(f"/api/test-runs/{run}/cancel").status_code == 404
    resit.end(run)
    resit.http.delete(f"/tokens/{vendor.key_id}")
    answer = vendor.http.get("/api/environment-variables")
    assert (answer.status_code, answer.json()["data"]) == (401, None)


def test_a_webhook_is_told_and_signs(near: Vendor) -> None:
    heard: list[tuple[str, bytes]] = []

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.append((self.headers["x-webhook-signature"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Ear)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/hook"
        hook = near.ask("POST", "webhooks", {"url": url, "events": ["test_run.ended"]})["webhook"]
        near.ask("POST", f"webhooks/{hook['id']}/test")
        until(lambda: any(b"webhook.test" in body for _, body in heard), "the test event", 20)
        id = near.trigger()
        until(lambda: any(b"test_run.ended" in body for _, body in heard), "the event of the end", 30)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    words = hook["secret"].removeprefix("whsec_")
    secret = urlsafe_b64decode(words + "=" * (-len(words) % 4))
    for signature, body in heard:
        assert signature == "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    assert any(str(id).encode() in body for _, body in heard)


def _tomorrow() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).isoformat()
