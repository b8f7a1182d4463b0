"""The Sample Platform's own command-line client, unmodified, against a real server.

Its code is not part of this repository: ``RESIT_SP_CLIENT`` is the command that starts it, in which ``{url}`` stands
for the base URL of the API and ``{token}`` for a token, wherever the client takes them:
``RESIT_SP_CLIENT='env SP_URL={url} SP_TOKEN={token} /opt/sp/bin/sp'``. Without it only a client of our own is tested.
"""

import os
import shlex
import subprocess
from typing import Any

import httpx
import pytest
from black_box import Resit, Suites

SP = os.environ.get("RESIT_SP_CLIENT", "")
SUITE = {
    "a/test_it.py": """
        import pytest
        def test_good(): pass
        def test_bad(): assert False, "it is bad"
        @pytest.fixture
        def broken(): raise RuntimeError("no database")
        def test_breaks(broken): pass
    """
}
needs_sp = pytest.mark.skipif(not SP, reason="RESIT_SP_CLIENT names no command that starts sp")


@pytest.fixture
def project(resit: Resit, suite: Suites) -> str:
    """A project with tests that pass, fail and break."""
    return resit.project(suite(SUITE))


@pytest.fixture
def key(resit: Resit, project: str) -> str:
    """A token of the project."""
    return resit.post("/tokens", {"project": project, "name": "ci"})["token"]


def test_a_run_and_its_retry(resit: Resit, project: str, key: str) -> None:
    with httpx.Client(
        base_url=f"{resit.url}/api/v1", headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False
    ) as http:

        def get(path: str) -> Any:
            answer = http.get(path)
            assert answer.status_code == 200, answer.text
            return answer.json()

        body = {"repository": f"local/{project}", "commit_sha": "a" * 40, "platform": "linux"}
        made = http.post("/runs", json=body)
        assert made.status_code == 202, made.text
        run = made.json()["run_id"]
        resit.end(run)
        assert get(f"/runs/{run}")["status"] == "fail"
        seen = [http.get(f"/runs/{run}{path}").content for path in ("", "/summary", "/samples", "/progress", "/config")]
        retried = http.post(f"/runs/{run}/retry", json={"failed_only": True})
        assert retried.status_code == 202, retried.text
        new = retried.json()["new_run_id"]
        resit.end(new)
        failed = [row["regression_test_id"] for row in get(f"/runs/{run}/samples")["data"] if row["status"] != "pass"]
        assert get(f"/runs/{new}/config")["regression_test_ids"] == failed
        assert {row["status"] for row in get(f"/runs/{new}/samples")["data"]} == {"fail", "missing_output"}
        assert seen == [
            http.get(f"/runs/{run}{path}").content for path in ("", "/summary", "/samples", "/progress", "/config")
        ]
        assert get(f"/runs/{run}/logs")["data"]
        assert get("/system/health")["status"] == "ok"


@needs_sp
def test_the_commands_of_sp(resit: Resit, project: str, key: str) -> None:
    """Commands and exit codes of study 3.3: 0 done, 4 not there, 6 not allowed."""
    run = resit.execute(project)["id"]
    case = resit.http.get(f"{resit.url}/api/v1/runs/{run}/samples").json()["data"][0]

    def sp(*args: str, token: str = key) -> int:
        command = [part.format(url=f"{resit.url}/api/v1", token=token) for part in shlex.split(SP)]
        done = subprocess.run([*command, *args], capture_output=True, text=True, timeout=60, check=False)
        print(args, done.returncode, done.stdout, done.stderr)
        return done.returncode

    commands = [
        ("health",),
        ("queue",),
        ("run", "ls"),
        ("run", "ls", "--status", "pass"),
        *(
            ("run", word, str(run))
            for word in ("show", "summary", "failures", "results", "errors", "logs", "artifacts")
        ),
        ("sample", "history", str(case["sample_id"])),
        ("regression", "ls"),
        ("investigate", str(run)),
    ]
    assert {command: sp(*command) for command in commands} == dict.fromkeys(commands, 0)
    assert sp("run", "show", "99999") == 4
    assert sp("run", "ls", token="wrong") == 6
