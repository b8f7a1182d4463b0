"""One story on every surface - trigger, one failure, snooze, re-run failed, cancel - and the same state afterwards."""

from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from black_box import Resit, Suites, until

SUITE = """
import os, time
def test_pass(): pass
def test_fail(): assert not "always"
def test_wait():
    if os.path.exists(os.environ["GATE"]): time.sleep(600)
"""


class Surface(ABC):
    """What a client of one API can do; what that API has no word for goes by Resit's own."""

    def __init__(self, resit: Resit, slug: str) -> None:
        self.resit, self.slug = resit, slug
        self.project = resit.get(f"/projects/{slug}")
        secret = resit.post("/tokens", {"project": slug})["token"]
        headers = {"Authorization": f"Bearer {secret}"}
        self.http = httpx.Client(base_url=resit.url, headers=headers, timeout=30, trust_env=False)

    def ask(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        """A document."""
        answer = self.http.request(method, path, **more)
        assert answer.status_code == status, answer.text
        return answer.json()

    @abstractmethod
    def trigger(self) -> Any:
        """A run of the default environment; the name by which this API knows it."""

    @abstractmethod
    def over(self, run: Any) -> bool:
        """Whether a run has come to its end."""

    @abstractmethod
    def rerun_failed(self, run: Any) -> Any:
        """A re-run of what failed."""

    @abstractmethod
    def number(self, run: Any) -> int:
        """The run's number."""

    def end(self, run: Any) -> Any:
        """Wait for the end of a run, by this API alone."""
        until(lambda: self.over(run), f"the end of {run}")
        return run

    def snooze(self, test: str) -> None:
        """Keep the failure of a test from blocking."""
        self.resit.post(
            f"/projects/{self.slug}/snoozes", {"tests": [test], "until": _tomorrow(), "description": "known"}
        )

    def cancel(self, run: Any) -> None:
        """Stop a run."""
        self.resit.post(f"/runs/{self.number(run)}/cancel")


class Native(Surface):
    def trigger(self) -> Any:
        return self.ask("POST", f"/resit/v1/projects/{self.slug}/runs", 201, json={"environment": "default"})["id"]

    def over(self, run: Any) -> bool:
        return self.ask("GET", f"/resit/v1/runs/{run}")["status"] in ("finished", "cancelled")

    def rerun_failed(self, run: Any) -> Any:
        return self.ask("POST", f"/resit/v1/runs/{run}/rerun", 201, json={"selection": "failed"})["id"]

    def number(self, run: Any) -> int:
        return run


class Empirical(Surface):
    def trigger(self) -> Any:
        return self.ask("PUT", "/api/test-runs", json={"environment": "default"})["data"]["test_run"]["id"]

    def over(self, run: Any) -> bool:
        found = self.ask("GET", f"/api/test-runs/{run}")["data"]["test_run"]["testRun"]
        return found["state"] in ("ended", "error", "cancelled")

    def rerun_failed(self, run: Any) -> Any:
        made = self.ask("POST", f"/api/test-runs/{run}/re-run", json={"only_failed": True})
        return made["data"]["test_run"]["id"]

    def number(self, run: Any) -> int:
        return run

    def snooze(self, test: str) -> None:
        cases = self.ask("GET", "/api/v2/test-cases", params={"per_page": 100})["data"]["test_cases"]
        key = next(case["id"] for case in cases if case["name"] == test.partition("::")[2])
        body = {"test_ids": [key], "snooze_until": _tomorrow(), "description": "known"}
        self.ask("POST", "/api/snoozes", json=body)

    def cancel(self, run: Any) -> None:
        self.ask("POST", f"/api/test-runs/{run}/cancel")


class QaTech(Surface):
    def trigger(self) -> Any:
        return self.ask("POST", "/v1/run")["run"]["shortId"]

    def over(self, run: Any) -> bool:
        return self.ask("GET", f"/v1/run/{run}")["status"] in ("COMPLETED", "ERROR", "CANCELLED")

    def rerun_failed(self, run: Any) -> Any:
        return self.ask("POST", f"/v1/run/{run}", json={"failedOnly": True})["run"]["shortId"]

    def number(self, run: Any) -> int:
        return self.resit.get(f"/runs/{run}")["id"]


class SamplePlatform(Surface):
    def trigger(self) -> Any:
        body = {"repository": f"local/{self.slug}", "commit_sha": "a" * 40, "platform": "linux"}
        return self.ask("POST", "/api/v1/runs", 202, json=body)["run_id"]

    def over(self, run: Any) -> bool:
        return self.ask("GET", f"/api/v1/runs/{run}")["status"] not in ("queued", "running")

    def end(self, run: Any) -> Any:
        # To look on and on would use up the minute's reads.
        self.resit.end(run)
        assert self.over(run)
        return run

    def rerun_failed(self, run: Any) -> Any:
        return self.ask("POST", f"/api/v1/runs/{run}/retry", 202, json={"failed_only": True})["new_run_id"]

    def number(self, run: Any) -> int:
        return run

    def cancel(self, run: Any) -> None:
        assert self.ask("POST", f"/api/v1/runs/{run}/cancel", 202)["status"] == "accepted"


SURFACES = {"native": Native, "empirical": Empirical, "qatech": QaTech, "ccextractor": SamplePlatform}


def _tomorrow() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def tell(surface: Surface, gate: Path) -> None:
    """The story."""
    first = surface.end(surface.trigger())
    failed = [
        test for test, outcome in surface.resit.tests(surface.number(first)).items() if outcome["outcome"] == "failed"
    ]
    assert len(failed) == 1
    surface.snooze(failed[0])
    surface.end(surface.rerun_failed(first))
    gate.touch()
    last = surface.trigger()

    def two_are_through() -> bool:
        counts = surface.resit.run(surface.number(last))["counts"]
        return (counts["passed"], counts["failed"]) == (1, 1)

    until(two_are_through, "all but the last test of the last run")
    surface.cancel(last)
    surface.end(last)


def state(resit: Resit, slug: str) -> dict[str, Any]:
    """What the story left behind, without what is every run's own."""
    runs = sorted(resit.get("/runs", project=slug)["items"], key=lambda run: run["id"])
    place = {run["id"]: n for n, run in enumerate(runs)}
    words = ("status", "verdict", "counts", "selection", "tests", "environment", "branch", "total_shards", "problems")
    return {
        "runs": [{**{word: run[word] for word in words}, "source": place.get(run["source_run_id"])} for run in runs],
        "ledgers": [
            {
                test: {word: row[word] for word in ("outcome", "did_not_run", "snoozed")}
                | {"known": bool(row["case_id"])}
                for test, row in resit.tests(run["id"]).items()
            }
            for run in runs
        ],
        "snoozes": [
            {"tests": len(snooze["tests"]), "description": snooze["description"]}
            for snooze in resit.get(f"/projects/{slug}/snoozes")["items"]
        ],
    }


def test_the_story_ends_the_same_on_every_surface(resit: Resit, suite: Suites, tmp_path: Path) -> None:
    left: dict[str, dict[str, Any]] = {}
    for name, kind in SURFACES.items():
        gate = tmp_path / f"gate-{name}"
        slug = resit.project(suite(SUITE))
        resit.http.patch(
            f"/projects/{slug}/environments/default", json={"variables": {"GATE": str(gate)}}
        ).raise_for_status()
        surface = kind(resit, slug)
        tell(surface, gate)
        left[name] = state(resit, slug)
    native = left["native"]
    assert [(run["status"], run["verdict"]) for run in native["runs"]] == [
        ("finished", "failed"),
        ("finished", "passed"),
        ("cancelled", "errored"),
    ]
    assert [run["source"] for run in native["runs"]] == [None, 0, None]
    assert native["runs"][1]["counts"]["snoozed"] == native["runs"][1]["counts"]["failed"] == 1
    for name, found in left.items():
        assert found == native, name


@pytest.mark.parametrize(
    "made_by",
    ["native", "empirical", *(pytest.param(n, marks=pytest.mark.thorough) for n in ("qatech", "ccextractor"))],
)
def test_a_run_of_one_surface_is_known_to_all_and_runs_again_on_all(resit: Resit, suite: Suites, made_by: str) -> None:
    slug = resit.project(suite("def test_pass(): pass\ndef test_fail(): assert 0\n"))
    run = SURFACES[made_by](resit, slug)
    made = run.number(run.end(run.trigger()))
    document = resit.run(made)
    again: list[int] = []
    for kind in SURFACES.values():
        other = kind(resit, slug)
        name = document["short_id"] if kind is QaTech else made
        assert other.over(name)
        again.append(other.number(other.rerun_failed(name)))
    assert len(set(again)) == len(SURFACES)
    for number in again:
        end = resit.end(number)
        assert (end["source_run_id"], end["verdict"]) == (made, "failed")
        assert list(resit.outcomes(number).values()) == ["failed"]
    assert resit.run(made) == document
