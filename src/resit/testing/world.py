"""The whole core over a real database, without broker and worker: time is turned and workers speak by hand.

``World`` plays the parts that a test is not about: :meth:`World.plan` is a worker that lists a suite,
:meth:`World.carry_out` one that runs all batches, :meth:`World.settle` the dispatch of the outbox.
"""

import json
from asyncio import Event
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Engine, event

from resit import __version__
from resit.bootstrap.observe import watching
from resit.bootstrap.planes import SoleDuties
from resit.config import Settings
from resit.control.context import Services, Watching
from resit.control.signals import Signals
from resit.domain import wire
from resit.domain.events import TestEvent
from resit.domain.passwords import Strength
from resit.domain.plan import PlannedTest
from resit.domain.project import Environment, Project
from resit.domain.run import PlanFacts, Run
from resit.integrations.cron import CronTimes
from resit.integrations.files import FolderArtifacts
from resit.integrations.keys import KeySigner
from resit.integrations.metrics import Metrics
from resit.ports import Outgoing, Plane
from resit.ports.reads import LedgerFilter, RunFilter
from resit.services.access import Access
from resit.services.cases import Cases
from resit.services.catalog import Catalog
from resit.services.fleet import Fleet
from resit.services.html_reports import HtmlReports
from resit.services.ingest import Ingest, Told
from resit.services.people import Organizations, People
from resit.services.planning import Planner
from resit.services.queue import Queue
from resit.services.recovery import Recovery
from resit.services.requests import Request
from resit.services.resources import Resources
from resit.services.retention import Retention
from resit.services.run_reports import RunReports
from resit.services.runs import Runs
from resit.services.schedules import Schedules
from resit.services.sessions import Sessions
from resit.services.snoozes import Snoozes
from resit.services.test_plans import TestPlans
from resit.services.webhooks import Webhooks
from resit.services.work import Work
from resit.storage import tables
from resit.storage.connect import connect, transaction
from resit.storage.insights import SqlInsights
from resit.storage.migrate import upgrade
from resit.storage.rates import SqliteRates
from resit.storage.reads import SqlReads
from resit.storage.retention import SqlRetention
from resit.storage.unit_of_work import SqlStore
from resit.testing import factories
from resit.testing.factories import ADMIN, FakeClock, FakeIds
from resit.testing.postgres import PostgresServer

ALL = 1_000_000


class StillSignals:
    """In place of a control plane's signals: remembers what was told."""

    def __init__(self) -> None:
        self.closing = False
        self.told = 0
        self.runs: list[int] = []

    def outbox(self) -> None:
        """There may be something to send."""
        self.told += 1

    def changed(self, runs: Iterable[int]) -> None:
        """These runs have changed."""
        self.runs.extend(runs)

    def watch(self, run: int) -> Event:
        """An event that nobody sets."""
        del run
        return Event()

    def unwatch(self, run: int, event: Event) -> None:
        """No longer wait."""


def database(folder: Path) -> Engine:
    """An empty database of the newest schema."""
    engine = connect(f"sqlite:///{folder / 'resit.db'}")

    def prepare(connection: Any, _: object) -> None:
        # What a test has written need not outlive the machine.
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(engine, "connect", prepare)
    upgrade(engine)
    return engine


def postgresql(server: PostgresServer, name: str) -> Engine:
    """An empty database of the newest schema on a PostgreSQL server."""
    engine = connect(server.create(name))
    upgrade(engine)
    return engine


def empty(engine: Engine) -> None:
    """Forget everything that a database holds: cheaper than another one, whose statements would be compiled anew."""
    names = [f'"{table.name}"' for table in reversed(tables.metadata.sorted_tables)]
    statements = [f"DELETE FROM {name}" for name in names]  # noqa: S608 - names of our tables
    with transaction(engine, write=True) as connection:
        if engine.dialect.name == "postgresql":
            # In one journey; to truncate costs the server thirty times as much.
            numbers = "SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S'"
            connection.exec_driver_sql("; ".join([*statements, numbers]))
            return
        for statement in [*statements, "DELETE FROM sqlite_sequence"]:
            connection.exec_driver_sql(statement)


class World:
    """See the module."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.folder, self.engine = folder, engine
        self.clock, self.ids, self.signals = FakeClock(), FakeIds(), StillSignals()
        self.signer = KeySigner(b"k" * 32)
        self.store, self.reads = SqlStore(self.engine), SqlReads(self.engine)
        self.runs = Runs(self.store, self.clock, self.ids)
        self.access = Access(self.store, self.clock, self.ids)
        self.sessions = Sessions(self.store, self.clock, self.ids, self.access, Strength(n=16, rounds=1))
        self.cron = CronTimes()
        self.catalog = Catalog(self.store, self.clock, self.ids, self.signer, ["pytest", "playwright"], self.cron)
        self.queue = Queue(self.store, self.clock, self.ids)
        self.schedules = Schedules(self.store, self.clock, self.runs, self.cron)
        self.work = Work(self.store, self.clock, self.signer)
        self.fleet = Fleet(self.store, self.clock, self.ids)
        self.ingest = Ingest(self.store, self.clock, max_log=10_000)
        self.planner = Planner(self.store, self.clock)
        self.recovery = Recovery(self.store, self.clock)
        self.people = People(self.store, self.clock, self.ids, Strength(n=16, rounds=1))
        self.organizations = Organizations(self.store, self.clock)
        self.cases = Cases(self.store, self.clock, self.ids)
        self.snoozes = Snoozes(self.store, self.clock)
        self.test_plans = TestPlans(self.store, self.clock)
        self.resources = Resources(self.store, self.clock, self.signer)
        self.webhooks = Webhooks(self.store, self.clock, self.ids, self.signer)
        self.insights = SqlInsights(self.engine)
        self.rates = SqliteRates(folder / "rates.db")
        self.metrics = Metrics()
        self.artifacts = FolderArtifacts(folder / "artifacts")
        self.retention = Retention(self.store, SqlRetention(engine), self.artifacts, self.clock, self.ids)
        self.html = HtmlReports(self.store, self.clock, self.signer)
        self.reports = RunReports(self.reads, self.artifacts, self.clock)

    def services(self, **settings: Any) -> Services:
        """What an application is made of."""
        return Services(
            settings=Settings(data=self.folder, **settings),
            access=self.access,
            catalog=self.catalog,
            runs=self.runs,
            queue=self.queue,
            schedules=self.schedules,
            sessions=self.sessions,
            work=self.work,
            fleet=self.fleet,
            people=self.people,
            organizations=self.organizations,
            cases=self.cases,
            snoozes=self.snoozes,
            test_plans=self.test_plans,
            resources=self.resources,
            retention=self.retention,
            webhooks=self.webhooks,
            reads=self.reads,
            reports=self.reports,
            html=self.html,
            insights=self.insights,
            rates=self.rates,
            clock=self.clock,
            signer=self.signer,
            store=self.store,
            artifacts=self.artifacts,
            ids=self.ids,
            signals=lambda: cast("Signals", self.signals),
            url="http://resit.test",
            watching=self.watching(),
            telemetry=self.metrics,
        )

    def watching(self) -> Watching:
        """What those get at who watch a server: one that has no broker."""
        return watching(
            Settings(data=self.folder),
            self.engine,
            store=self.store,
            clock=self.clock,
            duties=SoleDuties(Plane(name="here", version=__version__)),
            artifacts=self.artifacts,
            metrics=self.metrics,
            broker=lambda: None,
            draining=lambda: self.signals.closing,
        )

    # ------------------------------------------------------------ what there is

    def project(self, slug: str = "shop", **members: Any) -> Project:
        """A project whose source is this folder."""
        values: dict[str, Any] = {"slug": slug, "source": str(self.folder), "executor": "pytest", **members}
        return self.catalog.add_project(ADMIN, **values)

    def environment(self, project: str = "shop", slug: str = "staging", **members: Any) -> Environment:
        """An environment of a project."""
        values: dict[str, Any] = {"variables": {}, "secrets": {}, **members}
        return self.catalog.add_environment(ADMIN, project, slug=slug, **values)

    def run(self, id: int) -> Run:
        """A run as it stands."""
        with self.store.read() as tx:
            found = tx.runs.get(id)
        if found is None:
            raise LookupError(id)
        return found

    # ------------------------------------------------------------ what happens

    def trigger(self, project: str = "shop", **request: Any) -> Run:
        """A run, requested."""
        return self.runs.trigger(ADMIN, project, Request(**request))[0]

    def settle(self) -> list[Outgoing]:
        """Do what the outbox says as far as no broker is needed, and give back what it held."""
        found: list[Outgoing] = []
        while True:
            with self.store.write() as tx:
                messages = tx.outbox.pending(1000)
                tx.outbox.sent([message.id for message in messages])
            if not messages:
                return found
            found.extend(messages)
            for message in messages:
                if message.kind == "expand":
                    self.planner.expand(message.run_id)

    def report(self, *reports: Mapping[str, Any]) -> list[str]:
        """Reports of workers; gives back why some were dropped."""
        return self.ingest.take([Told(json.dumps(report).encode()) for report in reports]).dropped

    def plan(
        self, run: Run, tests: Sequence[PlannedTest], claim: str = "planner", *, key: str = "", **facts: Any
    ) -> Run:
        """A worker lists the suite. ``key``: under which the listing is used again."""
        self.settle()
        said = {"run": run.id, "claim": claim}
        words: dict[str, Any] = {"framework": "pytest 9", **facts}
        found = asdict(PlanFacts(**words))
        self.report(
            {**said, "what": "plan.started"},
            {**said, "what": "plan.tests", "number": 0, "tests": [wire.test_to_wire(test) for test in tests]},
            {**said, "what": "plan.ended", "parts": 1, "facts": found, "commit": "c0ffee", "key": key},
        )
        return self.run(run.id)

    def planned(self, *tests: str, **request: Any) -> Run:
        """A run of tests that has its plan, in one batch."""
        return self.plan(self.trigger(**request), [factories.planned(test) for test in tests])

    def carry_out(self, run: Run, said: Mapping[str, Sequence[TestEvent]] | None = None, **ended: Any) -> Run:
        """A worker runs every open batch; tests that ``said`` does not name pass."""
        self.settle()
        with self.store.read() as tx:
            batches = {
                state.number: tx.ledger.tests_of_batch(run.id, state.number) for state in tx.batches.open(run.id)
            }
        for number, tests in batches.items():
            voice = self.voice(run, number, claim=f"{run.id}/{number}")
            events = [e for test in tests for e in (said or {}).get(test.id, [factories.result(test.id)])]
            self.report(
                {**voice, "what": "batch.started"},
                {**voice, "what": "batch.events", "events": [wire.to_wire(event) for event in events]},
                {**voice, "what": "batch.ended", **ended},
            )
        self.settle()
        return self.run(run.id)

    def voice(self, run: Run, batch: int = 1, claim: str = "claim", worker: str = "w1") -> dict[str, Any]:
        """The members that every report about a batch has."""
        return {"run": run.id, "claim": claim, "batch": batch, "worker": worker, "shard": 1}

    # ------------------------------------------------------------ what can be seen

    def outcomes(self, run: Run) -> dict[str, str | None]:
        """How each test of a run stands."""
        return {test: outcome for test, (outcome, _, _) in self.reads.outcomes([run.id])[0].items()}

    def dump(self, run: Run) -> str:
        """Everything that any read tells of a run, to compare byte for byte. Its lineage and test cases are no part."""
        reads, id = self.reads, run.id
        rows = reads.ledger(id, LedgerFilter(), ALL).items
        parts = [
            reads.run(id),
            reads.run_seq(id),
            [view for view in reads.runs(RunFilter(), ALL).items if view.run.id == id],
            rows,
            reads.results(id, [item.row.ordinal for item in rows][:30_000]),
            reads.outcomes([id]),
            reads.artifacts(id, "", ALL).items,
            [(part, reads.log(id, part.shard, 0, ALL)) for part in reads.logs(id)],
        ]
        return "\n".join(repr(part) for part in parts)
