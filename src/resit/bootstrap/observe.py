"""Those who watch a control plane, joined: metrics, health, the doctor, traces."""

import logging
import platform
import shutil
from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from resit import __version__
from resit.bootstrap.machine import machine
from resit.config import Settings
from resit.control.context import Watching
from resit.control.health import Check, Health, NotWell
from resit.control.watch import Sample, Watch
from resit.integrations.metrics import Metrics
from resit.ports import Artifacts, Clock, ControlBroker, Duties, Store
from resit.ports.telemetry import Gauge, Tracer
from resit.services.doctor import Doctor
from resit.storage.migrate import current, newest
from resit.storage.standing import SqlStandings
from resit.storage.symptoms import SqlSymptoms

log = logging.getLogger(__name__)


def watching(
    settings: Settings,
    engine: Engine,
    *,
    store: Store,
    clock: Clock,
    duties: Duties,
    artifacts: Artifacts,
    metrics: Metrics,
    broker: Callable[[], ControlBroker | None],
    draining: Callable[[], bool],
) -> Watching:
    """What the routes for watchers get at. ``broker`` gives None while the control plane does not run."""
    standings = SqlStandings(engine)

    def disk_free() -> int:
        return shutil.disk_usage(settings.data).free

    def database() -> None:
        if (at := current(engine)) != newest():
            raise NotWell(f"the database is at version {at}, this Resit needs {newest()}")

    def connected() -> None:
        found = broker()
        if found is None or not found.connected:
            raise NotWell("no connection to the broker")

    def room() -> None:
        if (free := disk_free()) < settings.min_free:
            raise NotWell(f"{free} bytes are free in {settings.data}")

    checks = {
        "database": Check(database, "the database does not answer, or is not at the version that is needed"),
        "broker": Check(connected, "there is no connection to the broker"),
        "artifacts": Check(artifacts.check, "the store of artifacts does not answer"),
        "disk": Check(room, "there is too little room where the data folder is"),
    }
    build = (Gauge.BUILD, (__version__, platform.python_version(), standings.kind), 1.0)

    def page(samples: Sequence[Sample], accept: str) -> tuple[bytes, str]:
        return metrics.page([build, *samples], accept)

    return Watching(
        health=Health(checks, draining),
        watch=Watch(standings, clock, duties, broker, disk_free),
        doctor=Doctor(store, clock, SqlSymptoms(engine), artifacts, lambda: machine(settings), __version__),
        page=page,
        version=__version__,
    )


def tracer(settings: Settings, plane: str) -> Tracer | None:
    """Who is handed the traces of runs; None when nobody wants them, or the packages for it are not installed."""
    if not settings.traces:
        return None
    try:
        # Nobody pays for what nobody asked for.
        from resit.integrations.traces import OtlpTracer
    except ImportError as error:
        log.warning("traces are wanted, and can't be sent: %s; install resit[otel]", error)
        return None
    return OtlpTracer(plane)
