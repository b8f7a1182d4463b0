"""Where `resit serve` is reached from other machines, and how it shows who it is."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from resit.cli.settings import CommandError

WorkersListen = Annotated[
    str,
    Parameter(
        env_var="RESIT_WORKERS_LISTEN",
        metavar="HOST:PORT",
        help="Listen there for workers of other machines, over TLS (docs/howto/add-workers.md).",
    ),
]
Tls = Annotated[
    bool,
    Parameter(help="Serve HTTPS with a certificate of its own making; tls/ca.pem in the data folder vouches for it."),
]
TlsCert = Annotated[
    Path | None,
    Parameter(
        env_var="RESIT_TLS_CERT",
        metavar="FILE",
        help="Serve HTTPS with this certificate (PEM, with its chain), and show it to workers.",
    ),
]
TlsKey = Annotated[
    Path | None, Parameter(env_var="RESIT_TLS_KEY", metavar="FILE", help="The key of the certificate, PEM.")
]

_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:/]*)):(?P<port>\d{1,5})")


def check(*, host: str, url: str, workers_listen: str, nats_url: str, cert: Path | None, key: Path | None) -> None:
    """Refuse what could not work."""
    if (cert is None) != (key is None):
        raise CommandError("--tls-cert and --tls-key belong together", "name both files")
    if not workers_listen:
        return
    if nats_url:
        raise CommandError(
            "--workers-listen is for the bundled broker, and --nats-url names another",
            "workers connect to your NATS: leave --workers-listen out",
        )
    found = _LISTEN.fullmatch(workers_listen)
    if not found or int(found["port"]) > 65535:
        raise CommandError(f"--workers-listen {workers_listen}: write HOST:PORT", "for example 0.0.0.0:4222")
    if loopback(host) and not loopback(found["six"] or found["host"]) and not url:
        raise CommandError(
            f"workers of other machines hand artifacts in over HTTP, and --host {host} is for this machine alone",
            "say --host 0.0.0.0 --tls, or --url where a proxy is reached",
        )


def loopback(host: str) -> bool:
    """True for an address that no other machine reaches; no host at all is every address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
