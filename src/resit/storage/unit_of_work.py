"""The transaction that services work in, over SQLAlchemy Core."""

import time
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from resit.ports.telemetry import SILENT, Measured, Telemetry
from resit.storage import tables
from resit.storage.cases import Cases
from resit.storage.catalog import Projects, Tokens
from resit.storage.connect import transaction
from resit.storage.execution import Batches, Messages, Results
from resit.storage.fleet import Pools, WorkerCredentials, Workers
from resit.storage.ledger import Ledger
from resit.storage.listings import Listings
from resit.storage.reports import Reports
from resit.storage.runs import Runs
from resit.storage.schedules import Schedules
from resit.storage.shelf import OrganizationRow, Shelf, Snoozes, Users, Webhooks, resource, test_plan
from resit.storage.voices import Voices


class SqlTransaction:
    """All stores on one connection; see ``resit.ports.Transaction``."""

    def __init__(self, connection: Connection) -> None:
        self.projects = Projects(connection)
        self.tokens = Tokens(connection)
        self.runs = Runs(connection)
        self.ledger = Ledger(connection)
        self.cases = Cases(connection)
        self.batches = Batches(connection)
        self.results = Results(connection)
        self.outbox = Messages(connection)
        self.workers = Workers(connection)
        self.pools = Pools(connection)
        self.worker_credentials = WorkerCredentials(connection)
        self.voices = Voices(connection)
        self.reports = Reports(connection)
        self.listings = Listings(connection)
        self.snoozes = Snoozes(connection)
        self.test_plans = Shelf(connection, tables.test_plans, test_plan)
        self.resources = Shelf(connection, tables.resources, resource)
        self.schedules = Schedules(connection)
        self.webhooks = Webhooks(connection)
        self.users = Users(connection)
        self.organization = OrganizationRow(connection)

    def write_out(self) -> None:
        """Write what stores have kept back to write it together."""
        self.ledger.write_out()
        self.results.write_out()


class SqlStore:
    """Where transactions begin; see ``resit.ports.Store``."""

    def __init__(self, engine: Engine, telemetry: Telemetry = SILENT) -> None:
        self.engine = engine
        self._telemetry = telemetry

    @contextmanager
    def write(self, *, lasting: bool = True, alone: bool = False) -> Generator[SqlTransaction]:
        """A transaction that may change things."""
        with self._measured("write"), transaction(self.engine, write=True, lasting=lasting, alone=alone) as connection:
            tx = SqlTransaction(connection)
            yield tx
            tx.write_out()

    @contextmanager
    def read(self) -> Generator[SqlTransaction]:
        """A transaction that only looks."""
        with self._measured("read"), transaction(self.engine, write=False) as connection:
            yield SqlTransaction(connection)

    @contextmanager
    def _measured(self, kind: str) -> Generator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self._telemetry.observe(Measured.TRANSACTION, time.perf_counter() - began, kind=kind)
