"""The vendor's own GitHub Action, unmodified, against a real server (study 3.2 to 3.5).

Its code is not part of this repository: ``RESIT_QATECH_ACTION`` names a ``dist/index.js`` of run-action, or several,
separated by ``:``. The action polls every 20 seconds, so what waits for an end takes that long.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from black_box import Done, Resit, Suites, needs_node

ACTIONS = [path for path in os.environ.get("RESIT_QATECH_ACTION", "").split(":") if path]
SHA = "2222222222222222222222222222222222222222"
SUITE = """
import os, pytest
def test_passes(): assert os.environ.get("QATECH_PARAMETERS") is None
@pytest.mark.red
def test_fails(): assert False
@pytest.mark.gone
def test_skipped(): pytest.skip("not today")
"""
FILES = {"test_it.py": SUITE, "pytest.ini": "[pytest]\nmarkers =\n  red\n  gone\n"}
pytestmark = [
    *(pytest.mark.skipif(not ACTIONS, reason="RESIT_QATECH_ACTION names no dist/index.js"),),
    pytest.mark.parametrize("action", ACTIONS or ["none"], ids=lambda path: Path(path).parent.parent.name),
]
Outputs = dict[str, str]
Act = Callable[..., tuple[Done, Outputs]]


@pytest.fixture
def project(resit: Resit, suite: Suites) -> dict[str, Any]:
    """A project, as the API shows it."""
    return resit.get(f"/projects/{resit.project(suite(FILES))}")


@pytest.fixture
def key(resit: Resit, project: dict[str, Any]) -> str:
    """A key of the project."""
    return resit.post("/tokens", {"project": project["slug"], "name": "ci"})["token"]


@pytest.fixture
def act(resit: Resit, project: dict[str, Any], key: str, tmp_path: Path, action: str) -> Act:
    """Runs the action as a runner of GitHub Actions does; its end, and its outputs."""
    numbers = iter(range(1000))

    def run(**inputs: str) -> tuple[Done, Outputs]:
        output = tmp_path / f"output{next(numbers)}"
        output.touch()
        given = {"api_url": resit.url, "project_id": project["uuid"], "api_token": key, "blocking": "false", **inputs}
        environ = {
            "PATH": os.environ["PATH"],
            "GITHUB_REPOSITORY": "acme/web",
            "GITHUB_ACTOR": "bob",
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_SHA": SHA,
            "GITHUB_OUTPUT": str(output),
            **{f"INPUT_{name.upper()}": value for name, value in given.items()},
        }
        node = shutil.which("node")
        assert node
        done = subprocess.run([node, action], env=environ, capture_output=True, text=True, timeout=120, check=False)
        found = re.findall(r"^(\w+)<<(\S+)\n(.*?)\n\2$", output.read_text(), re.MULTILINE | re.DOTALL)
        return Done(done.returncode, done.stdout, done.stderr), {name: value for name, _, value in found}

    return run


def newest(resit: Resit, project: dict[str, Any]) -> dict[str, Any]:
    """The newest run of a project."""
    found = resit.get("/runs", project=project["slug"], limit=1)["items"]
    assert found, "there is no run"
    return found[0]


@needs_node
@pytest.mark.parametrize("base", ["", "/", "/qatech", "/qatech/"])
def test_a_run_is_started(resit: Resit, project: dict[str, Any], act: Act, base: str) -> None:
    done, outputs = act(api_url=f"{resit.url}{base}")
    assert done.code == 0, done.said
    run = newest(resit, project)
    assert (outputs["run_created"], outputs["run_short_id"]) == ("true", run["short_id"])
    assert outputs.get("run_url", f"/results/{run['short_id']}").endswith(f"/results/{run['short_id']}")
    assert (run["via"], run["actor"], run["build"]["branch"], run["build"]["commit"]) == (
        "github", "bob", "refs/heads/main", SHA,
    )  # fmt: skip
    resit.end(run["id"])


@needs_node
def test_what_is_refused_fails_the_step(resit: Resit, project: dict[str, Any], act: Act) -> None:
    for inputs, status in (
        ({"api_token": "nonsense"}, 403),
        ({"project_id": "00000000-0000-4000-8000-000000000000"}, 404),
        ({"test_plan_short_id": "pln_nothing", "test_plan_short_ids": "pln_nothing"}, 400),
    ):
        done, outputs = act(**inputs)
        assert (done.code, outputs.get("run_short_id")) == (1, None), done.said
        assert str(status) in done.said or "statusText" in done.said or "::error::" in done.said, done.said
    assert not resit.get("/runs", project=project["slug"])["items"]


@needs_node
def test_used_up(own: Callable[..., Resit], suite: Suites, act: Act) -> None:
    resit = own()
    slug = resit.project(suite(FILES))
    uuid = resit.get(f"/projects/{slug}")["uuid"]
    token = resit.post("/tokens", {"project": slug, "name": "ci"})["token"]
    for changes, said in (({"monthly_runs": 0}, "used up"), ({"monthly_runs": None, "suspended": True}, "suspended")):
        assert resit.http.patch("/organization", json=changes).status_code == 200
        done, outputs = act(api_url=resit.url, project_id=uuid, api_token=token)
        assert (done.code, outputs.get("run_short_id")) == (1, None), done.said
        assert said in done.said or "::error::" in done.said


@needs_node
def test_a_plan_and_an_address(resit: Resit, project: dict[str, Any], act: Act, action: str) -> None:
    """Blanks around the plan's id are the action's to take away; the map of applications came with version 2.0.3."""
    resit.end(resit.trigger(project["slug"]))
    plan = resit.post(f"/projects/{project['slug']}/test-plans", {"name": "red", "tags": ["red"]})
    name = f" pln_{plan['id']} "
    config = f'{{"applications": {{"app_{project["id"]}": {{"environment": {{"url": "https://pr-7.example"}}}}}}}}'
    done, _ = act(test_plan_short_id=name, test_plan_short_ids=name.strip(), applications_config=config)
    assert done.code == 0, done.said
    run = newest(resit, project)
    assert run["tags"] == ["red"]
    if "applications_config" in Path(action).read_text():
        assert run["build"]["url"] == "https://pr-7.example"
    resit.end(run["id"])


@needs_node
def test_the_step_waits_for_the_end(resit: Resit, project: dict[str, Any], act: Act) -> None:
    """Passed and skipped are fine, failed and cancelled are not; all of them wait together."""
    slug = project["slug"]
    uuids = {row["id"].partition("::")[2]: row["case_id"] for row in resit.tests(resit.execute(slug)["id"]).values()}
    plans = {
        name: resit.post(f"/projects/{slug}/test-plans", {"name": name, "tests": [uuids[name]]})["id"]
        for name in ("test_passes", "test_fails", "test_skipped")
    }
    wanted = {"test_passes": (0, "PASSED"), "test_fails": (1, "FAILED"), "test_skipped": (0, "SKIPPED")}

    def one(name: str) -> tuple[Done, Outputs]:
        plan = f"pln_{plans[name]}"
        return act(blocking="true", test_plan_short_id=plan, test_plan_short_ids=plan)

    with ThreadPoolExecutor(3) as pool:
        found = dict(zip(wanted, pool.map(one, wanted), strict=True))
    for name, (code, result) in wanted.items():
        done, outputs = found[name]
        assert done.code == code, done.said
        assert (outputs["run_status"], outputs["run_result"]) == ("COMPLETED", result)
