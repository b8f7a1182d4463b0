"""Our own authority lasts; the server's certificate follows the machine's names and its own age."""

import datetime
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509

from resit.broker import certificates
from resit.broker.certificates import BadCertificate, ServerTls, prepare


def names(shown: certificates.Shown) -> set[str]:
    found = x509.load_pem_x509_certificate(shown.certificate.read_bytes())
    alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in alternatives}


def test_the_certificate_names_the_machine_and_what_was_given(tmp_path: Path) -> None:
    shown = prepare(tmp_path, ServerTls(names=("ci.example.org", "10.1.2.3")), "10.0.0.5")
    assert {"ci.example.org", "10.1.2.3", "10.0.0.5", "localhost", "127.0.0.1"} <= names(shown)
    found = x509.load_pem_x509_certificate(shown.certificate.read_bytes())
    authority = x509.load_pem_x509_certificate(shown.authority.encode())
    found.verify_directly_issued_by(authority)
    left = found.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(days=360) < left < datetime.timedelta(days=366)
    assert (authority.not_valid_after_utc - found.not_valid_after_utc).days > 3000
    for private in ("ca.key", "server.key"):
        assert (tmp_path / private).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - nothing listens
def test_who_listens_everywhere_names_every_address(host: str, tmp_path: Path) -> None:
    found = names(prepare(tmp_path, ServerTls(), host))
    assert host not in found
    addresses = {ipaddress.ip_address(name) for name in found if name[0].isdigit() or ":" in name}
    assert ipaddress.ip_address("127.0.0.1") in addresses


def test_the_same_certificate_serves_until_it_is_a_month_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(tmp_path, ServerTls(), "10.0.0.5")
    assert prepare(tmp_path, ServerTls(), "10.0.0.5") == first
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=certificates.RENEW_AFTER_DAYS + 1)
    monkeypatch.setattr(certificates, "_now", lambda: later)
    renewed = prepare(tmp_path, ServerTls(), "10.0.0.5")
    assert renewed.own != first.own
    assert renewed.authority == first.authority, "workers go on trusting it"


def test_another_name_makes_another_certificate(tmp_path: Path) -> None:
    first = prepare(tmp_path, ServerTls(), "10.0.0.5")
    second = prepare(tmp_path, ServerTls(names=("new.example.org",)), "10.0.0.5")
    assert "new.example.org" in names(second)
    assert second.authority == first.authority


def test_a_broken_certificate_is_made_anew_and_a_broken_authority_is_not(tmp_path: Path) -> None:
    first = prepare(tmp_path, ServerTls(), "10.0.0.5")
    (tmp_path / "server.pem").write_text("broken")
    assert prepare(tmp_path, ServerTls(), "10.0.0.5").authority == first.authority
    for name in ("ca.pem", "ca.key"):
        kept = (tmp_path / name).read_text()
        (tmp_path / name).write_text("broken")
        with pytest.raises(BadCertificate, match=r"restore it, or remove"):
            prepare(tmp_path, ServerTls(), "10.0.0.5")
        (tmp_path / name).write_text(kept)


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCertificate, match="no host name"):
        prepare(tmp_path, ServerTls(names=("ü" * 80,)), "10.0.0.5")
