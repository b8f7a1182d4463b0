"""``resit serve``: the control plane, its HTTP server and, unless told otherwise, one worker beside it."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from resit import __version__
from resit.api.app import create_app
from resit.bootstrap.server import Server, admin_token, build, running, write_private
from resit.bootstrap.worker import WorkerSettings
from resit.broker.link import Address
from resit.config import Settings

log = logging.getLogger("resit")
WORKER_STOP_SECONDS = 8.0
AGAIN_SECONDS = 0.5


def serve(data: Path, host: str, port: int, slots: int | None, worker: bool) -> int:
    """Serve until SIGINT or SIGTERM. ``slots`` None: one a processor core. Raises OSError when the port is taken."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    settings = Settings(
        data=data,
        host=host,
        port=listener.getsockname()[1],
        slots=slots or len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else slots or os.cpu_count() or 1,
        worker=worker,
    )
    server = build(settings)
    admin_token(server)
    app = create_app(server.services, _lifespan(server))
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
        server_header=False,
        timeout_keep_alive=30,
    )
    uvicorn.Server(config).run(sockets=[listener])
    return 0


def _lifespan(server: Server):
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        async with running(server) as address, _worker(server.settings, address):
            write_private(server.settings.data / "url", server.services.url + "\n")
            slots = f"{server.settings.slots} slots" if server.settings.worker else "no worker"
            log.info(
                "Resit %s serves on %s (data in %s, %s)", __version__, server.services.url, server.settings.data, slots
            )
            yield

    return lifespan


@asynccontextmanager
async def _worker(settings: Settings, address: Address) -> AsyncGenerator[None]:
    """One worker process beside the server, started again when it dies."""
    if not settings.worker:
        yield
        return
    path = settings.data / "worker.json"
    folder = settings.data / "worker"
    WorkerSettings(
        broker_url=address.url,
        broker_token=address.token,
        folder=str(folder),
        slots=settings.slots,
        allow_local=True,
        parent=os.getpid(),
    ).write(path)
    holder: list[asyncio.subprocess.Process] = []
    stopping = asyncio.Event()

    async def keep() -> None:
        while not stopping.is_set():
            command = (sys.executable, "-m", "resit.bootstrap.worker", str(path))
            # A session of its own: a Ctrl-C at the server's terminal is for the server, which stops its worker.
            process = await asyncio.create_subprocess_exec(*command, start_new_session=True)
            holder[:] = [process]
            code = await process.wait()
            if not stopping.is_set():
                log.warning("the worker ended (%s); it is started again", code)
                await asyncio.sleep(AGAIN_SECONDS)

    task = asyncio.create_task(keep())
    try:
        yield
    finally:
        stopping.set()
        for process in holder:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(asyncio.shield(task), WORKER_STOP_SECONDS)
        except TimeoutError:
            for process in holder:
                if process.returncode is None:
                    process.kill()
            await asyncio.gather(task, return_exceptions=True)
