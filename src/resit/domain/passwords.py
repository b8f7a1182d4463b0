"""Passwords: what is kept of them, and whether one fits. Salted scrypt; its parameters stand in the kept text."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from resit.domain.errors import InvalidInput
from resit.domain.project import check_text

SHORTEST, LONGEST = 8, 128
"""Characters (CCExtractor, study 1.2)."""
_BYTES = 32
_MOST_MEMORY = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Strength:
    """What one guess costs: ``n`` and ``block`` make its memory (128 · n · block bytes), ``rounds`` its time."""

    n: int = 2**14
    block: int = 8
    rounds: int = 5


STRENGTH = Strength()
"""16 MiB and about 0.2 s (the OWASP cheat sheet's choice for little memory: many may sign in at once)."""


def check_password(password: str) -> str:
    """A password of a length that is allowed, or :class:`InvalidInput`, which never tells it."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidInput(f"a password has {SHORTEST} to {LONGEST} characters", field="password")
    return check_text(password, "password", LONGEST)


def hashed(password: str, salt: str, strength: Strength = STRENGTH) -> str:
    """What is kept of a password: ``scrypt$n$block$rounds$salt$hash``. ``salt``: by chance, another one each time."""
    salted = salt.encode()
    words = [str(number) for number in (strength.n, strength.block, strength.rounds)]
    return "$".join(["scrypt", *words, _in_text(salted), _in_text(_scrypt(password, salted, strength))])


def fits(password: str, kept: str) -> bool:
    """True when ``kept`` was made of this password. What is no such text (an account without one) fits none."""
    try:
        kind, n, block, rounds, salt, wanted = kept.split("$")
        strength = Strength(int(n), int(block), int(rounds))
        found = _scrypt(password, base64.b64decode(salt), strength)
        return kind == "scrypt" and hmac.compare_digest(found, base64.b64decode(wanted))
    except (ValueError, binascii.Error):
        return False


def _scrypt(password: str, salt: bytes, strength: Strength) -> bytes:
    return hashlib.scrypt(
        password.encode(),
        salt=salt,
        n=strength.n,
        r=strength.block,
        p=strength.rounds,
        maxmem=_MOST_MEMORY,
        dklen=_BYTES,
    )


def _in_text(data: bytes) -> str:
    return base64.b64encode(data).decode()
