"""How fast reports of workers come into the database: ``python bench/ingest.py [--results N] [--postgres]``.

A real server with its broker and no worker; runs that have their plan are in its database already. This program then
speaks for their workers: it stores their reports with the broker, as they do, and waits until the ledger has every
result. Meanwhile as many clients as ``--pages`` follow a run each, as the page of a run does in a browser, and as many
as ``--followers`` by the events of the API. ``--each``: results in one report (fast tests come by dozens, since what
happens within 0.1 s shares a message).
"""

import argparse
import asyncio
import http.client
import json
import os
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from api import Server, signed_in
from load import work_of
from sqlalchemy import func, select

from resit.broker.address import Address
from resit.broker.worker import NatsWorkerBroker
from resit.domain import wire
from resit.storage import tables
from resit.storage.connect import connect, transaction
from resit.testing import factories
from resit.testing.postgres import PostgresServer
from resit.testing.world import World

RUNS = 4
AT_ONCE = 16
LIMIT_SECONDS = 600.0
Reports = list[tuple[int, bytes, str]]


def planned(world: World, results: int, each: int) -> Reports:
    """Runs with their plans, and all that their workers are going to say: run, report, and its id."""
    said: Reports = []
    for number in range(RUNS):
        names = [f"tests/test_{n // 50}.py::test_{n}" for n in range(results // RUNS)]
        run = world.plan(world.trigger(), list(map(factories.planned, names)), f"planner {number}", key=f"{number}")
        with world.store.read() as tx:
            batches = [state.number for state in tx.batches.open(run.id)]
            tests = [(test.id, batch) for batch in batches for test in tx.ledger.tests_of_batch(run.id, batch)]
        for first in range(0, len(tests), each):
            voice = world.voice(run, tests[first][1], claim=f"{run.id}/{tests[first][1]}")
            events = [
                wire.to_wire(event)
                for test, _ in tests[first : first + each]
                for event in (factories.started(test), factories.result(test))
            ]
            place = first // each + 1
            report = {
                **voice,
                "what": "batch.events",
                "events": events,
                "from": f"v{run.id}",
                "n": place,
                "to": "nobody",
            }
            said.append((run.id, json.dumps(report).encode(), f"v{run.id}.{place}"))
    # The runs go on side by side, as those of several workers do.
    return [report for place in range(len(said) // RUNS + 1) for report in said[place :: len(said) // RUNS + 1]]


async def tell(address: Address, said: Reports) -> None:
    """Store the reports with the broker; those of a run in their order."""
    broker = await NatsWorkerBroker.connect(address, "default")
    lanes: dict[int, list[tuple[bytes, str]]] = {}
    for run, report, id in said:
        lanes.setdefault(run, []).append((report, id))

    async def lane(run: int, reports: Sequence[tuple[bytes, str]]) -> None:
        for first in range(0, len(reports), AT_ONCE):
            await asyncio.gather(*(broker.publish(run, data, id) for data, id in reports[first : first + AT_ONCE]))

    await asyncio.gather(
        *(lane(run, sorted(reports, key=lambda r: int(r[1].rpartition(".")[2]))) for run, reports in lanes.items())
    )
    await broker.close()


class Pages:
    """Clients that follow runs live until the end of this program."""

    def __init__(self, port: int, path: str, headers: Mapping[str, str], runs: Sequence[int]) -> None:
        self.heard = 0
        for run in runs:
            threading.Thread(target=self._follow, args=(port, path.format(run), dict(headers)), daemon=True).start()

    def _follow(self, port: int, path: str, headers: dict[str, str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status}")
        while piece := answer.read1(1 << 16):
            self.heard += piece.count(b"event: ")


def work_under(folders: Sequence[Path]) -> float:
    """Seconds that the processes have worked whose arguments name one of the folders, or that are in it."""
    total = 0.0
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            try:
                where = (each / "cmdline").read_text() + str((each / "cwd").readlink())
                if any(str(folder) in where for folder in folders):
                    total += work_of(int(each.name))
            except OSError:
                continue
    return total


def spread(runs: Sequence[int], count: int) -> list[int]:
    """The runs in turn, as many as ``count``."""
    return [runs[number % len(runs)] for number in range(count)]


def _quiet(process: int) -> None:
    """Until the server has handed out the work of the planned runs, and waits."""
    for _ in range(120):
        before = work_of(process)
        time.sleep(1.0)
        if work_of(process) - before < 0.05:
            return


def measure(url: str, folder: Path, options: argparse.Namespace, where: Sequence[str], beside: Sequence[Path]) -> str:
    """One measurement on an empty database; ``beside``: where the processes of the database are."""
    server = Server(folder)
    server.start("--no-worker", *where)
    server.stop()
    engine = connect(url)
    world = World(folder, engine)
    world.clock.time = time.time()
    world.project()
    said = planned(world, options.results, options.each)
    server.start("--no-worker", *where)
    try:
        nats = server.data / "nats"
        port = (nats / "port").read_text().strip()
        address = Address(
            f"nats://127.0.0.1:{port}", user="local", password=(nats / "keys" / "local").read_text().strip()
        )
        token = server.cli("token", "create", "--project", "shop").strip()
        runs = sorted({run for run, _, _ in said})
        pages = Pages(server.port, "/runs/{}/live", {"Cookie": signed_in(server)}, spread(runs, options.pages))
        bearer = {"Authorization": f"Bearer {token}"}
        followers = Pages(server.port, "/resit/v1/runs/{}/events", bearer, spread(runs, options.followers))
        _quiet(server.pid)
        process = server.pid
        all_work, told_work = work_under([folder, *beside]), time.process_time()
        work, began = work_of(process), time.perf_counter()
        asyncio.run(tell(address, said))
        told = time.perf_counter() - began
        count = select(func.count()).select_from(tables.ledger).where(tables.ledger.c.outcome.is_not(None))
        have = 0
        while have < options.results and time.perf_counter() - began < LIMIT_SECONDS:
            time.sleep(0.1)
            with transaction(engine, write=False) as db:
                have = db.execute(count).scalar_one()
        took, work = time.perf_counter() - began, work_of(process) - work
        others = work_under([folder, *beside]) - all_work - work
        told_work = time.process_time() - told_work
    finally:
        server.stop()
        engine.dispose()
    return (
        f"{engine.dialect.name}, {options.each} results a report, {options.pages} pages, "
        f"{options.followers} followers: {have} of {options.results} results in {took:.1f} s (told in {told:.1f} s), "
        f"{have / took:.0f} a second; "
        f"work in µs a result: server {work / have * 1e6:.0f}, broker and database {others / have * 1e6:.0f}, "
        f"this program {told_work / have * 1e6:.0f}; heard: pages {pages.heard}, followers {followers.heard}; "
        f"load {os.getloadavg()[0]:.1f}"
    )


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=60_000)
    parser.add_argument("--each", type=int, default=25)
    parser.add_argument("--pages", type=int, default=4)
    parser.add_argument("--followers", type=int, default=0)
    parser.add_argument("--postgres", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="resit-bench-")))
        url, where = f"sqlite:///{folder / 'data' / 'resit.db'}", tuple[str, ...]()
        beside = tuple[Path, ...]()
        if options.postgres:
            postgres = stack.enter_context(PostgresServer(careful=True))
            url, beside = postgres.create("ingest"), (postgres.folder,)
            where = ("--database-url", url)
        print(measure(url, folder, options, where, beside), flush=True)


if __name__ == "__main__":
    main()
