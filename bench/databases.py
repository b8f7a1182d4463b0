"""The core on both databases, without broker and HTTP: ``python bench/databases.py [--tests N] [--results N]``.

Prints seconds on the clock, and of this process's own work, for what writes most: planning a large run, and taking its
results, each in a report of its own, 256 reports a transaction as the intake does it. Each commit is on the disk.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from resit.domain import wire
from resit.ports.insights import Window
from resit.ports.reads import LedgerFilter
from resit.services.ingest import Told
from resit.storage.connect import connect
from resit.storage.migrate import upgrade
from resit.testing import factories
from resit.testing.postgres import PostgresServer
from resit.testing.world import World


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long the block takes."""
    wall, own = time.perf_counter(), time.process_time()
    yield
    print(f"  {what:44} {time.perf_counter() - wall:7.2f} s  {time.process_time() - own:7.2f} s")


def measure(engine: Engine, folder: Path, tests: int, results: int) -> None:
    """All of it, over an empty database."""
    world = World(folder, engine)
    world.project()
    suite = [
        factories.planned(f"tests/test_{n // 50}.py::test_{n}", file=f"tests/test_{n // 50}.py") for n in range(tests)
    ]
    run = world.trigger()
    with timed(f"planning {tests} tests, never seen"):
        run = world.plan(run, suite, claim="first")
    with timed(f"planning {tests} tests, known"):
        world.plan(world.trigger(), suite, claim="second")
    with world.store.read() as tx:
        batches = [state.number for state in tx.batches.open(run.id)]
        of = {test.id: number for number in batches for test in tx.ledger.tests_of_batch(run.id, number)}
    named = list(of)
    reports: list[Told] = []
    for test in named[:results]:
        voice = world.voice(run, of[test], claim=f"{run.id}/{of[test]}")
        events = [wire.to_wire(event) for event in (factories.started(test), factories.result(test))]
        reports.append(Told(json.dumps({**voice, "what": "batch.events", "events": events}).encode()))
    with timed(f"ingest of {results} results, one a report"):
        for start in range(0, len(reports), 256):
            world.ingest.take(reports[start : start + 256])
    with timed("one report of one result, 200 times"):
        for test in named[results : results + 200]:
            voice = world.voice(run, of[test], claim=f"{run.id}/{of[test]}")
            world.report({**voice, "what": "batch.events", "events": [wire.to_wire(factories.result(test))]})
    with timed("requesting 200 runs"):
        for _ in range(200):
            world.trigger()
    with timed("200 pages of the ledger"):
        for _ in range(200):
            world.reads.ledger(run.id, LedgerFilter(), 100)
    with timed("insights of the project, 20 times"):
        for _ in range(20):
            world.insights.metrics(Window(project_id=1, start=0, end=2e10))
    with timed("cancelling the run"):
        world.runs.cancel(factories.ADMIN, run.id)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=20_000)
    parser.add_argument("--results", type=int, default=5_000)
    options = parser.parse_args()
    makers: dict[str, Callable[[Path], Engine]] = {"SQLite": lambda folder: connect(f"sqlite:///{folder / 'resit.db'}")}
    with PostgresServer(careful=True) as server:
        makers["PostgreSQL"] = lambda _: connect(server.url())
        for name, make in makers.items():
            with tempfile.TemporaryDirectory() as folder:
                print(f"{name:46} {'clock':>7}    {'own':>7}")
                engine = make(Path(folder))
                upgrade(engine)
                measure(engine, Path(folder), options.tests, options.results)
                engine.dispose()


if __name__ == "__main__":
    main()
