"""The server's certificate: one that the operator has, or one of our own making, signed by an authority of our own.

The authority lasts ten years and is what workers of other machines trust; it is made once, in ``tls`` in the data
folder. The server's certificate lasts a year. It is made anew at a start when it is a month old, so that a server may
stay up for eleven months, or when the machine has another name or address.
"""

import datetime
import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from resit.broker.files import write_private

AUTHORITY_DAYS = 3652
CERTIFICATE_DAYS = 365
RENEW_AFTER_DAYS = 30
_LONGEST_NAME = 64
_SIOCGIFADDR = 0x8915

_Name = x509.DNSName | x509.IPAddress


@dataclass(frozen=True, slots=True)
class ServerTls:
    """How the server shows who it is.

    ``certificate`` (a chain, PEM) and ``key`` are files of the operator; without them both are made. ``names``: further
    host names and addresses under which workers reach the server, the first of them the one that they are told.
    """

    certificate: Path | None = None
    key: Path | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """What the server shows, and what its clients trust for it."""

    certificate: Path
    key: Path
    authority: str
    """The authority that workers of other machines need to know, PEM; empty: one that machines trust anyway."""
    own: str
    """The server's certificate itself, PEM, for clients beside it."""


class BadCertificate(Exception):
    """The certificate can't be used; the message says why."""


def prepare(folder: Path, tls: ServerTls, host: str) -> Shown:
    """The certificate for a server that listens on ``host``; ours are kept in ``folder``. Raises BadCertificate."""
    if tls.certificate is not None or tls.key is not None:
        return _given(tls)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    shown = folder / "server.pem"
    key = folder / "server.key"
    authority, signer = _authority(folder)
    wanted = _wanted((*tls.names, host))
    if not _good(shown, key, wanted, authority):
        _make(shown, key, wanted, authority, signer)
    text = _pem(authority)
    return Shown(shown, key, text, shown.read_text())


def _given(tls: ServerTls) -> Shown:
    if tls.certificate is None or tls.key is None:
        raise BadCertificate("a certificate and its key belong together: name both files")
    try:
        leaf = x509.load_pem_x509_certificates(tls.certificate.read_bytes())[0]
        key = serialization.load_pem_private_key(tls.key.read_bytes(), None)
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise BadCertificate(f"{tls.certificate} or {tls.key} can't be used: {error}") from error
    if leaf.public_key() != key.public_key():
        raise BadCertificate(f"{tls.key} is not the key of {tls.certificate}")
    if leaf.not_valid_after_utc < _now():
        raise BadCertificate(f"{tls.certificate} has expired on {leaf.not_valid_after_utc:%Y-%m-%d}")
    return Shown(tls.certificate.absolute(), tls.key.absolute(), "", _pem(leaf))


# ---------------------------------------------------------------- an authority of our own


def _authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    place, key_place = folder / "ca.pem", folder / "ca.key"
    if place.exists():
        try:
            known = x509.load_pem_x509_certificate(place.read_bytes())
            key = serialization.load_pem_private_key(key_place.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            # Another authority would shut out all workers that trust this one: that is not ours to decide.
            raise BadCertificate(
                f"our authority in {folder} can't be read ({error}); restore it, or remove the folder and give the new "
                "ca.pem to all workers"
            ) from error
        if isinstance(key, ec.EllipticCurvePrivateKey) and known.not_valid_after_utc > _now():
            return known, key
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Resit of {socket.gethostname()}"[:_LONGEST_NAME])])
    identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    made = (
        _begin(name, name, key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(identity, critical=False)
        .sign(key, hashes.SHA256())
    )
    write_private(key_place, _pem_key(key))
    write_private(place, _pem(made))
    return made, key


def _make(
    place: Path, key_place: Path, names: set[_Name], authority: x509.Certificate, signer: ec.EllipticCurvePrivateKey
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Resit")])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    made = (
        _begin(subject, authority.subject, key.public_key(), CERTIFICATE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(sorted(names, key=str)), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer, critical=False)
        .sign(signer, hashes.SHA256())
    )
    write_private(key_place, _pem_key(key))
    write_private(place, _pem(made))


def _good(place: Path, key_place: Path, wanted: set[_Name], authority: x509.Certificate) -> bool:
    """Whether the certificate of an earlier start still serves."""
    try:
        known = x509.load_pem_x509_certificate(place.read_bytes())
        key = serialization.load_pem_private_key(key_place.read_bytes(), None)
        known.verify_directly_issued_by(authority)
        names = set(known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except Exception:
        return False  # whatever is wrong with it: another one is made
    young = known.not_valid_before_utc + datetime.timedelta(days=RENEW_AFTER_DAYS) > _now()
    return young and wanted <= names and known.public_key() == key.public_key()


def _begin(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = _now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


# ---------------------------------------------------------------- names


def _wanted(named: Iterable[str]) -> set[_Name]:
    """The names of the certificate: those that were given, this machine's, and its addresses if it listens on all."""
    found = {*named, "localhost", "127.0.0.1", socket.gethostname()}
    if found & {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not listened on
        found = (found | set(_addresses())) - {"0.0.0.0", "::", ""}  # noqa: S104
    return {_name(text) for text in found}


def _name(text: str) -> _Name:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        try:
            return x509.DNSName(text.encode("idna").decode())
        except ValueError as error:
            raise BadCertificate(f"{text!r} is no host name") from error


def _addresses() -> list[str]:
    """The addresses of this machine's interfaces."""
    found: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # it has no address
            found.append(socket.inet_ntoa(answer[20:24]))
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        address = ipaddress.IPv6Address(bytes.fromhex(line.split()[0]))
        if not address.is_link_local:
            found.append(str(address))
    return found


# ---------------------------------------------------------------- files


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _pem_key(key: ec.EllipticCurvePrivateKey) -> str:
    none = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none).decode()
