"""A server with runs in every state, made by real suites, and then without a worker: what is open stays open."""

from dataclasses import dataclass, field
from typing import Any

import httpx
from black_box import Resit, Suites, until

SUITE = {
    "test_cart.py": """
        import os, pytest
        def test_adds(): pass
        def test_removes(): assert os.environ.get("MENDED"), "the cart is not empty"
        @pytest.mark.skip(reason="not yet")
        def test_shares(): pass
        @pytest.fixture
        def broken(): raise RuntimeError("no database")
        def test_saves(broken): pass
    """,
    "test_pay.py": """
        import os, time, pytest
        @pytest.mark.smoke
        def test_pays(): pass
        def test_waits():
            if os.environ.get("SLOW"): time.sleep(600)
    """,
    "pytest.ini": "[pytest]\nmarkers = smoke: the first to run\n",
}
ALL = ("passed", "failed", "skipped", "errored", "cancelled", "running", "queued", "waiting")


@dataclass
class Seeded:
    """The server and what is in it."""

    resit: Resit
    project: dict[str, Any] = field(default_factory=dict[str, Any])
    other: dict[str, Any] = field(default_factory=dict[str, Any])
    runs: dict[str, dict[str, Any]] = field(default_factory=dict[str, "dict[str, Any]"])
    """By the word for how they stand, see ``ALL``; and ``rerun``, ``foreign`` (of another project)."""
    key: str = ""
    """A token for the project, without named scopes."""
    admin: str = ""

    def client(self, secret: str | None = None, base: str = "") -> httpx.Client:
        """Over HTTP, as the bearer of ``secret`` (the project's key when there is none)."""
        headers = {"Authorization": f"Bearer {secret or self.key}"}
        return httpx.Client(base_url=f"{self.resit.url}{base}", headers=headers, timeout=30, trust_env=False)


def seed(resit: Resit, suites: Suites) -> Seeded:
    """Fill a server that runs, and start it anew without a worker."""
    folder = suites(SUITE)
    slug = resit.project(folder)
    foreign = resit.project(folder)
    resit.post(f"/projects/{slug}/environments", {"slug": "slow", "variables": {"SLOW": "1"}})
    resit.post(f"/projects/{slug}/environments", {"slug": "nothing", "match": ["no-such-file"]})
    made = Seeded(resit)
    case = {row["id"].partition("::")[2]: row["id"] for row in _listed(resit, slug)}
    made.runs["failed"] = resit.execute(slug, build={"branch": "main", "commit": "c" * 40, "url": "https://shop.test"})
    made.runs["passed"] = resit.execute(slug, tests=[case["test_adds"], case["test_pays"]])
    made.runs["skipped"] = resit.execute(slug, tests=[case["test_shares"]])
    made.runs["errored"] = resit.execute(slug, environment="nothing")
    made.runs["rerun"] = resit.end(resit.rerun(made.runs["failed"]["id"], "failed"))
    made.runs["foreign"] = resit.execute(foreign)
    slow = {"environment": "slow", "tests": [case["test_waits"], case["test_pays"]]}
    stopped = resit.trigger(slug, **slow)
    until(lambda: resit.run(stopped)["counts"]["running"], "the run to be stopped runs")
    resit.post(f"/runs/{stopped}/cancel")
    made.runs["cancelled"] = resit.end(stopped)
    going = resit.trigger(slug, **slow, concurrency={"group": "deploy", "on_conflict": "wait"})
    until(lambda: resit.run(going)["counts"]["running"], "the run runs")
    waiting = resit.trigger(slug, concurrency={"group": "deploy", "on_conflict": "wait"})
    resit.terminate()
    resit.start("--no-worker", "--ccextractor-reads", "0", "--ccextractor-writes", "0")
    queued = resit.trigger(slug)
    made.runs |= {"running": resit.run(going), "waiting": resit.run(waiting), "queued": resit.run(queued)}
    made.project, made.other = resit.get(f"/projects/{slug}"), resit.get(f"/projects/{foreign}")
    made.key = resit.post("/tokens", {"project": slug})["token"]
    made.admin = resit.post("/tokens", {"project": slug, "scopes": ["admin"]})["token"]
    return made


def _listed(resit: Resit, slug: str) -> list[dict[str, Any]]:
    first = resit.execute(slug)
    return list(resit.tests(first["id"]).values())
