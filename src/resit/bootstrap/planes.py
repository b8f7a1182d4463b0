"""This control plane among others on the same database: what it must share with them, and who does what."""

import hashlib
import os
import secrets
import socket
from collections.abc import Sequence

from sqlalchemy import Engine

from resit import __version__
from resit.config import Settings
from resit.domain.errors import Conflict
from resit.ports import Duties, Plane
from resit.storage.duties import SqlDuties

ALIVE_SECONDS = 15.0
"""A control plane says every five seconds that it is there."""


class SoleDuties:
    """See ``resit.ports.Duties``: an embedded database has one control plane, which need not ask."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def hold(self, name: str, seconds: float) -> bool:
        """Always."""
        del name, seconds
        return True

    def release(self, name: str) -> None:
        """Nobody waits for it."""

    def present(self) -> None:
        """Nobody asks."""

    def planes(self, within: float) -> Sequence[Plane]:
        """This one."""
        del within
        return [self._plane]


def this_plane(settings: Settings, url: str, key: bytes) -> Plane:
    """What this process is called, and what it must have in common with the others."""
    name = f"{socket.gethostname()[:60] or 'resit'}-{os.getpid()}-{secrets.token_hex(3)}"
    # Two bundled brokers don't know of each other's work; members of a cluster may be named differently.
    broker = "cluster" if settings.nats_url else f"bundled:{socket.gethostname()}:{settings.data.absolute()}"
    mark = hashlib.sha256(b"resit mark of a key" + key).hexdigest()[:16]
    return Plane(name=name, url=url, version=__version__, broker=broker, key=mark)


def duties_of(settings: Settings, engine: Engine, plane: Plane) -> Duties:
    """The duties of this control plane. Raises :class:`Conflict` when it does not fit those that are there."""
    if not settings.database:
        return SoleDuties(plane)
    duties = SqlDuties(engine, plane)
    for other in duties.planes(ALIVE_SECONDS):
        if other.key != plane.key:
            raise Conflict(
                f"control plane {other.name} serves from this database with another secret key: give all of them the "
                "same one (--secret-key FILE), or they can't read each other's secrets"
            )
        if other.broker != plane.broker:
            raise Conflict(
                f"control plane {other.name} serves from this database with another broker: several control planes "
                "need one NATS for all (--nats-url)"
            )
    return duties
