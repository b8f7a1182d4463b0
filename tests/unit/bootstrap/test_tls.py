"""Under which names other machines find a server, and what they trust."""

import socket
from pathlib import Path
from typing import Any

import pytest

from resit.bootstrap.tls import server_tls, shown, workers_address
from resit.config import Settings
from resit.domain.errors import Conflict

HOST = socket.gethostname()


def settings(folder: Path = Path("/d"), **words: Any) -> Settings:
    return Settings(data=folder, port=4000, **words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({}, HOST),
        ({"workers_listen": "127.0.0.1:0"}, "127.0.0.1"),
        ({"workers_listen": "0.0.0.0:4222"}, HOST),
        ({"workers_listen": "[::]:4222"}, HOST),
        ({"workers_listen": "ci.example.org:4222"}, "ci.example.org"),
        ({"workers_listen": "0.0.0.0:4222", "url": "https://resit.example.org/x"}, "resit.example.org"),
    ],
)
def test_workers_are_told_a_name_that_leads_here(words: dict[str, Any], told: str) -> None:
    assert server_tls(settings(**words)).names[0] == told


def test_where_workers_come_in(tmp_path: Path) -> None:
    assert workers_address(settings(), "", "") is None
    plain = workers_address(settings(host="10.1.2.3"), "tls://10.1.2.3:4222", "PEM")
    assert plain is not None
    assert (plain.brokers, plain.server, plain.ca) == (("tls://10.1.2.3:4222",), "http://10.1.2.3:4000", "PEM")
    several = workers_address(settings(url="https://ci/resit/"), "tls://a:1, tls://b:1", "")
    assert several is not None
    assert (several.brokers, several.server, several.ca) == (("tls://a:1", "tls://b:1"), "https://ci/resit", "")
    secure = settings(tmp_path, host="0.0.0.0", tls=True)  # noqa: S104 - nobody listens
    certificate = shown(secure)
    assert certificate is not None
    both = workers_address(secure, "tls://a:1", "OTHER\n")
    assert both is not None
    assert (both.server, both.ca) == (f"https://{HOST}:4000", "OTHER\n" + certificate.authority)
    same = workers_address(secure, "tls://a:1", certificate.authority)
    assert same is not None
    assert same.ca == certificate.authority


def test_one_certificate_for_both_ports_is_made_once(tmp_path: Path) -> None:
    secure = settings(tmp_path, host="127.0.0.2", workers_listen="127.0.0.3:0", tls=True)
    first = shown(secure)
    assert first is not None
    again = shown(secure)
    assert again is not None
    assert first.own == again.own
    assert shown(settings(tmp_path)) is None


def test_a_certificate_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("nothing")
    with pytest.raises(Conflict, match="no certificate for HTTPS"):
        shown(settings(tmp_path, tls_cert=tmp_path / "x.pem", tls_key=tmp_path / "x.pem"))
