"""A worker process: ``python -m resit.bootstrap.worker SETTINGS``, where SETTINGS is a file that only its owner reads.

Nothing secret stands on the command line. A worker whose server has vanished finishes what it has begun - results wait
in the broker or in memory - and takes nothing new; a new server starts a worker of its own.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from uuid import uuid4

from resit import __version__
from resit.bootstrap.handover import WorkerSettings
from resit.broker.worker import NatsWorkerBroker
from resit.integrations.trust import trusting
from resit.integrations.uploads import HttpUploads
from resit.plugin import Executor
from resit.ports import BrokerAway
from resit.processes import adopt, sweep
from resit.telemetry import logs
from resit.worker.agent import Agent
from resit.worker.lock import FileLock, try_lock
from resit.worker.report import Voices
from resit.worker.work import Tools, private_prefix
from resit.worker.workspace import Workspaces

log = logging.getLogger(__name__)
ORPHAN_SECONDS = 1.0
LOOK_SECONDS = 1.0
REFUSED_SECONDS = 8.0
"""How long the broker may refuse a worker until that is taken for its last word."""
LEAVING_SECONDS = 12.0
"""How long a worker that nobody hears any more takes to end its tests."""
BESIDE_A_SERVER = 5
"""How much nicer than the server its own worker and the tests are."""


class ShutOut(Exception):
    """The broker lets nobody in with this credential: it is unknown, revoked or expired."""

    def __init__(self) -> None:
        super().__init__("the broker does not let this worker in: its credential is unknown, revoked or expired")


def load_executors() -> Mapping[str, Executor]:
    """The executors that are installed."""
    return {point.name: point.load()() for point in entry_points(group="resit.executors")}


def _name(settings: WorkerSettings) -> str:
    """Host, chance, process: containers of one host may have the same process ids. It ends with the process id."""
    chance = "" if settings.parent else f"{uuid4().hex[:4]}-"
    return f"{socket.gethostname()[:60] or 'worker'}-{chance}{os.getpid()}"


def _clean_up_after_the_dead(folder: Path, name: str) -> FileLock:
    """End the test processes that a killed predecessor left behind, and remove its files; note that we run.

    The note is locked while we live: process ids alone don't tell the living of another container.
    """
    running = folder / "running"
    running.mkdir(parents=True, exist_ok=True)
    own = try_lock(running / name)
    if own is None:
        raise RuntimeError(f"another worker is called {name}")
    for note in running.iterdir():
        pid = note.name.rpartition("-")[2]
        if note.name == name or not pid.isdigit() or (int(pid) != os.getpid() and _alive(int(pid))):
            continue
        lock = try_lock(note)
        if lock is None:
            continue
        ended = sweep(note.name)
        if ended:
            log.warning("ended %s processes that worker %s had left behind", ended, note.name)
        shutil.rmtree(folder / "scratch" / note.name, ignore_errors=True)
        if int(pid) != os.getpid():
            for private in Path(tempfile.gettempdir()).glob(f"{private_prefix(int(pid))}*"):
                shutil.rmtree(private, ignore_errors=True)
        lock.free(forget=True)
    return own


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def work(settings: WorkerSettings) -> None:
    """Until SIGTERM, SIGINT, or the end of what was begun after the server vanished.

    Raises :class:`ShutOut` when the broker does not let this worker in, :class:`BrokerAway` when it can't be reached at
    the start.
    """
    folder, name = Path(settings.folder), _name(settings)
    start_logging(settings, name)
    if settings.parent:
        # The server that shares the machine answers first; the tests get all that it leaves, nearly everything.
        os.nice(BESIDE_A_SERVER)
    adopt()
    uploads = HttpUploads(trusting(settings.ca, exact=settings.exact) if settings.ca else None)
    note = await asyncio.to_thread(_clean_up_after_the_dead, folder, name)
    try:
        broker = await _join(settings, uploads)
        try:
            await _work(settings, name, broker, uploads)
        finally:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(broker.close(), 2.0)
    finally:
        await uploads.close()
        shutil.rmtree(folder / "scratch" / name, ignore_errors=True)
        note.free(forget=True)


async def _join(settings: WorkerSettings, uploads: HttpUploads) -> NatsWorkerBroker:
    try:
        return await NatsWorkerBroker.connect(settings.broker, pool=settings.pool)
    except BrokerAway as away:
        # A server that is not ready lets nobody in, whatever is presented.
        if "authorization" in str(away).lower() and settings.credential and await uploads.ready(settings.server):
            raise ShutOut from away
        raise


async def _work(settings: WorkerSettings, name: str, broker: NatsWorkerBroker, uploads: HttpUploads) -> None:
    folder = Path(settings.folder)
    tools = Tools(
        name=name,
        broker=broker,
        workspaces=Workspaces(folder / "cache", allow_local=settings.allow_local, worker=name),
        executors=load_executors(),
        uploads=uploads,
        voices=Voices(uuid4().hex),
        scratch=folder / "scratch" / name,
        cache=folder / "cache",
        server=settings.server,
    )
    about = {"labels": dict(settings.labels), "host": socket.gethostname(), "credential": settings.credential}
    agent = Agent(tools, pool=settings.pool, slots=settings.slots, version=__version__, about=about)
    loop = asyncio.get_running_loop()

    def leave() -> None:
        if settings.parent:
            agent.stop()  # the server waits for it: nothing is drained
            return
        agent.drain(settings.drain_seconds)
        loop.call_later(settings.drain_seconds + LEAVING_SECONDS, tools.voices.abandon)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave)
    log.info("worker %s of pool %s has joined with %s slots", name, settings.pool, settings.slots)
    running = asyncio.create_task(agent.run())
    parent = asyncio.create_task(_watch_parent(settings.parent, agent))
    door = asyncio.create_task(_watch_door(settings, broker, uploads))
    try:
        await asyncio.wait([running, door], return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            # Nobody hears what is left to say: the tests are ended, and others execute them again.
            tools.voices.abandon()
            agent.stop()
            await asyncio.wait([running], timeout=LEAVING_SECONDS)
            await asyncio.to_thread(sweep, name)
            raise ShutOut
        await running
        log.info("worker %s has left", name)
    finally:
        for task in (parent, door):
            task.cancel()


async def _watch_door(settings: WorkerSettings, broker: NatsWorkerBroker, uploads: HttpUploads) -> None:
    """Ends when the broker does not let us in any more though the server is ready: else it may let us in later."""
    since = 0.0
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if not broker.refused or not settings.credential:
            since = 0.0
            continue
        since = since or time.monotonic()
        if time.monotonic() - since > REFUSED_SECONDS and await uploads.ready(settings.server):
            return


async def _watch_parent(parent: int, agent: Agent) -> None:
    while parent and os.getppid() == parent:
        await asyncio.sleep(ORPHAN_SECONDS)
    if parent:
        log.warning("the server is gone: this worker ends what it has begun")
        await agent.outlive()


def start_logging(settings: WorkerSettings, name: str = "") -> None:
    """What a worker does goes to stderr; as soon as it has a name, each line says it."""
    about = {"worker": name, "pool": settings.pool} if name else {"pool": settings.pool}
    logs.configure(settings.log_format, settings.log_level, process="worker", about=about)


def main() -> None:
    """The process beside a server."""
    settings = WorkerSettings.read(Path(sys.argv[1]))
    start_logging(settings)
    if settings.log_level != "debug":
        # The server tells of its runs itself.
        logging.getLogger("resit.worker.doing").setLevel(logging.WARNING)
        logging.getLogger(__name__).setLevel(logging.WARNING)
    asyncio.run(work(settings))


if __name__ == "__main__":
    main()
