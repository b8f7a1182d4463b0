"""How long requests take with a million results stored (``bench/scale.py [--results N] [--postgres] [--data DIR]``).

Fills a database with runs of 50,000 tests and with many small ones (copies of two that the core itself made), starts a
server on it without a worker, and asks one client's questions one after the other. Prints the median and the 99th
percentile of each. ``--data`` keeps the filled folder for the next time (SQLite).
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from api import Server, ask, signed_in
from sqlalchemy import Connection, Engine, func, insert, literal, select

from resit.domain.events import TestEvent
from resit.domain.status import ResultStatus
from resit.storage import tables
from resit.storage.connect import connect, transaction
from resit.testing import factories
from resit.testing.postgres import PostgresServer
from resit.testing.world import World

LARGE, SMALL, SMALL_RUNS = 50_000, 10, 5_000
PARTS = (tables.ledger, tables.results, tables.batches)
QUESTIONS = (
    ("GET", "/resit/v1/runs/{large}", ""),
    ("GET", "/resit/v1/runs?limit=50", ""),
    ("GET", "/resit/v1/runs?project=shop&verdict=failed&limit=50", ""),
    ("GET", "/resit/v1/runs?project=shop&branch=feature&limit=50", ""),
    ("GET", "/resit/v1/runs/{large}/tests?limit=100", ""),
    ("GET", "/resit/v1/runs/{large}/tests?outcome=failed&limit=100", ""),
    ("GET", "/resit/v1/projects/shop/test-cases?limit=100", ""),
    ("GET", "/api/v1/runs?limit=50", ""),
    ("GET", "/api/v1/runs/{large}/summary", ""),
    ("GET", "/v1/run/{short}", ""),
    ("POST", "/resit/v1/projects/shop/runs", "{}"),
    ("POST", "/resit/v1/runs/{small}/rerun", '{"selection":"failed"}'),
    ("POST", "/resit/v1/runs/{large}/rerun", '{"selection":"failed"}'),
    ("POST", "/resit/v1/runs/{large}/rerun", "{}"),
)
"""What a client asks for; first what only reads, as the server plans what is asked for afterwards."""
PAGES = (
    "/runs", "/runs?project=shop", "/runs?project=shop&verdict=failed", "/runs?q=nothing+is+called+so", "/runs/{large}",
    "/runs/{large}/cells", "/runs/{large}/tests", "/runs/{large}/tests?state=red", "/runs/{large}/timeline",
    "/projects/shop/tests", "/compare?a={large}&b={large}",
)  # fmt: skip
"""What a browser asks for."""


def finished(world: World, tests: int, claim: str, failing: int) -> int:
    """A run that the core has made and carried out; one in ``failing`` tests failed."""
    names = [f"tests/test_{n // 50}.py::test_{n}" for n in range(tests)]
    run = world.plan(
        world.trigger(branch="feature" if failing > 10 else ""), list(map(factories.planned, names)), claim
    )
    said: dict[str, Sequence[TestEvent]] = {
        name: [factories.result(name, status=ResultStatus.FAILED)] for name in names[::failing]
    }
    return world.carry_out(run, said).id


def copied(db: Connection, run: int, times: int) -> None:
    """More runs like one that is there."""
    runs = tables.runs
    last = db.execute(select(func.max(runs.c.id))).scalar_one()
    columns = [column for column in runs.c if column.name not in ("id", "uuid")]
    names = ["id", "uuid", *(column.name for column in columns)]
    for new in range(last + 1, last + 1 + times):
        row = select(literal(new), literal(f"00000000-0000-4000-8000-{new:012d}"), *columns).where(runs.c.id == run)
        db.execute(insert(runs).from_select(names, row))
        for table in PARTS:
            rest = [column for column in table.c if column.name != "run_id"]
            rows = select(literal(new), *rest).where(table.c.run_id == run)
            db.execute(insert(table).from_select(["run_id", *(column.name for column in rest)], rows))


def fill(engine: Engine, folder: Path, results: int) -> tuple[int, int]:
    """The database; the numbers of a large and a small run."""
    began = time.perf_counter()
    world = World(folder, engine)
    world.project()
    small, large = finished(world, SMALL, "small", 5), finished(world, LARGE, "large", 1000)
    with transaction(engine, write=True) as db:
        copied(db, small, SMALL_RUNS)
        copied(db, large, max(0, results // LARGE - 1))
        count = db.execute(select(func.count()).select_from(tables.results)).scalar_one()
        if engine.dialect.name == "postgresql":
            db.exec_driver_sql("SELECT setval('runs_id_seq', (SELECT max(id) FROM runs))")
            db.exec_driver_sql("ANALYZE")  # as its autovacuum does within a minute
    print(f"{count:,} results of {SMALL_RUNS + results // LARGE:,} runs, made in {time.perf_counter() - began:.0f} s")
    return large, small


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = options.data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="resit-bench-")))
        where: tuple[str, ...] = ()
        url = f"sqlite:///{folder / 'data' / 'resit.db'}"
        if options.postgres:
            url = stack.enter_context(PostgresServer(careful=True)).url()
            where = ("--database-url", url)
        server = Server(folder)
        stack.callback(server.stop)
        server.start("--no-worker", *where)
        server.stop()
        engine = connect(url)
        with transaction(engine, write=False) as db:
            known = db.execute(select(func.min(tables.runs.c.id), func.max(tables.runs.c.id))).one()
        small, large = known[0], 2
        if known[0] is None:
            large, small = fill(engine, folder, options.results)
        engine.dispose()
        server.start("--no-worker", *where)
        token = server.cli("token", "create", "--project", "shop").strip()
        short = server.cli("show", str(small), "--json").partition('"short_id": "')[2].partition('"')[0]
        cookie = signed_in(server)
        for path in PAGES:
            few = max(options.requests // 4, 1)
            print(ask(server.port, "", "GET", path.format(large=large), "", few, 1, cookie), flush=True)
        for method, template, body in QUESTIONS:
            path = template.format(large=large, small=small, short=short)
            few = options.requests if body != "{}" or "rerun" not in path else 20
            print(ask(server.port, token, method, path, body, few, 1), flush=True)


if __name__ == "__main__":
    main()
