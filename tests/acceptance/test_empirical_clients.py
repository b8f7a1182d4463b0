"""The vendor's own GitHub Actions, unmodified, against a real server.

Their code is not part of this repository: ``RESIT_EMPIRICAL_ACTION`` names a ``dist/index.js`` of dispatch-action (or
several, separated by ``:``), ``RESIT_EMPIRICAL_MERGE_ACTION`` one of merge-branches-action. Without them only what
stands in front of an action is tested.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from black_box import Done, Resit, Suites, needs_node

PRELOAD = Path(__file__).with_name("empirical_preload.js")
ACTIONS = [path for path in os.environ.get("RESIT_EMPIRICAL_ACTION", "").split(":") if path]
MERGE = os.environ.get("RESIT_EMPIRICAL_MERGE_ACTION", "")
SHA = "2222222222222222222222222222222222222222"
SUITE = """
import os
def test_it():
    print(os.environ.get("FOO"), os.environ.get("BUILD_URL"), os.environ["ENV_SLUG"])
def test_foo(): assert os.environ["FOO"] == "a:b"
"""
needs_action = pytest.mark.skipif(not ACTIONS, reason="RESIT_EMPIRICAL_ACTION names no dist/index.js")
Act = Callable[..., Done]


@pytest.fixture
def project(resit: Resit, suite: Suites) -> str:
    """A project with an environment ``production``."""
    slug = resit.project(suite(SUITE))
    resit.post(f"/projects/{slug}/environments", {"slug": "production"})
    return slug


@pytest.fixture
def key(resit: Resit, project: str) -> str:
    """A key of the project."""
    return resit.post("/tokens", {"project": project, "name": "ci"})["token"]


@pytest.fixture
def act(resit: Resit, tmp_path: Path) -> Act:
    """Runs a program of Node.js as a runner of GitHub Actions does, its requests sent to the server."""

    def run(*command: str, event: str = "push", payload: dict[str, Any] | None = None, **inputs: str) -> Done:
        (tmp_path / "event.json").write_text(json.dumps(payload or {}))
        for name in ("output", "summary"):
            (tmp_path / name).touch()
        environ = {
            "PATH": os.environ["PATH"],
            "EMPIRICAL_SERVER": resit.url,
            "GITHUB_EVENT_NAME": event,
            "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
            "GITHUB_REPOSITORY": "acme/web",
            "GITHUB_SHA": SHA,
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_ACTOR": "bob",
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
            **{f"INPUT_{name.upper().replace('_', '-')}": value for name, value in inputs.items()},
        }
        node = shutil.which("node")
        assert node
        done = subprocess.run(
            [node, "--require", str(PRELOAD), *command],
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


def newest(resit: Resit, project: str) -> dict[str, Any]:
    """The newest run of a project."""
    found = resit.get("/runs", project=project, limit=1)["items"]
    assert found, "there is no run"
    return found[0]


# ---------------------------------------------------------------- what stands in front of an action


@needs_node
def test_requests_for_the_vendor_reach_the_server(resit: Resit, project: str, key: str, act: Act) -> None:
    script = """
    const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${process.env['INPUT_AUTH-KEY']}` };
    const body = JSON.stringify({ environment: 'production', build: { commit: process.env.GITHUB_SHA } });
    (async () => {
      const old = await fetch('https://dispatch.empirical.run/v1/trigger', { method: 'POST', headers, body });
      const put = new Request('https://api.empirical.run/api/test-runs', { method: 'PUT', headers, body });
      const made = await (await fetch(put)).json();
      const url = `https://api.empirical.run/api/projects/${made.data.test_run.project_id}`;
      const project = await (await fetch(new Request(url, { headers }))).json();
      console.log(JSON.stringify([old.status, made, project.data.slug]));
    })();
    """
    done = act("-e", script, auth_key=key)
    assert done.code == 0, done.said
    status, made, slug = done.json
    assert (status, slug) == (200, project)
    run = resit.end(made["data"]["test_run"]["id"])
    assert run["build"]["commit"] == SHA


@needs_node
def test_nothing_goes_anywhere_else(act: Act) -> None:
    done = act("-e", "fetch('https://example.org/').catch(error => console.log(error.message))")
    assert done.out.strip() == "example.org is not one of Empirical's servers"


# ---------------------------------------------------------------- the actions


@needs_action
@pytest.mark.parametrize("action", ACTIONS)
def test_the_action_on_a_push(resit: Resit, project: str, key: str, act: Act, action: str) -> None:
    done = act(
        action,
        payload={"commits": [{"author": {"username": "bob"}}]},
        auth_key=key,
        environment="Production",
        metadata="version: 1.2.3\npr_number: 42",
        environment_variables="BUILD_URL: https://staging.acme.test:8443/x\nFOO: a:b",
    )
    assert done.code == 0, done.said
    run = resit.end(newest(resit, project)["id"])
    assert (run["verdict"], run["environment"], run["actor"]) == ("passed", "production", "bob")
    assert run["build"]["commit"] == SHA
    assert run["build"]["branch"] == "main"
    assert run["metadata"] == {"version": "1.2.3", "pr_number": 42}
    assert run["variables"] == {"BUILD_URL": "https://staging.acme.test:8443/x", "FOO": "a:b"}


@needs_action
@pytest.mark.parametrize("action", ACTIONS)
def test_the_action_on_a_pull_request(resit: Resit, project: str, key: str, act: Act, action: str) -> None:
    head = {"sha": SHA, "ref": "feat/login"}
    payload = {"pull_request": {"number": 7, "head": head, "user": {"login": "alice"}}}
    done = act(
        action,
        event="pull_request",
        payload=payload,
        auth_key=key,
        environment="production",
        build_url="https://pr-7.acme.test",
    )
    assert done.code == 0, done.said
    run = newest(resit, project)
    assert (run["actor"], run["build"]["branch"], run["build"]["commit"]) == ("alice", "feat/login", SHA)
    told = {run["build"]["url"], run["variables"].get("BUILD_URL")}
    assert "https://pr-7.acme.test" in told, "the older one sends build.url, the newer one an override"


@needs_action
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    "inputs",
    [{"environment": "production"}, {"auth_key": "nonsense", "environment": "production"}, {"environment": "nowhere"}],
    ids=["no key", "a wrong key", "an unknown environment"],
)
def test_the_action_fails_with_the_servers_words(
    resit: Resit, project: str, key: str, act: Act, action: str, inputs: dict[str, str]
) -> None:
    asked = {"auth_key": key, **inputs} if inputs["environment"] == "nowhere" else inputs
    done = act(action, payload={"commits": []}, **asked)
    assert done.code == 1, done.said
    assert "no environment 'nowhere'" in done.said or "no valid token" in done.said
    assert resit.get("/runs", project=project, limit=1)["items"] == []


@pytest.mark.skipif(not MERGE, reason="RESIT_EMPIRICAL_MERGE_ACTION names no dist/index.js")
def test_the_merge_action(key: str, act: Act) -> None:
    payload = {"pull_request": {"merged": True, "base": {"ref": "main"}, "head": {"ref": "feat/login"}}}
    done = act(MERGE, event="pull_request", payload=payload, auth_key=key)
    assert done.code == 0, done.said
