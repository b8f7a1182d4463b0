"""How this server shows who it is, at its HTTP port and at the bundled broker; and where other machines find it."""

import socket
from urllib.parse import urlsplit

from resit.broker.certificates import BadCertificate, ServerTls, Shown, prepare
from resit.broker.configuration import Listen
from resit.config import Settings
from resit.domain.errors import Conflict
from resit.domain.fleet import WorkersAddress

_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - compared, not listened on


def server_tls(settings: Settings) -> ServerTls:
    """The certificate for both ports: they have one, so that there is one authority to trust.

    The first of its names is the one that workers are told. Raises ValueError for an address that is none.
    """
    listen = Listen.of(settings.workers_listen).host if settings.workers_listen else ""
    names = (_told(settings, listen), settings.host, listen)
    return ServerTls(settings.tls_cert, settings.tls_key, tuple(dict.fromkeys(name for name in names if name)))


def _told(settings: Settings, listen: str) -> str:
    """The name under which other machines know this one: the users' one, else the one that is listened on."""
    for name in (urlsplit(settings.url).hostname or "", listen):
        if name not in _EVERYWHERE:
            return name
    return socket.gethostname()


def shown(settings: Settings) -> Shown | None:
    """What the HTTP port shows; None where it speaks plain HTTP. Raises :class:`Conflict`."""
    if not settings.https:
        return None
    try:
        return prepare(settings.data.absolute() / "tls", server_tls(settings), settings.host)
    except (BadCertificate, ValueError) as error:
        raise Conflict(f"no certificate for HTTPS: {error}") from error


def workers_address(settings: Settings, brokers: str, ca: str) -> WorkersAddress | None:
    """Where workers of other machines come in; None when they can't.

    ``brokers``: where they find the broker, separated by commas; ``ca``: whom they must trust there, PEM.
    """
    if not brokers:
        return None
    certificate = shown(settings)
    authorities = dict.fromkeys((ca, certificate.authority if certificate else ""))
    return WorkersAddress(
        brokers=tuple(url.strip() for url in brokers.split(",")),
        server=settings.url.rstrip("/") or _server(settings),
        ca="".join(authorities),
    )


def _server(settings: Settings) -> str:
    host = settings.host
    if host in _EVERYWHERE:
        listen = Listen.of(settings.workers_listen).host if settings.workers_listen else ""
        host = _told(settings, listen)
    return f"{'https' if settings.https else 'http'}://{Listen(host, settings.port)}"
