"""Several hosts: two control planes, three workers, NATS and PostgreSQL; one of each dies or is cut off in mid-run."""

import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import chaos
import httpx
import pytest
from black_box import Suites, until
from cluster import Cluster, cluster, possible

pytestmark = pytest.mark.skipif(not possible(), reason="needs root and ip, for network namespaces")


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("hosts")) as made:
        yield made
        assert "Traceback" not in made.log(), made.log()


def kill_worker(hosts: Cluster) -> None:
    """A worker that has work; it comes back."""
    hosts.parts["worker1"].kill()
    hosts.again("worker1")


def kill_plane(hosts: Cluster) -> None:
    """The control plane that hands out and repairs; the other one takes over at once, and this one comes back."""
    hosts.parts["plane1"].kill()
    time.sleep(3)
    hosts.again("plane1")


def kill_nats(hosts: Cluster) -> None:
    hosts.parts["nats"].kill()
    hosts.again("nats")


def kill_one_of_each(hosts: Cluster) -> None:
    """A worker, a control plane and NATS in the same moment."""
    for name in ("worker2", "plane2", "nats"):
        hosts.parts[name].kill()
    for name in ("nats", "plane2", "worker2"):
        hosts.again(name)


def restart_postgres(hosts: Cluster) -> None:
    hosts.postgres.restart()


def kill_postgres(hosts: Cluster) -> None:
    hosts.postgres.kill()
    hosts.postgres.start()


def cut_worker(hosts: Cluster) -> None:
    """The cable of a worker is pulled for longer than its leases last."""
    hosts.network.cut("worker3")
    time.sleep(14)
    hosts.network.join("worker3")


def cut_plane(hosts: Cluster) -> None:
    hosts.network.cut("plane1")
    time.sleep(8)
    hosts.network.join("plane1")


FAULTS = (
    chaos.Fault("worker killed", kill_worker, 14.0),
    chaos.Fault("control plane killed", kill_plane, 14.0),
    chaos.Fault("NATS killed", kill_nats, 14.0),
    chaos.Fault("one of each killed", kill_one_of_each, 20.0),
    chaos.Fault("PostgreSQL restarted", restart_postgres, 14.0),
    chaos.Fault("PostgreSQL killed", kill_postgres, 14.0),
    chaos.Fault("worker cut off for 14 s", cut_worker, 20.0),
    chaos.Fault("control plane cut off for 8 s", cut_plane, 20.0),
)


USUAL = ("one of each killed", "PostgreSQL killed", "worker cut off for 14 s")


@pytest.mark.parametrize("fault", chaos.rounds(FAULTS, USUAL), ids=lambda fault: fault.name.replace(" ", "-"))
def test_nothing_is_lost(hosts: Cluster, suite: Suites, log: Path, fault: chaos.Fault) -> None:
    found = chaos.strike(hosts, suite(chaos.files()), log, fault, random.Random(f"11 {fault.name}"), shards=6, slack=8)
    print(f"\n{chaos.HEAD}\n{found.row()}")
    assert not found.problems, (found.problems, hosts.log())


def test_live_events_come_from_any_control_plane(hosts: Cluster, suite: Suites, log: Path) -> None:
    """Two pages, one at each control plane, hear the same run to its end."""
    project = hosts.project(suite(chaos.files()), shards=4)
    run = hosts.trigger(project, variables={"LOG": str(log)})
    heard: dict[str, dict[str, str]] = {}

    def page(plane: str) -> None:
        heard[plane] = {}
        url = f"{hosts.address(plane)}/resit/v1/runs/{run}/events"
        head = {"Authorization": f"Bearer {hosts.token}"}
        with httpx.stream("GET", url, headers=head, timeout=60, trust_env=False) as answer:
            kind = ""
            for line in answer.iter_lines():
                word, _, rest = line.partition(": ")
                if word == "event":
                    kind = rest
                elif word == "data" and kind == "test":
                    row = json.loads(rest)
                    heard[plane][row["id"]] = row["outcome"] or row["state"]

    pages = [threading.Thread(target=page, args=(plane,), daemon=True) for plane in hosts.planes]
    for thread in pages:
        thread.start()
    hosts.end(run)
    for thread in pages:
        thread.join(10)
    assert not any(thread.is_alive() for thread in pages)
    expected = {test: row["outcome"] for test, row in hosts.tests(run).items()}
    assert heard == dict.fromkeys(hosts.planes, expected)


def test_rate_limits_are_shared(hosts: Cluster) -> None:
    """The CCExtractor API's limit of reads counts what all control planes have answered."""
    head = {"Authorization": f"Bearer {hosts.token}"}

    def left(plane: str) -> int:
        answer = httpx.get(f"{hosts.address(plane)}/api/v1/runs", headers=head, timeout=10, trust_env=False)
        return int(answer.headers["X-RateLimit-Remaining"])

    found = [left(plane) for plane in hosts.planes * 3]
    assert found == list(range(found[0], found[0] - 6, -1))


def test_a_worker_that_is_asked_to_leave_hands_back(hosts: Cluster, suite: Suites, log: Path) -> None:
    project = hosts.project(suite(chaos.files()), shards=6)
    run = hosts.trigger(project, variables={"LOG": str(log)})
    until(lambda: len(chaos.read(log)) > 4, "the first tests", 30)
    worker = hosts.parts["worker1"]
    worker.end()
    done = hosts.end(run)
    again = {row["outcome"] for row in hosts.tests(run).values()}
    assert again == {"passed", "failed"}
    assert done["counts"]["failed"] == chaos.FILES * chaos.EACH // 10 + 1
    hosts.again("worker1")
