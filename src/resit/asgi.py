"""``resit serve``: the control plane, its HTTP server and, unless told otherwise, one worker beside it."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI

from resit import __version__
from resit.api.app import create_app
from resit.bootstrap.alone import alone
from resit.bootstrap.handover import WorkerSettings
from resit.bootstrap.loading import loading
from resit.bootstrap.server import Server, admin_token, build, first_link, running, write_private
from resit.bootstrap.tls import shown
from resit.broker.address import Address
from resit.broker.certificates import Shown
from resit.config import Settings
from resit.telemetry import logs
from resit.web.app import PATHS, create_web

log = logging.getLogger("resit")
WORKER_STOP_SECONDS = 8.0
AGAIN_SECONDS = 0.5


def serve(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM. ``slots`` 0: one a processor core.

    Raises OSError when the port is taken or another server uses the data folder.
    """
    logs.configure(settings.log_format, settings.log_level)
    data, address = settings.data, (settings.host, settings.port)
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with alone(data), _listen(*address) as listener:
        with loading():
            server = build(replace(settings, port=listener.getsockname()[1], slots=settings.slots or _cores()))
            app = create_app(server.services, _lifespan(server), create_web(server.services), PATHS)
        if admin_token(server) and settings.log_format == "text":
            # To whoever started it, and not into logs that are gathered: there `resit link` prints one.
            sys.stdout.write(f"Sign in to the page, once: {first_link(server)}\n")
            sys.stdout.flush()
        certificate = shown(server.settings)
        _for_neighbours(data / "certificate.pem", certificate)
        config = uvicorn.Config(
            app,
            ssl_certfile=certificate.certificate if certificate else None,
            ssl_keyfile=certificate.key if certificate else None,
            log_config=None,  # its lines are ours
            access_log=False,
            timeout_graceful_shutdown=2,
            server_header=False,
            timeout_keep_alive=30,
        )
        _Http(config, server).run(sockets=[listener])
    return 0


def _for_neighbours(path: Path, certificate: Shown | None) -> None:
    """Commands on this machine find the server through its data folder, and know by this that it is the right one."""
    if certificate is None:
        path.unlink(missing_ok=True)
    else:
        write_private(path, certificate.own)


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Its protocol is named, because asyncio turns Nagle's algorithm off only where it is: else
    each answer of two writes waits for the client's delayed acknowledgement, which is 40 ms.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except BaseException:
        listener.close()
        raise
    return listener


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Http(uvicorn.Server):
    """Ends with 0 on SIGINT and SIGTERM, and tells live pages first, so that nobody waits for them."""

    def __init__(self, config: uvicorn.Config, server: Server) -> None:
        super().__init__(config)
        self._resit = server
        self._ending = asyncio.Event()

    async def main_loop(self) -> None:
        """Instead of uvicorn's own, which looks ten times a second whether it is to end."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):  # the header with the date
                    await self._ending.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See uvicorn."""
        super().handle_exit(sig, frame)
        self._ending.set()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Instead of uvicorn's own, which dies of the signal in the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._end, number)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _end(self, number: int) -> None:
        """The first time: not ready any more, and the end after a while. Once more: now."""
        signals, seconds = self._resit.signals, self._resit.settings.drain_seconds
        again = signals is None or signals.closing
        if signals is not None:
            signals.close()
        if seconds and not again:
            log.info("no new clients are wanted; the end is in %.0f s", seconds)
            asyncio.get_running_loop().call_later(seconds, self.handle_exit, number, None)
        else:
            self.handle_exit(number, None)


def _lifespan(server: Server) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        async with running(server) as address, _worker(server.settings, server.url, address):
            settings, url = server.settings, server.url
            write_private(settings.data / "url", url + "\n")
            slots = f"{settings.slots} slots" if settings.worker else "no worker"
            log.info("Resit %s serves on %s (data in %s, %s)", __version__, url, settings.data, slots)
            yield

    return lifespan


@asynccontextmanager
async def _worker(settings: Settings, url: str, address: Address) -> AsyncGenerator[None]:
    """One worker process beside the server, started again when it dies."""
    if not settings.worker:
        yield
        return
    path = settings.data / "worker.json"
    folder = settings.data / "worker"
    certificate = shown(settings)
    WorkerSettings(
        broker=address,
        folder=str(folder),
        slots=settings.slots,
        allow_local=True,
        parent=os.getpid(),
        server=url,
        ca=certificate.own if certificate else "",
        exact=True,
        log_format=settings.log_format,
        log_level=settings.log_level,
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
