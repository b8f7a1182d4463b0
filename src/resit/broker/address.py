"""Where the broker is and what to present there."""

import hashlib
import ssl
from dataclasses import dataclass, field

_INBOX = "_INBOX_"


def inbox_of(secret: str) -> str:
    """The prefix of the subjects under which who presents ``secret`` gets answers.

    Both sides make it of the secret, so that nothing has to be agreed on, and who does not know the secret can't guess
    where its owner listens.
    """
    return _INBOX + hashlib.sha256(f"inbox of {secret}".encode()).hexdigest()[:32]


def is_inbox(subject: str) -> bool:
    """Whether answers are awaited under this subject; ``_R_`` is how the server names one of another account."""
    return subject.startswith((_INBOX, "_R_."))


@dataclass(frozen=True, slots=True)
class Address:
    """``url`` may list several servers, separated by commas; ``tls://`` is TLS from the first byte.

    What is presented is a user with a password, or a token. ``ca``: the certificates to trust, PEM; empty: those that
    the machine trusts. ``exact``: ``ca`` is the very certificate of the server, whatever names it has.
    """

    url: str
    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    ca: str = field(default="", repr=False)
    exact: bool = False

    @property
    def servers(self) -> list[str]:
        """The addresses one by one."""
        return [url.strip() for url in self.url.split(",")]

    @property
    def inbox(self) -> str:
        """Where answers are awaited; see :func:`inbox_of`."""
        return inbox_of(self.token or self.password)

    def tls(self) -> ssl.SSLContext | None:
        """How to make sure that the server is the right one; None where the address does not speak TLS."""
        if not any(url.startswith("tls://") for url in self.servers):
            return None
        context = ssl.create_default_context(cadata=self.ca or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.exact:
            # The one certificate is all that is trusted, so it need not lead to a root, nor name this address.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.check_hostname = False
        return context
