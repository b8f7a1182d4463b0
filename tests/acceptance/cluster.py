"""Several hosts on one machine: control planes, workers, NATS and PostgreSQL, each host a network namespace of its own.

A bridge joins the hosts; a host can be cut off from it and joined again. Needs root and ``ip``; see :func:`possible`.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sysconfig
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from black_box import RESIT, STRAYS, Resit, alive, until

from resit.broker.configuration import Listen, Users, configuration
from resit.broker.nkeys import Issuer
from resit.testing.postgres import PostgresServer

CONTROL, SYSTEM = "control-password", "system-password"
NATS_PORT, API_PORT = 4222, 4000


def _ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True)


def possible() -> bool:
    """Whether hosts can be made here."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    name = f"rt{os.getpid()}x"
    try:
        _ip("netns", "add", name)
        _ip("netns", "delete", name)
        _ip("link", "add", name, "type", "bridge")
        _ip("link", "delete", name)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


class Network:
    """A bridge, and hosts on it. The bridge's own address is that of the machine that tests."""

    def __init__(self) -> None:
        self._net = f"10.213.{os.getpid() % 250 + 1}"
        self._bridge = f"rb{os.getpid()}"[:15]
        self._hosts: dict[str, tuple[str, str, str]] = {}
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("addr", "add", f"{self._net}.1/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")

    @property
    def here(self) -> str:
        """The address of the machine that tests."""
        return f"{self._net}.1"

    def host(self, name: str) -> str:
        """Add a host; its address."""
        number = len(self._hosts) + 2
        space, outer, inner = f"resit-{os.getpid()}-{name}", f"rv{os.getpid()}n{number}"[:15], "eth0"
        _ip("netns", "add", space)
        self._hosts[name] = (space, outer, f"{self._net}.{number}")
        _ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", space)
        _ip("link", "set", outer, "master", self._bridge, "up")
        for command in (
            ("addr", "add", f"{self._net}.{number}/24", "dev", inner),
            ("link", "set", inner, "up"),
            ("link", "set", "lo", "up"),
        ):
            _ip("-netns", space, *command)
        return self._hosts[name][2]

    def address(self, name: str) -> str:
        """A host's address."""
        return self._hosts[name][2]

    def on(self, name: str, command: Sequence[str]) -> list[str]:
        """A command on a host; the process that it starts is the command's own."""
        return ["ip", "netns", "exec", self._hosts[name][0], *command]

    def cut(self, name: str) -> None:
        """Pull the cable: nothing goes out or in, and nobody is told."""
        _ip("link", "set", self._hosts[name][1], "down")

    def join(self, name: str) -> None:
        """Put it back."""
        _ip("link", "set", self._hosts[name][1], "up")

    def close(self) -> None:
        """Take everything away."""
        for space, outer, _ in self._hosts.values():
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("link", "delete", outer)
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", space)
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("link", "delete", self._bridge)


@dataclass
class Part:
    """A process on a host, which can be started again."""

    name: str
    command: list[str]
    log: Path
    env: dict[str, str] = field(default_factory=dict[str, str])
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it; whether it is ready is another question."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **STRAYS, **self.env},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self.process is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def end(self) -> None:
        """Politely, then for sure."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()


class Cluster(Resit):
    """Two control planes, workers, one NATS and one PostgreSQL; as a client, it asks any control plane that answers."""

    def __init__(self, folder: Path, workers: int = 3, planes: int = 2) -> None:
        super().__init__(folder)
        self._close = contextlib.ExitStack()
        self.network = Network()
        self._close.callback(self.network.close)
        self.postgres = self._close.enter_context(
            PostgresServer(careful=True, settings={"listen_addresses": f"127.0.0.1,{self.network.here}"})
        )
        with (self.postgres.data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.213.0.0/16 trust\n")
        self.postgres.restart()
        self.database = self.postgres.create("cluster").replace("127.0.0.1", self.network.here)
        self.parts: dict[str, Part] = {}
        self._key = folder / "key"
        self._add_nats()
        for number in range(1, planes + 1):
            self._add_plane(f"plane{number}")
        self._workers = [f"worker{number}" for number in range(1, workers + 1)]

    # ------------------------------------------------------------ its parts

    def _part(self, name: str, command: Sequence[str], **env: str) -> None:
        part = Part(name, self.network.on(name, command), self.folder / f"{name}.log", env)
        self.parts[name] = part
        self._close.callback(part.end)

    def _add_nats(self) -> None:
        address = self.network.host("nats")
        issuer = Issuer.new()
        config = self.folder / "nats.conf"
        config.write_text(
            configuration(
                name="cluster",
                listen=Listen(address, NATS_PORT),
                store=self.folder / "store",
                log=self.folder / "nats-server.log",
                users=Users(CONTROL, "nobody's", SYSTEM),
                pool="default",
                issuer=issuer.public,
                shown=None,
                advertise="",
            )
        )
        (self.folder / "nats.toml").write_text(
            f'user = "control"\npassword = "{CONTROL}"\nissuer = "{issuer.seed}"\n'
            f'system_user = "system"\nsystem_password = "{SYSTEM}"\n'
        )
        self._part("nats", [str(Path(sysconfig.get_path("scripts")) / "nats-server"), "--config", str(config)])

    def _add_plane(self, name: str) -> None:
        address = self.network.host(name)
        command = [
            *(RESIT, "serve", "--data", str(self.folder / name), "--host", address, "--port", str(API_PORT)),
            *("--nats-url", f"nats://{self.network.address('nats')}:{NATS_PORT}"),
            *("--nats-credentials", str(self.folder / "nats.toml"), "--secret-key", str(self._key), "--no-worker"),
            *("--artifacts-url", f"file://{self.folder / 'artifacts'}"),
        ]
        self._part(name, command, RESIT_DATABASE_URL=self.database)

    @property
    def planes(self) -> list[str]:
        """The names of the control planes."""
        return [name for name in self.parts if name.startswith("plane")]

    def start(self, *more: str) -> float:
        """Start everything; the seconds that took."""
        del more
        began = time.monotonic()
        self.parts["nats"].start()
        for name in self.planes:
            self.parts[name].start()
            self._ready(name)
        self._join_workers()
        return time.monotonic() - began

    def again(self, name: str) -> None:
        """Start a part that has ended, as an init system does it."""
        self.parts[name].start()
        if name.startswith("plane"):
            self._ready(name)

    def address(self, plane: str) -> str:
        """Where a control plane answers."""
        return f"http://{self.network.address(plane)}:{API_PORT}"

    def _ready(self, plane: str) -> None:
        def ready() -> bool:
            if not self.parts[plane].running:
                pytest.fail(f"{plane} ended:\n{self.parts[plane].log.read_text()}")
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"{self.address(plane)}/healthz", timeout=2).status_code == 200
            return False

        until(ready, f"{plane} answers", 30)

    def _join_workers(self) -> None:
        made = self.post("/worker-credentials", {"name": "hosts", "pool": "default"})
        file = self.folder / "credential.json"
        file.write_text(json.dumps(made))
        for name in self._workers:
            self.network.host(name)
            self._part(
                name,
                [
                    *(RESIT, "worker", "--credential", str(file), "--slots", "2", "--allow-local"),
                    *("--folder", str(self.folder / name)),
                ],
            )
            self.parts[name].start()

        def joined() -> bool:
            alive_now = [worker for worker in self.get("/workers")["items"] if worker["alive"]]
            return len(alive_now) >= len(self._workers)

        until(joined, "the workers join", 30)

    # ------------------------------------------------------------ as a client

    @property
    def token(self) -> str:
        """The operator's, of the first control plane; it is valid on all."""
        return (self.folder / "plane1" / "admin-token").read_text().strip()

    @property
    def http(self) -> Any:
        """The API of any control plane that answers: a load balancer without memory."""
        if self._http is None:
            addresses = [f"{self.address(plane)}/resit/v1" for plane in self.planes]
            self._http = httpx.Client(
                base_url=addresses[0],
                headers={"Authorization": f"Bearer {self.token}"},
                timeout=15,
                transport=_AnyOf([httpx.URL(address).host for address in addresses]),
                trust_env=False,
            )
        return self._http

    def log(self) -> str:
        """What all parts have printed."""
        return "\n".join(f"== {name}\n{part.log.read_text(errors='replace')}" for name, part in self.parts.items())

    def close(self) -> None:
        """End all of it."""
        if self._http is not None:
            self._http.close()
        self._close.close()
        until(lambda: not any(part.running and alive(part.pid) for part in self.parts.values()), "the end", 20)


class _AnyOf(httpx.HTTPTransport):
    """Asks the hosts in turn, and the next one when one does not answer."""

    def __init__(self, hosts: Sequence[str]) -> None:
        super().__init__()
        self._hosts = list(hosts)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One request, to the first that answers."""
        self._hosts.append(self._hosts.pop(0))
        failed: httpx.TransportError | None = None
        for host in list(self._hosts):
            request.url = request.url.copy_with(host=host)
            request.headers["Host"] = f"{host}:{request.url.port}"
            request.extensions["timeout"] = {"connect": 1.0, "read": 15.0, "write": 5.0, "pool": 5.0}
            try:
                return super().handle_request(request)
            except httpx.TransportError as error:
                failed = error
        assert failed is not None
        raise failed


@contextlib.contextmanager
def cluster(folder: Path, **options: int) -> Iterator[Cluster]:
    """A cluster that runs."""
    made = Cluster(folder, **options)
    try:
        made.start()
        yield made
    finally:
        made.close()
