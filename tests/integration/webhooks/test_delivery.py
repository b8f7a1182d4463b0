"""Notices over real HTTP: the whole way from a run's end to a receiver on this machine."""

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from resit.control.notifier import Notifying
from resit.control.signals import Signals
from resit.domain.webhook import MAX_ATTEMPTS, WebhookEvent
from resit.integrations.webhooks import HttpNotifier, public
from resit.ports import PostFailed
from resit.services.notices import Notices
from resit.testing.factories import ADMIN
from resit.testing.world import World, database

SECONDS = 20.0


class Receiver:
    """A server that keeps what it is posted and answers as it is told."""

    def __init__(self) -> None:
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.changed = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with outer.changed:
                    status = outer.answers.pop(0) if outer.answers else 204
                    outer.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
                    outer.changed.notify_all()
                self.send_response(status)
                if status in (301, 302, 307):
                    self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def wait(self, number: int) -> list[tuple[dict[str, str], bytes]]:
        """What was posted, once there are so many."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.taken) >= number, SECONDS), self.taken
            return list(self.taken)

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    engine = database(tmp_path)
    made = World(tmp_path, engine)
    made.project()
    yield made
    engine.dispose()


def notices_of(world: World) -> Notices:
    return Notices(world.store, world.clock, world.signer)


class Seen(Signals):
    """Signals that tell a test too: after each delivery somebody looks again."""

    def __init__(self) -> None:
        super().__init__()
        self._told = asyncio.Event()

    def notices(self) -> None:
        super().notices()
        self._loop.call_soon_threadsafe(self._told.set)

    async def until(self, found: Callable[[], bool]) -> None:
        """Until a question is answered with yes."""
        async with asyncio.timeout(SECONDS):
            while not found():
                await self._told.wait()
                self._told.clear()


@asynccontextmanager
async def at_work(world: World, *, allow_private: bool = True) -> AsyncIterator[Seen]:
    """The loop, at work."""
    signals, notifier = Seen(), HttpNotifier(allow_private=allow_private)
    task = asyncio.create_task(Notifying(notices_of(world), notifier, signals).run())
    try:
        yield signals
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await notifier.close()


def waiting(world: World) -> list[tuple[int, int, float]]:
    """What is still to be told: webhook, attempts, seconds from now."""
    far = world.clock.now() + 1e6
    with world.store.read() as tx:
        return [(n.webhook_id, n.attempts, n.due_at - world.clock.now()) for n in tx.webhooks.due(far, 100)]


def signed(headers: dict[str, str], body: bytes, secret: str) -> bool:
    """What a receiver does."""
    key = base64.urlsafe_b64decode(secret.removeprefix("whsec_") + "=")
    return headers["x-webhook-signature"] == "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()


def test_a_run_is_told_from_its_beginning_to_its_end(world: World, receiver: Receiver) -> None:
    url = f"http://localhost:{receiver.port}/hooks?x=1"
    hook, secret = world.webhooks.add(ADMIN, "shop", url=url, events=[*WebhookEvent])

    async def scene() -> None:
        async with at_work(world) as signals:
            run = world.carry_out(world.planned("a"))
            signals.outbox()
            taken = await asyncio.to_thread(receiver.wait, 3)
            await signals.until(lambda: not waiting(world))
        said = [json.loads(body) for _, body in taken]
        assert [word["event"] for word in said] == ["test_run.queued", "test_run.started", "test_run.ended"]
        assert {word["test_run"]["id"] for word in said} == {run.id}
        assert said[-1]["test_run"]["verdict"] == "passed"
        for headers, body in taken:
            assert signed(headers, body, secret)
            assert headers["host"] == f"localhost:{receiver.port}"
            assert headers["content-type"] == "application/json"

    asyncio.run(scene())
    assert hook.active


def test_what_is_not_taken_comes_again_and_is_given_up_in_the_end(world: World, receiver: Receiver) -> None:
    receiver.answers = [500, 302, 404, 500, 500, 500]
    hook, _ = world.webhooks.add(ADMIN, "shop", url=f"http://127.0.0.1:{receiver.port}/", events=["test_run.ended"])
    world.webhooks.test(ADMIN, hook.id)

    async def scene() -> None:
        async with at_work(world) as signals:
            for attempt in range(1, MAX_ATTEMPTS + 1):
                await asyncio.to_thread(receiver.wait, attempt)
                if attempt < MAX_ATTEMPTS:
                    await signals.until(lambda n=attempt: waiting(world) == [(hook.id, n, 5.0 * 4.0 ** (n - 1))])
                    world.clock.turn(5.0 * 4.0 ** (attempt - 1))
                    signals.notices()
            await signals.until(lambda: not waiting(world))

    asyncio.run(scene())
    assert len(receiver.taken) == MAX_ATTEMPTS, "a redirect is not followed"
    assert len({body for _, body in receiver.taken}) == 1


def test_a_webhook_that_does_not_answer_holds_up_no_other(world: World, receiver: Receiver) -> None:
    async def scene() -> None:
        silent = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        dead, _ = world.webhooks.add(ADMIN, "shop", url=f"http://127.0.0.1:{port}/", events=["webhook.test"])
        fine, _ = world.webhooks.add(ADMIN, "shop", url=f"http://127.0.0.1:{receiver.port}/", events=["webhook.test"])
        for _ in range(50):
            world.webhooks.test(ADMIN, dead.id)
        world.webhooks.test(ADMIN, fine.id)
        async with at_work(world):
            await asyncio.to_thread(receiver.wait, 1)
        silent.close()

    asyncio.run(scene())


def test_a_private_address_is_told_nothing(world: World, receiver: Receiver) -> None:
    hook, _ = world.webhooks.add(ADMIN, "shop", url=f"http://localhost:{receiver.port}/", events=["webhook.test"])
    world.webhooks.test(ADMIN, hook.id)

    async def scene() -> None:
        async with at_work(world, allow_private=False) as signals:
            await signals.until(lambda: waiting(world) == [(hook.id, 1, 5.0)])

    asyncio.run(scene())
    assert not receiver.taken


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::]", "[::ffff:127.0.0.1]", "2130706433"])
def test_ways_to_write_this_machine(receiver: Receiver, host: str) -> None:
    async def scene() -> None:
        notifier = HttpNotifier()
        with pytest.raises(PostFailed):
            await notifier.post(f"http://{host}:{receiver.port}/", b"{}", {})
        await notifier.close()

    asyncio.run(scene())
    assert not receiver.taken


@pytest.mark.parametrize(
    ("address", "fine"),
    [
        ("93.184.216.34", True), ("2606:4700::1111", True),
        ("127.8.8.8", False), ("10.0.0.1", False), ("172.16.0.1", False), ("192.168.1.1", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("224.0.0.1", False), ("0.0.0.1", False),
        ("255.255.255.255", False), ("240.0.0.1", False),
        ("::", False), ("::1", False), ("fe80::1%eth0", False), ("fc00::1", False), ("ff02::1", False),
        ("::ffff:10.0.0.1", False), ("2002:0a00:0001::", False), ("64:ff9b::10.0.0.1", False),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address: str, fine: bool) -> None:
    assert public(address) is fine


def test_a_certificate_must_be_the_named_hosts(tmp_path: Path) -> None:
    """The connection goes to an address, but the certificate is asked for and checked by the host's name."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    words = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    made = subprocess.run([*words.split(), "-keyout", str(key), "-out", str(cert)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no openssl")
    server = Receiver()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    server.server.socket = context.wrap_socket(server.server.socket, server_side=True)

    async def scene() -> None:
        trusting = HttpNotifier(allow_private=True, trust=ssl.create_default_context(cafile=str(cert)))
        assert await trusting.post(f"https://localhost:{server.port}/", b"{}", {}) == 204
        with pytest.raises(PostFailed):
            await trusting.post(f"https://127.0.0.1:{server.port}/", b"{}", {})
        await trusting.close()

    try:
        asyncio.run(scene())
    finally:
        server.close()
    assert asked[0] == "localhost"
