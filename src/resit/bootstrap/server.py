"""A control plane: database, services, bundled broker and loops, joined."""

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from resit.bootstrap.broker import brokered
from resit.bootstrap.observe import tracer, watching
from resit.bootstrap.planes import duties_of, this_plane
from resit.bootstrap.tls import workers_address
from resit.broker.address import Address
from resit.config import Settings
from resit.control.answers import answer
from resit.control.context import Services
from resit.control.dispatch import Dispatch
from resit.control.intake import Intake
from resit.control.notifier import Notifying
from resit.control.peers import Peers
from resit.control.reconciler import Reconciler
from resit.control.retention import Tidying
from resit.control.scheduler import Scheduler
from resit.control.signals import Signals
from resit.control.steward import Steward
from resit.control.storyteller import Storyteller
from resit.domain.access import Principal, Scope
from resit.domain.errors import Suspended, Unauthenticated, Unavailable
from resit.integrations.cron import CronTimes
from resit.integrations.keys import KeySigner, load_key
from resit.integrations.metrics import Metrics
from resit.integrations.places import open_artifacts
from resit.integrations.webhooks import HttpNotifier
from resit.integrations.world import SystemClock, SystemIds
from resit.ports import Artifacts, ControlBroker, Duties
from resit.ports.telemetry import Telemetry, Tracer
from resit.services.access import Access
from resit.services.cases import Cases
from resit.services.catalog import Catalog
from resit.services.fleet import Fleet
from resit.services.html_reports import HtmlReports
from resit.services.ingest import Ingest
from resit.services.notices import Notices
from resit.services.people import Organizations, People
from resit.services.planning import Planner
from resit.services.queue import Queue
from resit.services.recovery import Recovery
from resit.services.resources import Resources
from resit.services.retention import Retention
from resit.services.run_reports import RunReports
from resit.services.runs import Runs
from resit.services.schedules import Schedules
from resit.services.sessions import Sessions
from resit.services.snoozes import Snoozes
from resit.services.test_plans import TestPlans
from resit.services.webhooks import Webhooks
from resit.services.work import UPLOAD_PATH, Work
from resit.storage.connect import connect
from resit.storage.insights import SqlInsights
from resit.storage.migrate import upgrade
from resit.storage.rates import SqliteRates
from resit.storage.reads import SqlReads
from resit.storage.retention import SqlRetention
from resit.storage.shared_rates import SqlRates
from resit.storage.stories import SqlStories
from resit.storage.unit_of_work import SqlStore

log = logging.getLogger(__name__)
INGEST_AT_ONCE = 3
"""Transactions of reports at once on PostgreSQL; SQLite has one writer."""


def executor_names() -> list[str]:
    """The executors that are installed; nothing of them is imported."""
    return [point.name for point in entry_points(group="resit.executors")]


@dataclass(slots=True)
class Server:
    """The parts of a control plane, joined."""

    settings: Settings
    services: Services
    store: SqlStore
    work: Work
    planner: Planner
    ingest: Ingest
    clock: SystemClock
    url: str
    """Where the server itself listens; users may reach it under another (``services.url``)."""
    duties: Duties
    telemetry: Telemetry
    tracer: Tracer | None
    """Who takes the traces of runs."""
    broker: ControlBroker | None = None
    """None while the control plane does not run."""
    signals: Signals | None = None

    def told(self) -> Signals:
        """The signals of the running control plane."""
        if self.signals is None:
            raise RuntimeError("the control plane is not running")
        return self.signals


def build(settings: Settings) -> Server:
    """Open the database (made or upgraded when needed) and join services over it."""
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = connect(settings.database_url)
    upgrade(engine)
    clock, ids = SystemClock(), SystemIds()
    key = load_key(settings.secret_key or settings.data / "secret.key")
    signer = KeySigner(key)
    metrics = Metrics()
    store, reads, cron = SqlStore(engine, metrics), SqlReads(engine), CronTimes()
    runs = Runs(store, clock, ids)
    work = Work(store, clock, signer)
    artifacts = _artifacts(settings)
    own = f"{'https' if settings.https else 'http'}://{_reachable(settings.host)}:{settings.port}"
    html = HtmlReports(store, clock, signer)
    work.upload_url = html.upload_url = own + UPLOAD_PATH
    url = settings.url.rstrip("/") or own
    plane = this_plane(settings, url, key)
    duties = duties_of(settings, engine, plane)
    traces = tracer(settings, plane.name)
    work.traced = traces is not None
    services = Services(
        settings=settings,
        access=Access(store, clock, ids),
        catalog=Catalog(store, clock, ids, signer, executor_names(), cron),
        runs=runs,
        queue=Queue(store, clock, ids),
        schedules=Schedules(store, clock, runs, cron),
        sessions=Sessions(store, clock, ids, Access(store, clock, ids)),
        work=work,
        fleet=Fleet(store, clock, ids),
        people=People(store, clock, ids),
        organizations=Organizations(store, clock),
        cases=Cases(store, clock, ids),
        snoozes=Snoozes(store, clock),
        test_plans=TestPlans(store, clock),
        resources=Resources(store, clock, signer),
        retention=Retention(store, SqlRetention(engine), artifacts, clock, ids, metrics),
        webhooks=Webhooks(store, clock, ids, signer),
        reads=reads,
        reports=RunReports(reads, artifacts, clock),
        html=html,
        insights=SqlInsights(engine),
        rates=SqlRates(engine) if settings.database else SqliteRates(settings.data / "rates.db"),
        clock=clock,
        signer=signer,
        store=store,
        artifacts=artifacts,
        ids=ids,
        signals=lambda: server.told(),  # noqa: PLW0108 - the server is made below
        url=url,
        telemetry=metrics,
        watching=watching(
            settings,
            engine,
            store=store,
            clock=clock,
            duties=duties,
            artifacts=artifacts,
            metrics=metrics,
            broker=lambda: server.broker,
            draining=lambda: server.signals is None or server.signals.closing,
        ),
    )
    server = Server(
        settings=settings,
        services=services,
        store=store,
        work=work,
        planner=Planner(store, clock),
        ingest=Ingest(store, clock, settings.max_log),
        clock=clock,
        url=own,
        duties=duties,
        telemetry=metrics,
        tracer=traces,
    )
    return server


def _artifacts(settings: Settings) -> Artifacts:
    """The store of artifacts. One that refuses us is told at once; one that is away may come back."""
    artifacts = open_artifacts(settings.artifacts_url, settings.artifacts)
    try:
        artifacts.check(write=True)
    except Unavailable as away:
        log.warning("no artifact can be stored yet: %s", away)
    return artifacts


def _reachable(host: str) -> str:
    """A host name under which this machine reaches a server that listens on ``host``."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def admin_token(server: Server) -> bool:
    """Have the data folder's ``admin-token`` hold a secret (mode 0600) that is valid; True when it is a new one."""
    path = server.settings.data / "admin-token"
    access = server.services.access
    try:
        if Scope.ADMIN in access.authenticate(path.read_text().strip()).scopes:
            return False
    except (FileNotFoundError, Unauthenticated, Suspended):
        pass
    operator = Principal("operator", None, frozenset({Scope.ADMIN}))
    _, secret = access.create_token(operator, project=None, scopes=[Scope.ADMIN.value], name="operator")
    write_private(path, secret + "\n")
    return True


def first_link(server: Server) -> str:
    """Where the operator signs in to the page for the first time."""
    operator = Principal("operator", None, frozenset({Scope.ADMIN}))
    return f"{server.url.rstrip('/')}/link/{server.services.sessions.link(operator)}"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads; it appears whole."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    part.replace(path)


@asynccontextmanager
async def running(server: Server) -> AsyncGenerator[Address]:
    """The control plane at work: broker, loops, answers. Yields what the worker beside it presents to the broker."""
    async with AsyncExitStack() as stack:
        found = await stack.enter_async_context(brokered(server.settings, server.services.fleet))
        server.broker = broker = found.control
        server.signals = signals = Signals()
        telemetry = server.telemetry
        together = INGEST_AT_ONCE if server.settings.database else 1
        intake = Intake(broker, server.ingest, signals, telemetry, side_by_side=together)
        await answer(broker, server.work, server.services.html, signals, lambda: intake.behind)
        fleet = server.services.fleet
        fleet.address = workers_address(server.settings, found.workers_url, found.ca_pem)
        stack.callback(setattr, fleet, "address", None)
        notifier = HttpNotifier(allow_private=server.settings.allow_private_webhooks)
        stack.push_async_callback(notifier.close)
        notices = Notices(server.store, server.clock, server.services.signer)
        steward, stories = Steward(server.duties), SqlStories(server.store.engine)
        if server.tracer is not None:
            stack.callback(server.tracer.close)
        recovery = Recovery(server.store, server.clock)
        loops: list[Any] = [
            steward.run(),
            intake.run(),
            # One control plane at a time does what is below.
            steward.keep(Dispatch(server.store, broker, signals, server.planner, telemetry).run),
            steward.keep(Reconciler(recovery, broker, signals, telemetry, server.services.html).run),
            steward.keep(Notifying(notices, notifier, signals, telemetry).run),
            steward.keep(Storyteller(stories, server.clock, telemetry, server.tracer, signals).run),
            steward.keep(Tidying(server.services.retention, telemetry).run),
            steward.keep(Scheduler(server.services.schedules, server.services.queue, signals, telemetry).run),
        ]
        if server.settings.database:
            loops.append(Peers(broker, signals).run())
        tasks = [asyncio.create_task(loop) for loop in loops]

        async def end() -> None:
            left = set(tasks)
            while left:  # wait_for of Python 3.11, which the NATS client uses, can swallow a cancellation
                for task in left:
                    task.cancel()
                _, left = await asyncio.wait(left, timeout=1)

        stack.push_async_callback(end)
        yield found.local
