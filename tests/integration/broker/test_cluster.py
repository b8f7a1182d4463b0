"""A NATS of the operator's own, set up as docs/howto/nats-cluster.md says: one server, and a cluster of three."""

import asyncio
import re
import signal
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from resit.bootstrap.broker import Brokered, brokered
from resit.broker.address import Address
from resit.broker.certificates import ServerTls, prepare
from resit.broker.server import ServerFailed, _binary, _greeting
from resit.broker.worker import NatsWorkerBroker
from resit.config import Settings
from resit.ports import BrokerAway, Delivery, Job
from resit.testing.brokers import Doorkeeper

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "nats-cluster.md"
PLAN = Job("plan", 1)


class Cluster:
    """Servers with the configuration of the page, on ports of this machine."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size
        blocks = re.findall(r"```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
        self.configuration, self.credentials, _ = blocks
        self.ports = _free_ports(2 * size)
        self.processes: dict[int, asyncio.subprocess.Process] = {}
        self.ca = ""

    @property
    def url(self) -> str:
        return ",".join(f"tls://127.0.0.1:{port}" for port in self.ports[: self.size])

    def settings(self) -> Settings:
        (self.folder / "nats.toml").write_text(self.credentials)
        return Settings(data=self.folder, nats_url=self.url, nats_credentials=self.folder / "nats.toml")

    async def start(self) -> None:
        shown = prepare(self.folder / "tls", ServerTls(), "127.0.0.1")
        self.ca = shown.authority
        (self.folder / "ca.pem").write_text(shown.authority)
        routes = "\n".join(f"nats://route:routes@127.0.0.1:{port}" for port in self.ports[self.size :])
        for number in range(self.size):
            text = self.configuration
            for pattern, replacement in (
                (r"server_name: nats1", f"server_name: nats{number + 1}"),
                (r"listen: 0\.0\.0\.0:4222", f"listen: 127.0.0.1:{self.ports[number]}"),
                (r"listen: 0\.0\.0\.0:6222", f"listen: 127.0.0.1:{self.ports[self.size + number]}"),
                (r"/etc/nats/server\.pem", str(shown.certificate)),
                (r"/etc/nats/server\.key", str(shown.key)),
                (r"store_dir: /var/lib/nats", f'store_dir: "{self.folder}/store{number}"'),
                (r"replace me: routes", "routes"),
                (r"    nats://route:.*?(?=\n  \])", routes),
            ):
                text, found = re.subn(pattern, replacement, text, flags=re.DOTALL)
                assert found, pattern
            if self.size == 1:
                text = re.sub(r"^cluster \{.*?^\}\n", "", text, flags=re.DOTALL | re.MULTILINE)
            (self.folder / f"nats{number}.conf").write_text(text)
            await self.run(number)
        end = time.monotonic() + 10
        for port in self.ports[: self.size]:
            while not await _greeting("127.0.0.1", port, Address(self.url, ca=self.ca).tls()):
                assert time.monotonic() < end, self.log()
                await asyncio.sleep(0.02)

    async def run(self, number: int) -> None:
        self.processes[number] = await asyncio.create_subprocess_exec(
            _binary(),
            "--config",
            str(self.folder / f"nats{number}.conf"),
            "--log",
            str(self.folder / f"log{number}"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def kill(self, number: int) -> None:
        process = self.processes.pop(number)
        process.send_signal(signal.SIGKILL)
        await process.wait()

    def log(self) -> str:
        return "\n".join(path.read_text()[-2000:] for path in self.folder.glob("log*"))


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@asynccontextmanager
async def cluster(folder: Path, size: int) -> AsyncGenerator[Cluster]:
    made = Cluster(folder, size)
    try:
        await made.start()
        yield made
    finally:
        for number in list(made.processes):
            await made.kill(number)


async def job_of(worker: NatsWorkerBroker, run: int) -> Delivery:
    """The job of this run: what was left of an earlier try may come again."""
    while True:
        (found, delivery), *_ = await worker.jobs(1, 10)
        if found.run == run:
            return delivery
        await delivery.done()


async def work_of(found: Brokered, worker: NatsWorkerBroker, pool: str, run: int) -> None:
    """Everything that a run needs of the broker, once."""
    await found.control.publish_job(pool, Job("shard", run, 1), b"")
    await found.control.open_batches(pool, run, 1)
    await found.control.publish_batch(pool, run, 1, b"batch")
    job = await job_of(worker, run)
    batch = await worker.batch(run, 10)
    assert batch
    await worker.publish(run, b"event of %d" % run, f"{pool} {run}")
    await batch.done()
    await job.done()
    while True:
        event, *_ = await found.control.events(1, 10)
        await event.done()
        if event.data == b"event of %d" % run:
            break
    assert event.pool == pool
    async with asyncio.timeout(5):
        while await found.control.held(pool, run) != (set(), set()):  # a cluster agrees first
            await asyncio.sleep(0.02)


def test_one_server_of_the_operator(tmp_path: Path) -> None:
    async def scene() -> None:
        gate = Doorkeeper()
        gate.write_down("secret", "remote", 7)
        async with cluster(tmp_path, 1) as servers, brokered(servers.settings(), gate) as found:
            assert (found.workers_url, found.ca_pem) == (servers.url, servers.ca)
            beside = await NatsWorkerBroker.connect(found.local, "default")
            await work_of(found, beside, "default", 1)
            remote = await NatsWorkerBroker.connect(
                Address(found.workers_url, token="secret", ca=found.ca_pem), "remote"
            )
            await work_of(found, remote, "remote", 2)
            assert gate.asked == ["secret"], "the worker beside a control plane is not the gate's business"
            gate.passes.clear()
            before = time.monotonic()
            await found.control.disconnect(7)
            while remote._link.connected:
                await asyncio.sleep(0.01)
            assert time.monotonic() - before < 5
            with pytest.raises(BrokerAway, match=r"(?i)authorization"):
                await NatsWorkerBroker.connect(
                    Address(found.workers_url, token="secret", ca=found.ca_pem), "remote", within=0.5
                )
            # Another control plane lets in whom the first one started.
            async with brokered(servers.settings(), gate) as second:
                await found.control.close()
                again = await NatsWorkerBroker.connect(found.local, "default")
                await work_of(second, again, "default", 3)
                for worker in (beside, remote, again):
                    await worker.close()

    asyncio.run(asyncio.wait_for(scene(), 40))


def test_without_a_system_user_rights_are_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resit.broker.control.SHORT_RIGHTS_SECONDS", 2.5)

    async def scene() -> None:
        gate = Doorkeeper()
        gate.write_down("secret", "remote", 7)
        async with cluster(tmp_path, 1) as servers:
            servers.credentials = re.sub(r"system_.*\n", "", servers.credentials)
            async with brokered(servers.settings(), gate) as found:
                remote = await NatsWorkerBroker.connect(Address(found.workers_url, "secret", ca=found.ca_pem), "remote")
                gate.passes.clear()
                await found.control.disconnect(7)
                end = time.monotonic() + 5
                while remote._link.connected:
                    assert time.monotonic() < end
                    await asyncio.sleep(0.02)
                await remote.close()

    asyncio.run(asyncio.wait_for(scene(), 40))


def test_a_cluster_of_three_goes_on_without_one(tmp_path: Path) -> None:
    async def scene() -> None:
        gate = Doorkeeper()
        gate.write_down("secret", "remote", 7)
        async with cluster(tmp_path, 3) as servers, brokered(servers.settings(), gate) as found:
            remote = await NatsWorkerBroker.connect(Address(found.workers_url, "secret", ca=found.ca_pem), "remote")
            await work_of(found, remote, "remote", 1)
            for stream in ("EVENTS", "JOBS_remote", "BATCHES_default"):
                about = await found.control._link.api(f"STREAM.INFO.{stream}", {})
                assert about["config"]["num_replicas"] == 3
            leader = (await found.control._link.api("STREAM.INFO.JOBS_remote", {}))["cluster"]["leader"]
            await servers.kill(int(leader[-1]) - 1)
            for tries in range(40):
                try:
                    await work_of(found, remote, "remote", 2 + tries)
                except BrokerAway:
                    await asyncio.sleep(0.25)
                else:
                    break
            else:
                pytest.fail(servers.log())
            await remote.close()

    asyncio.run(asyncio.wait_for(scene(), 80))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "nats-cluster.md"),
        ("user = 1\nhello = 2", "unknown: hello"),
        ("user = ", "nats.toml"),
        ("user = 'control'", "issuer"),
        ("issuer = 'SAADMDG2VXP5H6QEHDWZDPJ6SMOFYNOUWKZON6ZFDOUL7LOTOYTKXH5X64'\nca = 'missing.pem'", "missing.pem"),
    ],
)
def test_what_is_wrong_with_the_credentials_is_said(text: str | None, words: str, tmp_path: Path) -> None:
    file = tmp_path / "nats.toml"
    if text is not None:
        file.write_text(text)

    async def scene() -> None:
        named = file if text is not None else None
        settings = Settings(data=tmp_path, nats_url="nats://127.0.0.1:9", nats_credentials=named)
        async with brokered(settings, Doorkeeper()):
            pytest.fail("it was taken")

    with pytest.raises(ServerFailed, match=words):
        asyncio.run(scene())
