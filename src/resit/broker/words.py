"""Plain words from control planes: nothing of them is stored.

A worker may not say such words, but it can name any subject as the place where the server shall answer it, and the
server does not look whether the worker may speak there. So a word of a control plane bears a mark that no answer of the
server has, and an answer of ours goes to a place of answers only.
"""

from collections.abc import Callable

from nats.aio.msg import Msg

from resit.broker.address import is_inbox
from resit.broker.link import Link

REFUSAL = "Resit-Error"
"""The header of an answer that says why there is none."""
ID = "Nats-Msg-Id"
"""The header by which the broker recognizes a repetition; all events have it."""
WORK = {"Resit-Work": "1"}
_MARK = "Resit-Word"


async def say(link: Link, subject: str, data: bytes) -> None:
    """Publish to whoever listens now; returns when the broker has it. Raises :class:`BrokerAway`."""
    await link.send(subject, data, headers={_MARK: "1"})


async def listen(link: Link, subject: str, handler: Callable[[Msg], None]) -> None:
    """Call ``handler`` for each word of a control plane. Raises :class:`BrokerAway`."""

    async def heard(message: Msg) -> None:
        if _MARK in (message.headers or {}):
            handler(message)

    await link.listen(subject, heard)


def is_question(message: Msg) -> bool:
    """Whether an answer would go to who waits for one, and nowhere else."""
    return is_inbox(message.reply)
