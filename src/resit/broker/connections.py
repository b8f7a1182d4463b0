"""The connections that a credential has now, and their end."""

import contextlib
import json
import logging
from typing import Any

from nats.aio.msg import Msg

from resit.broker.link import Link
from resit.ports import BrokerAway

QUIET_SECONDS = 0.3
"""When no server of a cluster has answered for so long, all have."""
PATIENCE = 1.0
_PAGE = 1024
_LOG = logging.getLogger(__name__)


async def end(system: Link, user: str) -> int:
    """End all connections of ``user``, at all servers, by the rights of the system account; returns how many.

    Raises :class:`BrokerAway`.
    """
    ended = 0
    for server, connection in await _of(system, user):
        with contextlib.suppress(BrokerAway):  # it has left by itself
            await system.request(
                f"$SYS.REQ.SERVER.{server}.KICK",
                json.dumps({"cid": connection}).encode(),
                wait=PATIENCE,
                what="end a connection",
            )
            ended += 1
    if ended:
        _LOG.info("%s connections of %s were ended", ended, user)
    return ended


async def _of(system: Link, user: str) -> list[tuple[str, int]]:
    """Server and number of each connection of a user."""
    found: list[tuple[str, int]] = []
    offset, more = 0, True
    while more:
        call = {"auth": True, "user": user, "limit": _PAGE, "offset": offset}
        answers = await system.gather("$SYS.REQ.SERVER.PING.CONNZ", json.dumps(call).encode(), QUIET_SECONDS)
        more = False
        for about in map(_data, answers):
            page: list[dict[str, Any]] = about.get("connections") or []
            found.extend((str(about["server_id"]), int(one["cid"])) for one in page)
            more = more or offset + len(page) < int(about.get("total", 0))
        offset += _PAGE
    return found


def _data(answer: Msg) -> dict[str, Any]:
    return json.loads(answer.data).get("data") or {}
