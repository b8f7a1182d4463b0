"""Workers of their own processes, over TLS: pools, a drained worker, a revoked one, and what a credential can't do."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from black_box import RESIT, Resit, Suites, lines, needs_node, until

from resit import __version__
from resit.broker.address import Address
from resit.broker.worker import NatsWorkerBroker
from resit.integrations.trust import trusting

LISTEN = ("--no-worker", "--workers-listen", "127.0.0.1:0")
# Each test writes that it began and that it ended; what it prints is an artifact of it. On the worker HOLD, all but the
# first one wait until GO is there.
SUITE = """
import os, pathlib, time, pytest
LOG, SECONDS = pathlib.Path(os.environ["LOG"]), float(os.environ.get("SECONDS", "0.2"))
def say(word, n):
    with LOG.open("a") as log: log.write(f"{word} {n} {os.environ['RESIT_WORKER']}\\n")
@pytest.mark.parametrize("n", range(%d, %d))
def test_n(n):
    print("said", n)
    say("start", n)
    time.sleep(SECONDS)
    held, end = os.environ.get("HOLD"), time.monotonic() + 60
    if held == os.environ["RESIT_WORKER"] and any(line.split()[::2] == ["end", held] for line in LOG.open()):
        while not os.path.exists(os.environ["GO"]) and time.monotonic() < end: time.sleep(0.02)
    say("end", n)
"""
LONG = """
import os, pathlib, time
def say(word):
    with pathlib.Path(os.environ["LOG"]).open("a") as log: log.write(f"{word} 0 {os.environ['RESIT_WORKER']}\\n")
def test_long():
    say("start")
    end = time.monotonic() + 60
    while not os.path.exists(os.environ["GO"]) and time.monotonic() < end: time.sleep(0.02)
    say("end")
"""

SPEC = """
const { test } = require('@playwright/test');
const fs = require('fs');
const say = word => fs.appendFileSync(process.env.LOG, `${word} NUMBER ${process.env.RESIT_WORKER}\\n`);
const held = process.env.HOLD, end = Date.now() + 25000, soon = () => new Promise(r => setTimeout(r, 100));
test('n NUMBER', async () => {
  say('start');
  await soon();
  const lines = fs.readFileSync(process.env.LOG, 'utf8').split('\\n');
  if (held === process.env.RESIT_WORKER && lines.some(line => line.startsWith('end') && line.endsWith(held))) {
    while (!fs.existsSync(process.env.GO) && Date.now() < end) await soon();
  }
  say('end');
});
"""
TESTS = 40


class Worker:
    """A `resit worker` process."""

    def __init__(self, folder: Path, credential: Path, *more: str) -> None:
        self.output = folder / "output"
        self._name = ""
        folder.mkdir()
        command = [RESIT, "worker", "--credential", str(credential), "--folder", str(folder / "files"), *more]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("RESIT_")}
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file, env=environ, start_new_session=True)

    @property
    def said(self) -> str:
        """What it printed."""
        return self.output.read_text(errors="replace")

    @property
    def name(self) -> str:
        """Its name, once it has joined."""

        def joined() -> str:
            assert self.process.poll() is None, self.said
            return self.said.partition("worker: worker ")[2].partition(" ")[0] if "has joined" in self.said else ""

        self._name = self._name or until(joined, "the worker joins", 60)
        return self._name

    def ask_to_leave(self) -> None:
        """SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def end(self, seconds: float = 40) -> int:
        """Its exit code."""
        return self.process.wait(seconds)

    def close(self) -> None:
        """End it, whatever state it is in."""
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                self.process.send_signal(number)
                self.process.wait(8 if number == signal.SIGINT else 2)


class Fleet:
    """A server that listens for workers, and workers of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.resit = Resit(folder)
        self.workers: list[Worker] = []

    def credential(self, pool: str = "default") -> Path:
        """A fresh credential, in a file."""
        path = self.folder / f"{pool}-{len(list(self.folder.glob('*.json')))}.json"
        done = self.resit.cli("worker-credential", "create", "--pool", pool, "--output", str(path))
        assert done.code == 0, done.said
        return path

    def worker(self, credential: Path, *more: str, slots: int = 1) -> Worker:
        """A worker that has joined."""
        folder = self.folder / f"worker-{len(self.workers)}"
        self.workers.append(Worker(folder, credential, "--allow-local", "--slots", str(slots), *more))
        assert self.workers[-1].name
        return self.workers[-1]

    def listed(self) -> dict[str, dict[str, Any]]:
        """The workers that the API shows, by name."""
        return {worker["name"]: worker for worker in self.resit.get("/workers")["items"]}

    def close(self) -> None:
        """End everything."""
        for worker in self.workers:
            worker.close()
        self.resit.close()


@pytest.fixture
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    found = Fleet(tmp_path_factory.mktemp("fleet"))
    try:
        found.resit.start(*LISTEN, "--tls")
        yield found
        for said in (found.resit.log(), *(worker.said for worker in found.workers)):
            assert "Traceback" not in said, said
    finally:
        found.close()


def many(suite: Suites, files: int = 4, each: int = 3) -> Path:
    """A suite of several files, each of several tests."""
    return suite({f"test_{n}.py": SUITE % (n * each, (n + 1) * each) for n in range(files)})


def ended(log: Path) -> dict[int, list[str]]:
    """The workers on which each test came to its end, by what the tests wrote."""
    found: dict[int, list[str]] = {}
    for line in lines(log):
        word, number, worker = line.split()
        if word == "end":
            found.setdefault(int(number), []).append(worker)
    return found


def test_each_run_goes_to_its_pool(fleet: Fleet, suite: Suites, tmp_path: Path) -> None:
    resit = fleet.resit
    for name in ("linux", "mac"):
        assert resit.cli("pool", "create", name, "--label", f"os={name}").code == 0
    linux = fleet.worker(fleet.credential("linux"), "--label", "rack=3", slots=2)
    mac = fleet.worker(fleet.credential("mac"))
    project = resit.project(many(suite, 2))
    assert resit.cli("env", "add", project, "one", "--pool", "linux").code == 0
    assert resit.cli("env", "add", project, "two", "--pool", "os=mac").code == 0
    for environment, worker in (("one", linux), ("two", mac)):
        log = tmp_path / environment
        run = resit.execute(project, environment=environment, variables={"LOG": str(log)})
        assert (run["verdict"], run["counts"]["passed"]) == ("passed", 6), resit.logs(run["id"])
        assert {name for names in ended(log).values() for name in names} == {worker.name}
        # Handed in over HTTPS, under the right of the run.
        artifacts = resit.get(f"/runs/{run['id']}/artifacts")["items"]
        said = {resit.http.get(f"/artifacts/{artifact['id']}").text for artifact in artifacts}
        assert said == {f"said {n}\n" for n in range(6)}
    shown = fleet.listed()
    assert {name: (one["pool"], one["slots"], one["labels"]) for name, one in shown.items()} == {
        linux.name: ("linux", 2, {"rack": "3"}),
        mac.name: ("mac", 1, {}),
    }
    assert all(one["alive"] and one["same_version"] and one["version"] == __version__ for one in shown.values())
    assert [one["credential_id"] for one in shown.values()] == [1, 2]
    table = resit.cli("workers").out
    assert linux.name in table
    assert "rack=3" in table
    refused = resit.cli("env", "set", project, "two", "--pool", "os=windows")
    assert (refused.code, "linux (os=linux); mac (os=mac)" in refused.said) == (65, True)
    for worker in (linux, mac):
        worker.ask_to_leave()
        assert worker.end() == 0, worker.said
    assert fleet.listed() == {}


def drained_in_mid_run(fleet: Fleet, project: str, folder: Path, *how: str) -> list[str]:
    """Two workers work on a run, and one of them is asked to leave: the run is green, and every test came to its end.

    Returns the numbers of the tests that began, in this order.
    """
    resit, log, go = fleet.resit, folder / "log", folder / "go"
    credential = fleet.credential()
    first, second = fleet.worker(credential, *how), fleet.worker(credential)
    variables = {"LOG": str(log), "SECONDS": "0.3", "HOLD": second.name, "GO": str(go)}
    run = resit.trigger(project, shards=2, variables=variables)
    until(lambda: {name for names in ended(log).values() for name in names} == {first.name, second.name}, "both work")
    first.ask_to_leave()
    until(lambda: fleet.listed().get(first.name, {"draining": True})["draining"], "it is shown as draining", 10)
    assert first.end() == 0, first.said
    assert first.name not in fleet.listed()
    by_first = [line for line in lines(log) if line.endswith(first.name)]
    assert 0 < len(by_first) < 2 * TESTS
    go.touch()
    done = resit.end(run)
    assert (done["verdict"], done["counts"]["passed"]) == ("passed", TESTS), resit.logs(run)
    assert sorted(ended(log)) == list(range(TESTS))
    assert [line for line in lines(log) if line.endswith(first.name)] == by_first
    return [line.split()[1] for line in lines(log) if line.startswith("start")]


def test_a_worker_is_drained_in_mid_run_and_nothing_is_red(fleet: Fleet, suite: Suites, tmp_path: Path) -> None:
    project = fleet.resit.project(many(suite, TESTS // 2, 2))
    begun = drained_in_mid_run(fleet, project, tmp_path, "--drain-seconds", "2")
    # The batch of a pytest process is large: what was left of it was handed back, and the test in flight began again;
    # it may have written its last line just before the process was ended.
    assert sum(len(workers) - 1 for workers in ended(tmp_path / "log").values()) <= 1
    assert len(begun) - len(set(begun)) <= 1


@needs_node
def test_batches_that_run_are_finished_and_no_further_one_is_begun(fleet: Fleet, suite: Suites, tmp_path: Path) -> None:
    where = suite.playwright({f"{n}.spec.js": SPEC.replace("NUMBER", str(n)) for n in range(TESTS)})
    begun = drained_in_mid_run(fleet, fleet.resit.project(where, "playwright"), tmp_path)
    assert len(begun) == len(set(begun)), "nothing was repeated"


@pytest.mark.parametrize(
    "hurry", [False, pytest.param(True, marks=pytest.mark.thorough)], ids=["time is up", "asked twice"]
)
def test_what_is_not_done_in_time_is_handed_back(fleet: Fleet, suite: Suites, tmp_path: Path, hurry: bool) -> None:
    resit, log, go = fleet.resit, tmp_path / "log", tmp_path / "go"
    credential = fleet.credential()
    first = fleet.worker(credential, "--drain-seconds", "600" if hurry else "1")
    run = resit.trigger(resit.project(suite(LONG)), variables={"LOG": str(log), "GO": str(go)})
    until(lambda: lines(log), "the test has begun")

    def held() -> list[tuple[int, int]]:
        return [(place["run"], place["shard"]) for place in fleet.listed()[first.name]["holding"]]

    until(lambda: held() == [(run, 1)], "what it holds is shown", 15)
    second = fleet.worker(credential)
    first.ask_to_leave()
    if hurry:
        until(lambda: "is given 600 s" in first.said, "it drains", 10)
        first.ask_to_leave()
    assert first.end(15) == 0, first.said
    until(lambda: lines(log)[-1] == f"start 0 {second.name}", "the other one has begun it again", 15)
    go.touch()
    done = resit.end(run)
    assert (done["verdict"], done["counts"]["passed"]) == ("passed", 1), resit.logs(run)
    assert lines(log) == [f"start 0 {first.name}", f"start 0 {second.name}", f"end 0 {second.name}"]


def test_a_worker_that_is_drained_while_it_lists_or_prepares_costs_nothing(
    fleet: Fleet, suite: Suites, tmp_path: Path
) -> None:
    resit, log, go = fleet.resit, tmp_path / "log", tmp_path / "go"
    slow = "import os, time\nwhile not os.path.exists(os.environ['GO']): time.sleep(0.02)\n" + SUITE % (0, 1)
    (tmp_path / "conftest-begun").unlink(missing_ok=True)
    run = resit.trigger(resit.project(suite(slow)), variables={"LOG": str(log), "GO": str(go)})
    credential = fleet.credential()
    for _ in range(4):  # three that are lost would end the run
        worker = fleet.worker(credential, "--drain-seconds", "0")
        until(lambda: "lists its tests" in worker.said, "it lists", 20)  # noqa: B023 - called at once
        worker.ask_to_leave()
        assert worker.end() == 0, worker.said
    go.touch()
    fleet.worker(credential)
    done = resit.end(run)
    assert (done["verdict"], done["problems"]) == ("passed", []), resit.logs(run)


def test_a_revoked_worker_is_out_and_others_do_its_work(fleet: Fleet, suite: Suites, tmp_path: Path) -> None:
    resit, log = fleet.resit, tmp_path / "log"
    bad, good = fleet.credential(), fleet.credential()
    first, second = fleet.worker(bad), fleet.worker(good)
    project = resit.project(many(suite, 12, 2))
    run = resit.trigger(project, shards=2, variables={"LOG": str(log), "SECONDS": "0.5"})
    until(lambda: {name for names in ended(log).values() for name in names} == {first.name, second.name}, "both work")
    number = json.loads(bad.read_text())["id"]
    assert resit.cli("worker-credential", "revoke", str(number)).code == 0
    done = resit.end(run)
    assert (done["verdict"], done["counts"]["passed"]) == ("passed", 24), resit.logs(run)
    assert sorted(ended(log)) == list(range(24))
    assert first.end(60) == 77, first.said
    assert "unknown, revoked or expired" in first.said
    again = Worker(fleet.folder / "again", bad)
    fleet.workers.append(again)
    assert again.end() == 77, again.said
    secret = json.loads(bad.read_text())["secret"]
    for worker in (first, again):
        assert secret not in worker.said
    assert secret not in resit.log()


# ---------------------------------------------------------------- what a credential can't do


@pytest.fixture
def join(fleet: Fleet) -> Callable[[Path], Any]:
    """Opens a connection with a credential, as somebody would who has stolen it."""

    @contextlib.asynccontextmanager
    async def joined(path: Path) -> Any:
        found = json.loads(path.read_text())
        address = Address(found["brokers"][0], token=found["secret"], ca=found["ca"])
        broker = await NatsWorkerBroker.connect(address, found["pool"])
        try:
            yield broker
        finally:
            await broker.close()

    return joined


def test_a_credential_shows_nothing_of_other_pools_and_other_runs(
    fleet: Fleet, suite: Suites, tmp_path: Path, join: Callable[[Path], Any]
) -> None:
    resit = fleet.resit
    for name in ("mine", "theirs"):
        assert resit.cli("pool", "create", name).code == 0
    project = resit.project(suite("def test_a(): pass"))
    runs: dict[str, int] = {}
    for name in ("mine", "theirs"):
        resit.cli("env", "add", project, name, "--pool", name, "--secret", "KEY=hidden-value")
        runs[name] = resit.trigger(project, environment=name)
    credential = fleet.credential("mine")

    async def scene() -> dict[str, Any]:
        async with join(credential) as broker:
            found: dict[str, Any] = {}
            for name, run in runs.items():
                question = json.dumps({"run": run, "worker": "thief"}).encode()
                found[name] = json.loads(await broker.ask("spec", question, 10))
            about = {"worker": "thief", "slots": 1, "pool": "theirs", "runs": list(runs.values())}
            found["alive"] = json.loads(await broker.ask("alive", json.dumps(about).encode(), 10))
            return found

    found = asyncio.run(scene())
    assert found["mine"]["open"]
    assert found["theirs"] == {"open": False}
    assert found["alive"]["stop"] == [runs["theirs"]]
    assert fleet.listed()["thief"]["pool"] == "mine"

    token = found["mine"]["upload"]["token"]
    secret = json.loads(credential.read_text())["secret"]
    with httpx.Client(base_url=f"{resit.url}/resit/v1", verify=resit.trust(), trust_env=False) as http:
        for bearer in (token, secret):
            right = {"Authorization": f"Bearer {bearer}"}
            for path in ("/projects", "/runs", f"/runs/{runs['mine']}", "/workers", "/worker-credentials", "/tokens"):
                assert http.get(path, headers=right).status_code == 401, path
        file = "00000000-0000-4000-8000-00000000000"
        right = {"Authorization": f"Bearer {token}"}
        assert http.put(f"/uploads/{file}1", content=b"mine", headers=right).status_code == 204
        assert (
            http.put(f"/uploads/{file}1", content=b"x", headers={"Authorization": f"Bearer {secret}"}).status_code
            == 401
        )
    other = asyncio.run(_token(join(credential), runs["mine"]))
    assert other != ""
    # The artifact of a run belongs to it, whatever another run's right says.
    with httpx.Client(base_url=f"{resit.url}/resit/v1", verify=resit.trust(), trust_env=False) as http:
        again = resit.trigger(project, environment="mine")
        second = asyncio.run(_token(join(credential), again))
        taken = http.put(f"/uploads/{file}1", content=b"y", headers={"Authorization": f"Bearer {second}"})
        assert taken.status_code == 404
    assert resit.http.get(f"/artifacts/{file}1").content == b"mine"


async def _token(joined: Any, run: int) -> str:
    async with joined as broker:
        answer = await broker.ask("spec", json.dumps({"run": run, "worker": "thief"}).encode(), 10)
        return json.loads(answer)["upload"]["token"]


def test_the_server_shows_a_certificate_that_its_authority_vouches_for(fleet: Fleet) -> None:
    resit = fleet.resit
    found = json.loads(fleet.credential().read_text())
    assert found["server"] == resit.url
    assert found["ca"] == (resit.data / "tls" / "ca.pem").read_text()
    assert httpx.get(f"{resit.url}/healthz", verify=trusting(found["ca"]), trust_env=False).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{resit.url}/healthz", trust_env=False)
    elsewhere = {"RESIT_URL": resit.url, "RESIT_TOKEN": resit.token}
    assert resit.cli("pool", "list", env=elsewhere).code == 69
    assert resit.cli("pool", "list", env={**elsewhere, "RESIT_CA": str(resit.data / "tls" / "ca.pem")}).code == 0


def test_a_folder_is_for_workers_that_say_so(fleet: Fleet, suite: Suites) -> None:
    resit = fleet.resit
    worker = Worker(fleet.folder / "far", fleet.credential())
    fleet.workers.append(worker)
    run = resit.execute(resit.project(suite("def test_a(): pass")))
    assert run["verdict"] == "errored"
    assert [problem["code"] for problem in run["problems"]] == ["source_missing"]
    assert "--allow-local" in run["problems"][0]["message"]
