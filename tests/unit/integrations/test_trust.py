"""Which servers are the right ones: real handshakes on loopback."""

import asyncio
import ssl
from pathlib import Path

import pytest

from resit.broker.certificates import ServerTls, Shown, prepare
from resit.integrations.trust import BadAuthority, trusting


def handshake(certificate: Shown, trust: ssl.SSLContext, name: str) -> bool:
    """Whether a client that trusts so takes the server for the right one."""

    async def scene() -> bool:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate.certificate, certificate.key)
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=name)
        except ssl.SSLError:
            return False
        else:
            writer.close()
            return True
        finally:
            server.close()

    return asyncio.run(scene())


@pytest.fixture
def ours(tmp_path: Path) -> Shown:
    return prepare(tmp_path / "tls", ServerTls(), "127.0.0.1")


def test_an_authority_vouches_for_names_and_a_certificate_for_itself(ours: Shown, tmp_path: Path) -> None:
    assert handshake(ours, trusting(ours.authority), "localhost")
    assert not handshake(ours, trusting(ours.authority), "other.example.org")
    assert not handshake(ours, trusting(""), "localhost")
    assert handshake(ours, trusting(ours.own, exact=True), "other.example.org")
    another = prepare(tmp_path / "another", ServerTls(), "127.0.0.1")
    assert not handshake(another, trusting(ours.own, exact=True), "localhost")
    assert not handshake(another, trusting(ours.authority), "localhost")


@pytest.mark.parametrize("exact", [False, True])
def test_what_can_not_be_trusted(exact: bool) -> None:
    with pytest.raises(BadAuthority):
        trusting("nonsense", exact=exact)
