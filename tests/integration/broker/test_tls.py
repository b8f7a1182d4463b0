"""Workers of other machines reach the broker over TLS, and nothing is said to a server that is not ours."""

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from resit.broker.certificates import ServerTls, prepare
from resit.broker.server import BundledServer, ServerFailed
from resit.ports import BrokerAway, Job
from resit.testing.brokers import Stage, play

A = "team-a"
PLAN = Job("plan", 1)


def test_workers_of_other_machines_speak_tls_and_nothing_else(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        server = stage.server
        port = server.url.rpartition(":")[2]
        assert server.url.startswith("tls://127.0.0.1:")
        assert server.workers_url == server.url
        stage.gate.write_down("right", A, 1)
        worker = await stage.stranger("right", A, url=f"tls://localhost:{port}")
        await stage.control.ensure_pool(A)
        await stage.control.publish_job(A, PLAN, b"")
        assert len(await worker.jobs(1, 5)) == 1
        with pytest.raises(BrokerAway):  # in clear text the server says nothing at all
            await stage.stranger("right", A, within=1, url=f"nats://127.0.0.1:{port}")
        for ca in ("", _another_authority(tmp_path)):
            with pytest.raises(BrokerAway, match=r"(?i)certificate"):
                await stage.stranger("right", A, within=1, ca=ca)
        assert stage.gate.asked == ["right"], "no secret was sent to a server that is not known, or in clear text"
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        _, writer = await asyncio.open_connection("127.0.0.1", int(port), ssl=old)
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.2"
        writer.close()

    play(tmp_path / "data", scene, workers_listen="127.0.0.1:0")


def test_a_certificate_of_the_operator_is_shown_and_its_name_is_looked_at(tmp_path: Path) -> None:
    files = _certificate(tmp_path, "ci.example.org")

    async def scene(stage: Stage) -> None:
        assert stage.server.ca_pem == "", "who issued it is known to the workers' machines, or to their operator"
        assert stage.server.workers_url.startswith("tls://ci.example.org:")
        assert await stage.worker(), "whoever is beside the server needs no name"
        stage.gate.write_down("right", A, 1)
        trusted = (tmp_path / "shown.pem").read_text()
        with pytest.raises(BrokerAway, match=r"(?i)certificate"):
            await stage.stranger("right", A, within=1, ca=trusted)
        assert stage.gate.asked == []

    tls = ServerTls(*files, names=("ci.example.org",))
    play(tmp_path / "data", scene, workers_listen="127.0.0.1:0", tls=tls)


def test_the_certificate_and_the_ca_are_the_same_at_the_next_start(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []

    async def scene(stage: Stage) -> None:
        seen.append((stage.server.ca_pem, (tmp_path / "tls" / "server.pem").read_text()))
        for path in (tmp_path / "tls").glob("*.key"):
            assert path.stat().st_mode & 0o077 == 0

    for _ in range(2):
        play(tmp_path, scene, workers_listen="127.0.0.1:0")
    assert seen[0] == seen[1]


@pytest.mark.parametrize("wrong", ["one file", "no file", "another key", "expired"])
def test_a_certificate_that_can_not_be_used_is_refused_at_the_start(wrong: str, tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path, "ci.example.org", days=-1 if wrong == "expired" else 1)
    given = {
        "one file": ServerTls(certificate),
        "no file": ServerTls(certificate, tmp_path / "missing"),
        "another key": ServerTls(certificate, _certificate(tmp_path / "b", "ci.example.org")[1]),
        "expired": ServerTls(certificate, key),
    }[wrong]
    with pytest.raises(ServerFailed, match=r"both files|can't be used|is not the key|has expired"):
        asyncio.run(BundledServer(tls=given, workers_listen="127.0.0.1:0").start(tmp_path / "data"))


@pytest.mark.parametrize("listen", ["4222", "host", "host:port", "host:99999", "::1:4222", ""])
def test_what_is_no_address_is_refused(listen: str) -> None:
    if not listen:
        assert BundledServer(workers_listen=listen).workers_url == ""
        return
    with pytest.raises(ValueError, match="host:port"):
        BundledServer(workers_listen=listen)


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        listen = stage.server.url.removeprefix("tls://")
        with pytest.raises(ServerFailed, match="address already in use"):
            await BundledServer(workers_listen=listen).start(tmp_path / "other")

    play(tmp_path / "data", scene, workers_listen="127.0.0.1:0")


def _another_authority(folder: Path) -> str:
    return prepare(folder / "other", ServerTls(), "127.0.0.1").authority


def _certificate(folder: Path, name: str, days: int = 1) -> tuple[Path, Path]:
    """A certificate that nobody has signed but itself, and its key."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(who, who, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    shown, secret = folder / "shown.pem", folder / "secret.pem"
    form = serialization.Encoding.PEM
    shown.write_bytes(made.public_bytes(form))
    secret.write_bytes(
        key.private_bytes(form, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    return shown, secret
