"""What every face of the server, API or page, gets at: its services and reads, made in ``resit.bootstrap``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from resit.config import Settings
from resit.control.health import Health
from resit.control.signals import Signals
from resit.control.watch import Sample, Watch
from resit.ports import Artifacts, Clock, Ids, Rates, Signer, Store
from resit.ports.insights import Insights
from resit.ports.reads import Reads
from resit.ports.telemetry import SILENT, Telemetry
from resit.services.access import Access
from resit.services.cases import Cases
from resit.services.catalog import Catalog
from resit.services.doctor import Doctor
from resit.services.fleet import Fleet
from resit.services.html_reports import HtmlReports
from resit.services.people import Organizations, People
from resit.services.queue import Queue
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """What those get at who watch the server. ``page``: metrics with these gauges, in a form that the reader takes."""

    health: Health
    watch: Watch
    doctor: Doctor
    page: Callable[[Sequence[Sample], str], tuple[bytes, str]]
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All that a face needs, made in ``resit.bootstrap``."""

    settings: Settings
    access: Access
    catalog: Catalog
    runs: Runs
    queue: Queue
    schedules: Schedules
    sessions: Sessions
    work: Work
    fleet: Fleet
    people: People
    organizations: Organizations
    cases: Cases
    snoozes: Snoozes
    test_plans: TestPlans
    resources: Resources
    retention: Retention
    webhooks: Webhooks
    reads: Reads
    reports: RunReports
    html: HtmlReports
    insights: Insights
    rates: Rates
    clock: Clock
    signer: Signer
    store: Store
    artifacts: Artifacts
    ids: Ids
    signals: Callable[[], Signals]
    url: str
    telemetry: Telemetry = SILENT
    watching: Watching | None = None
