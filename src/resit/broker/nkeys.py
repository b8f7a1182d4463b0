"""Keys and signed words as nats-server understands them: Ed25519 keys in the text form "nkey", and its kind of JWT.

Written here on `cryptography`, which Resit has anyway: the package ``nkeys`` would bring a second cryptographic library
for what is an encoding and one signature.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_SEED = 18 << 3
_ACCOUNT = 0
_KEY_BYTES = 32
_HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}


class BadKey(ValueError):
    """This is no key, or not a key of the kind that is needed here."""


def _text(raw: bytes) -> str:
    """Bytes and their checksum as letters and digits."""
    return base64.b32encode(raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        whole = base64.b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError) as error:
        raise BadKey("not a key: it has characters that no key has") from error
    raw, check = whole[:-2], whole[-2:]
    if binascii.crc_hqx(raw, 0).to_bytes(2, "little") != check:
        raise BadKey("not a key: its checksum is wrong")
    return raw


def verify(key: str, signature: bytes, data: bytes) -> bool:
    """Whether the owner of the public ``key``, of whatever kind, has signed ``data``."""
    try:
        raw = _bytes(key)
        if len(raw) != 1 + _KEY_BYTES:
            return False
        Ed25519PublicKey.from_public_bytes(raw[1:]).verify(signature, data)
    except (BadKey, InvalidSignature):
        return False
    return True


@dataclass(frozen=True, slots=True)
class Issuer:
    """The account key with which control planes sign what a worker may do; every one of a cluster has the same."""

    _key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        """A key that nobody else has."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: str) -> Self:
        """The key of a seed, a text that begins with SA. Raises :class:`BadKey`."""
        raw = _bytes(seed.strip())
        if len(raw) != 2 + _KEY_BYTES or raw[0] & 0xF8 != _SEED:
            raise BadKey("not the seed of a key: such a text begins with SA")
        if (raw[0] & 7) << 5 | raw[1] >> 3 != _ACCOUNT:
            raise BadKey("this is the seed of another kind of key: that of an account begins with SA")
        return cls(Ed25519PrivateKey.from_private_bytes(raw[2:]))

    @property
    def seed(self) -> str:
        """The secret form, from which :meth:`from_seed` makes the same key."""
        form, none = serialization.Encoding.Raw, serialization.NoEncryption()
        return _text(bytes((_SEED, 0)) + self._key.private_bytes(form, serialization.PrivateFormat.Raw, none))

    @property
    def public(self) -> str:
        """The public form, for the configuration of the server; it begins with A."""
        form = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        return _text(bytes((_ACCOUNT,)) + self._key.public_key().public_bytes(*form))

    def word(self, about: str) -> str:
        """A secret that only who holds the key can make, always the same for the same ``about``."""
        return hmac.new(self.seed.encode(), about.encode(), hashlib.sha256).hexdigest()

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A JWT with these claims, made now."""
        whole = {**claims, "iss": self.public, "iat": int(time.time())}
        whole["jti"] = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
        said = f"{_part(json.dumps(_HEADER).encode())}.{_part(json.dumps(whole).encode())}"
        return f"{said}.{_part(self._key.sign(said.encode()))}"


def read(token: str) -> dict[str, Any]:
    """The claims of a JWT that its issuer, whoever that is, has signed. Raises ValueError."""
    said, _, signature = token.rpartition(".")
    try:
        header, claims = (json.loads(_unpart(part)) for part in said.split("."))
        if header["alg"] != _HEADER["alg"] or not verify(claims["iss"], _unpart(signature), said.encode()):
            raise ValueError("the signature is not that of the issuer")
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a signed word of a NATS server: {error}") from error
    return cast("dict[str, Any]", claims)


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unpart(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
