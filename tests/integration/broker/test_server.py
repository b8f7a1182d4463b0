"""The bundled nats-server: a child process with secrets, a port, a certificate, and a life that ends with ours."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import nats
import pytest
from nats.js.api import ConsumerConfig, RetentionPolicy

from resit.broker.address import Address
from resit.broker.server import BundledServer, ServerFailed, _binary, _greeting
from resit.broker.worker import NatsWorkerBroker
from resit.ports import BrokerAway, Job
from resit.testing.brokers import Stage, play


def test_no_broker_and_a_wrong_password_are_said_in_words(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        wrong = Address(stage.server.url, user="control", password="wrong")
        with pytest.raises(BrokerAway, match=r"(?i)authorization"):
            await NatsWorkerBroker.connect(wrong, "main", within=0.4)
        with pytest.raises(BrokerAway, match="no broker at"):
            await NatsWorkerBroker.connect(Address("nats://127.0.0.1:9"), "main", within=0.4)

    play(tmp_path, scene)


def test_the_server_keeps_its_secrets_and_its_port(tmp_path: Path) -> None:
    async def run() -> None:
        server = BundledServer()
        await server.start(tmp_path)
        url, known = server.url, (server.control, server.local, server.system, server.issuer.seed)
        words = Path(f"/proc/{server.pid}/cmdline").read_text()
        assert server.control.password not in words
        for name in ("keys", "keys/control", "keys/local", "keys/system", "keys/issuer", "config", "port", "pid"):
            assert (tmp_path / "nats" / name).stat().st_mode & 0o077 == 0
        with pytest.raises(ServerFailed, match="another Resit"):
            await BundledServer().start(tmp_path)
        ended = asyncio.create_task(server.ended())
        await asyncio.sleep(0)
        await server.stop()
        assert await ended is None
        await server.start(tmp_path)
        assert (server.url, known) == (url, (server.control, server.local, server.system, server.issuer.seed))
        await server.stop()

    asyncio.run(run())


def test_a_taken_port_is_left_alone(tmp_path: Path) -> None:
    async def run() -> None:
        first, second = BundledServer(), BundledServer()
        await first.start(tmp_path / "a")
        (tmp_path / "b" / "nats").mkdir(parents=True)
        (tmp_path / "b" / "nats" / "port").write_text(first.url.rpartition(":")[2])
        await second.start(tmp_path / "b")
        assert second.url != first.url
        await first.stop()
        await second.stop()

    asyncio.run(run())


def test_a_server_left_behind_is_ended_and_a_stranger_is_not(tmp_path: Path) -> None:
    async def run() -> None:
        server = BundledServer()
        await server.start(tmp_path)
        left = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
        await server.stop()
        (tmp_path / "nats" / "pid").write_text(str(left.pid))  # the id is in use again by another program
        await server.start(tmp_path)
        assert left.returncode is None
        left.kill()
        await left.wait()
        await server.stop()

        config = tmp_path / "nats" / "config"
        orphan = await asyncio.create_subprocess_exec(
            _binary(),
            "--config",
            str(config),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        (tmp_path / "nats" / "pid").write_text(str(orphan.pid))
        while not Path(f"/proc/{orphan.pid}/cmdline").read_bytes():  # a process that just begins has none
            await asyncio.sleep(0)
        await server.start(tmp_path)
        await asyncio.wait_for(orphan.wait(), 2)
        await server.stop()

    asyncio.run(run())


def test_the_server_dies_with_its_killed_parent(tmp_path: Path) -> None:
    script = """
import asyncio, os, pathlib, signal, sys
from resit.broker.server import BundledServer

async def main():
    server = BundledServer()
    await server.start(pathlib.Path(sys.argv[1]))
    print(server.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, timeout=10)
    assert done.returncode == -signal.SIGKILL
    end = time.monotonic() + 2
    while (state := _state(int(done.stdout))) not in ("", "Z") and time.monotonic() < end:
        time.sleep(0.01)
    assert state in ("", "Z")


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_a_server_that_can_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(words: str) -> None:
        with pytest.raises(ServerFailed, match=words):
            await BundledServer().start(tmp_path)

    (tmp_path / "nats" / "store").mkdir(parents=True)
    (tmp_path / "nats" / "store" / "jetstream").write_text("not a folder")
    asyncio.run(fails(r"(?i)jetstream"))
    monkeypatch.setenv("RESIT_NATS_SERVER", str(tmp_path / "missing"))
    asyncio.run(fails("RESIT_NATS_SERVER"))


# ---------------------------------------------------------------- the former release

FORMER = """
listen: "127.0.0.1:{port}"
authorization {{ token: "old" }}
jetstream {{ store_dir: "{store}", sync_interval: always }}
"""


def test_what_waits_in_the_streams_of_the_former_release_is_read(tmp_path: Path) -> None:
    asyncio.run(_former_release(tmp_path))

    async def scene(stage: Stage) -> None:
        found = await stage.control.events(10, 5)
        while len(found) < 2:
            found = [*found, *await stage.control.events(10, 5)]
        assert {(d.pool, d.data) for d in found} == {("default", b"event 0"), ("default", b"event 1")}
        for delivery in found:
            await delivery.done()
        assert await stage.control._streams._names() >= {"EVENTS"}
        assert not {"JOBS", "BATCHES"} & await stage.control._streams._names()
        assert not (tmp_path / "nats" / "token").exists()
        worker = await stage.worker()
        await stage.control.publish_job("main", Job("plan", 1), b"")
        assert len(await worker.jobs(1, 5)) == 1
        await worker.publish(1, b"of this release", "1")
        assert [d.data for d in await stage.control.events(10, 5)] == [b"of this release"]

    play(tmp_path, scene)
    play(tmp_path, scene_again)


async def scene_again(stage: Stage) -> None:
    """A second start changes nothing."""
    assert [d.data for d in await stage.control.events(10, 15)] == [b"of this release"]


async def _former_release(data: Path) -> None:
    """A data folder as the first release leaves it when it is killed: one account, streams for all pools, events that
    wait, one of them being out."""
    root = data / "nats"
    root.mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (root / "token").write_text("old")
    (root / "config").write_text(FORMER.format(port=port, store=root / "store"))
    former = await asyncio.create_subprocess_exec(
        _binary(), "--config", str(root / "config"), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        while await _greeting("127.0.0.1", port, None) == "":
            await asyncio.sleep(0.01)
        client = await nats.connect(f"nats://127.0.0.1:{port}", token="old")
        broker = client.jetstream()
        for name in ("JOBS", "BATCHES", "EVENTS"):
            await broker.add_stream(
                name=name, subjects=[f"{name.lower()}.>"], retention=RetentionPolicy.WORK_QUEUE, max_bytes=1024**3
            )
        await broker.publish("jobs.default.shard.1.1", b"")
        await broker.publish("batches.default.1.1", b"")
        limits = ConsumerConfig(ack_wait=0.5, max_ack_pending=50_000, max_waiting=4096)
        pulling = await broker.pull_subscribe(
            "events.>",
            durable="control",
            config=limits,
            stream="EVENTS",
        )
        for n in range(2):
            await broker.publish("events.default.1", f"event {n}".encode(), headers={"Nats-Msg-Id": f"w.{n}"})
        await pulling.fetch(1)
        await client.close()
    finally:
        former.kill()
        await former.wait()
