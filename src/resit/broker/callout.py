"""Workers of other machines: the broker asks a control plane whom it may let in, and with which rights.

The server publishes a signed question for each connection that is not one of its own users; whoever of the control
planes gets it asks the :class:`~resit.ports.Gate` and answers with rights that are signed with the account's key. The
rights are those of one pool (:mod:`resit.broker.rights`). They end, and then the worker connects and is checked anew.
"""

import asyncio
import hmac
import logging
import random
import time
from collections.abc import Callable
from typing import Any, cast

from nats.aio.msg import Msg

from resit.broker import rights
from resit.broker.address import Address, inbox_of
from resit.broker.link import Link
from resit.broker.nkeys import Issuer, read
from resit.broker.subjects import CONTROL_GROUP, check_pool
from resit.ports import Gate, Pass

SUBJECT = "$SYS.REQ.USER.AUTH"
AT_ONCE = 8
"""Questions to the gate at a time: who knocks often must not keep the control plane from its work."""
_ASKED = "nats-authorization-request"
_LONGEST_SECRET = 1024
_OWN = "own"
_LOG = logging.getLogger(__name__)


def user_of(credential: int) -> str:
    """The name under which the broker knows the connections of a credential."""
    return f"worker-credential-{credential}"


def own_secret(issuer: Issuer, pool: str) -> str:
    """What the worker beside a control plane presents to a broker that does not know it by itself.

    All who hold the account's key can check it, and they alone can make it; it is not the gate's business.
    """
    return f"{_OWN}.{check_pool(pool)}.{issuer.word(f'worker of {pool}')}"


class Callout:
    """Answers the broker's questions until the connection is closed."""

    def __init__(
        self, link: Link, issuer: Issuer, gate: Gate, account: str, valid: float, came: Callable[[str], None]
    ) -> None:
        """``account``: where the workers are to be; ``valid``: seconds after which rights have to be asked for anew;
        ``came`` is told the pool of each worker that is let in.
        """
        self._link, self._issuer, self._gate, self._came = link, issuer, gate, came
        self._account, self._valid = account, valid
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def begin(self) -> None:
        """Answer from now on. Raises :class:`BrokerAway`."""

        async def asked(message: Msg) -> None:
            self._link.spawn(self._answer(message))

        await self._link.listen(SUBJECT, asked, CONTROL_GROUP)

    async def _answer(self, message: Msg) -> None:
        try:
            claims = read(message.data.decode())
            if claims["aud"] != _ASKED:
                raise ValueError("not a question for rights")
            about = cast("dict[str, Any]", claims["nats"])
            user, server = str(about["user_nkey"]), str(about["server_id"]["id"])
            secret = _presented(about["connect_opts"])
        except (KeyError, TypeError, ValueError) as error:
            _LOG.warning("a question of the broker can't be read: %s", error)
            return
        answer = await self._decide(secret, user)
        about = {**answer, "type": "authorization_response", "version": 2}
        signed = self._issuer.sign({"sub": user, "aud": server, "nats": about})
        await self._link.respond(message, signed.encode())

    async def _decide(self, secret: str, user: str) -> dict[str, str]:
        if not secret or len(secret) > _LONGEST_SECRET:
            return {"error": "a worker presents the secret of its credential"}
        try:
            async with self._turns:
                found = self._own(secret) or await asyncio.to_thread(self._gate.admit, secret)
            if found is None:
                return {"error": "the credential is unknown, revoked or expired"}
            signed = self._signed(found, user, inbox_of(secret))
            self._came(found.pool)
            return {"jwt": signed}
        except Exception:
            _LOG.exception("a worker can't be let in now")
            return {"error": "the credential can't be looked up now"}

    def _own(self, secret: str) -> Pass | None:
        match secret.split("."):
            case [word, pool, _] if word == _OWN and hmac.compare_digest(
                secret.encode(), own_secret(self._issuer, pool).encode()
            ):
                return Pass(pool, 0, "the worker beside a control plane")
            case _:
                return None

    def _signed(self, found: Pass, user: str, inbox: str) -> str:
        """The rights of a pass, for one connection."""
        # Not all at the same moment: those who came together would come again together.
        end = time.time() + self._valid * random.uniform(0.8, 1.0)  # noqa: S311 - no secret
        if found.expires_at is not None:
            end = min(end, found.expires_at)
        allowed = rights.of_worker(check_pool(found.pool), inbox)
        return self._issuer.sign(
            {
                "sub": user,
                "aud": self._account,
                "name": user_of(found.credential),
                "exp": int(end),
                "nats": {
                    "pub": {"allow": list(allowed.publish)},
                    "sub": {"allow": list(allowed.subscribe)},
                    "subs": 100_000,
                    "data": -1,
                    "payload": -1,
                    "allowed_connection_types": ["STANDARD"],
                    "type": "user",
                    "version": 2,
                },
            }
        )


def _presented(options: dict[str, Any]) -> str:
    """The secret: a token, or a password under whatever name."""
    return str(options.get("auth_token") or options.get("pass") or "")


def own_address(address: Address, issuer: Issuer, pool: str) -> Address:
    """Where and how the worker beside a control plane reaches a broker that knows no such user."""
    return Address(address.url, token=own_secret(issuer, pool), ca=address.ca)
