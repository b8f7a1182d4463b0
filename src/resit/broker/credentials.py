"""What a control plane presents to a broker that somebody else runs: a file of its operator, in TOML.

``user`` and ``password``, or ``token``: of the control planes. ``issuer``: the seed of the account key that the
broker's ``auth_callout`` names. ``system_user`` and ``system_password``: a user of the system account, so that the
connections of a revoked credential end at once. ``workers``: the account of the workers, if it is not WORKERS.
``ca``: a file with the authority to trust, beside this one if it is relative.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from resit.broker.address import Address
from resit.broker.configuration import WORKERS
from resit.broker.nkeys import BadKey, Issuer

_WORDS = {"user", "password", "token", "issuer", "workers", "system_user", "system_password", "ca"}


class BadCredentials(Exception):
    """The file can't be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where and as whom."""

    control: Address
    system: Address | None
    issuer: Issuer
    workers: str

    @property
    def ca_pem(self) -> str:
        """The authority to trust, PEM; empty: one that machines trust anyway."""
        return self.control.ca


def read(path: Path, url: str) -> Credentials:
    """From the file, for the broker at ``url``. Raises :class:`BadCredentials`."""
    try:
        found = tomllib.loads(path.read_text())
        if unknown := sorted(set(found) - _WORDS):
            raise BadCredentials(f"{path}: unknown: {', '.join(unknown)}; known are {', '.join(sorted(_WORDS))}")
        said = {word: str(value) for word, value in found.items()}
        ca = (path.parent / said["ca"]).read_text() if "ca" in said else ""
        issuer = Issuer.from_seed(said.get("issuer", ""))
    except BadKey as error:
        raise BadCredentials(f"{path}: issuer: {error}") from error
    except (OSError, ValueError) as error:
        raise BadCredentials(f"{path}: {error}") from error
    control = Address(
        url, token=said.get("token", ""), user=said.get("user", ""), password=said.get("password", ""), ca=ca
    )
    system = None
    if "system_user" in said:
        system = Address(url, user=said["system_user"], password=said.get("system_password", ""), ca=ca)
    return Credentials(control, system, issuer, said.get("workers", WORKERS))
