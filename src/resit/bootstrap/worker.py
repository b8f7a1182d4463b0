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
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from uuid import uuid4

from resit import __version__
from resit.bootstrap.handover import WorkerSettings
from resit.broker.worker import NatsWorkerBroker
from resit.integrations.uploads import HttpUploads
from resit.plugin import Executor
from resit.processes import adopt, sweep
from resit.worker.agent import Agent
from resit.worker.report import Voices
from resit.worker.work import Tools, private_prefix
from resit.worker.workspace import Workspaces

log = logging.getLogger(__name__)
ORPHAN_SECONDS = 1.0
BESIDE_A_SERVER = 5
"""How much nicer than the server its own worker and the tests are."""


def load_executors() -> Mapping[str, Executor]:
    """The executors that are installed."""
    return {point.name: point.load()() for point in entry_points(group="resit.executors")}


def _name() -> str:
    return f"{socket.gethostname()[:60] or 'worker'}-{os.getpid()}"


def _clean_up_after_the_dead(folder: Path, name: str) -> None:
    """End the test processes that a killed predecessor left behind, and remove its files; note that we run."""
    running = folder / "running"
    running.mkdir(parents=True, exist_ok=True)
    for note in running.iterdir():
        pid = note.name.rpartition("-")[2]
        if pid.isdigit() and not _alive(int(pid)):
            ended = sweep(note.name)
            if ended:
                log.warning("ended %s processes that worker %s had left behind", ended, note.name)
            shutil.rmtree(folder / "scratch" / note.name, ignore_errors=True)
            for private in Path(tempfile.gettempdir()).glob(f"{private_prefix(int(pid))}*"):
                shutil.rmtree(private, ignore_errors=True)
            note.unlink(missing_ok=True)
    (running / name).touch()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def work(settings: WorkerSettings) -> None:
    """Until SIGTERM, SIGINT, or the end of what was begun after the server vanished."""
    folder, name = Path(settings.folder), _name()
    if settings.parent:
        # The server that shares the machine answers first; the tests get all that it leaves, nearly everything.
        os.nice(BESIDE_A_SERVER)
    adopt()
    _clean_up_after_the_dead(folder, name)
    broker = await NatsWorkerBroker.connect(settings.broker, pool=settings.pool)
    uploads = HttpUploads()
    tools = Tools(
        name=name,
        broker=broker,
        workspaces=Workspaces(folder / "cache", allow_local=settings.allow_local, worker=name),
        executors=load_executors(),
        uploads=uploads,
        voices=Voices(uuid4().hex),
        scratch=folder / "scratch" / name,
        cache=folder / "cache",
    )
    agent = Agent(tools, pool=settings.pool, slots=settings.slots, version=__version__)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    watch = asyncio.create_task(_watch_parent(settings.parent, agent))
    try:
        await agent.run()
    finally:
        watch.cancel()
        await uploads.close()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(broker.close(), 2.0)
        shutil.rmtree(folder / "scratch" / name, ignore_errors=True)
        (folder / "running" / name).unlink(missing_ok=True)


async def _watch_parent(parent: int, agent: Agent) -> None:
    while parent and os.getppid() == parent:
        await asyncio.sleep(ORPHAN_SECONDS)
    if parent:
        log.warning("the server is gone: this worker ends what it has begun")
        await agent.drain()


def main() -> None:
    """The process."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s worker: %(message)s", stream=sys.stderr)
    # One line a request would drown what matters.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings = WorkerSettings.read(Path(sys.argv[1]))
    asyncio.run(work(settings))


if __name__ == "__main__":
    main()
