"""The server's key: seals secrets (Fernet: AES-128-CBC with HMAC) and signs the short-lived rights of workers."""

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.fernet import Fernet


def load_key(path: Path) -> bytes:
    """The 32 bytes at ``path``, made there (mode 0600) when it is missing."""
    try:
        return base64.urlsafe_b64decode(path.read_bytes())
    except FileNotFoundError:
        key = os.urandom(32)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.urlsafe_b64encode(key))
        return key


class KeySigner:
    """See ``resit.ports.Signer``."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(key))
        # A key of its own for signatures: what is sealed and what is signed never share one.
        self._signing = hashlib.sha256(b"resit signatures" + key).digest()

    def seal(self, secrets: Mapping[str, str]) -> str:
        """Encrypt secrets for storage."""
        return self._fernet.encrypt(json.dumps(dict(secrets)).encode()).decode()

    def unseal(self, sealed: str) -> dict[str, str]:
        """The reverse of :meth:`seal`."""
        return json.loads(self._fernet.decrypt(sealed.encode())) if sealed else {}

    def sign(self, subject: str, expires_at: float) -> str:
        """A token that says "the bearer may speak for ``subject``" until ``expires_at``."""
        body = base64.urlsafe_b64encode(json.dumps([subject, expires_at]).encode()).decode()
        return f"{body}.{self._mac(body)}"

    def verify(self, token: str, now: float) -> str | None:
        """The subject of a token that is ours and has not expired, else None."""
        body, _, mac = token.partition(".")
        if not hmac.compare_digest(mac.encode(), self._mac(body).encode()):
            return None
        subject, expires_at = json.loads(base64.urlsafe_b64decode(body))
        return subject if now < expires_at else None

    def _mac(self, body: str) -> str:
        return hmac.new(self._signing, body.encode(), hashlib.sha256).hexdigest()
