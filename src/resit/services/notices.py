"""Notices: what is due to be told to webhooks, and what became of it."""

import base64
import hashlib
import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from resit import __version__
from resit.domain.webhook import SECRET_PREFIX, STALE_SECONDS, Notice, next_try
from resit.ports import Clock, Signer, Store
from resit.services.webhooks import SEALED


@dataclass(frozen=True, slots=True)
class Post:
    """A notice as it goes out."""

    notice: Notice
    url: str
    body: bytes
    headers: Mapping[str, str]


class Notices:
    """A notice is told at least once: who took it and died before that was noted gets it again."""

    def __init__(self, store: Store, clock: Clock, signer: Signer) -> None:
        self._store, self._clock, self._signer = store, clock, signer

    def due(self, limit: int, besides: Collection[int] = ()) -> Sequence[Post]:
        """The oldest due notice of each webhook but those in ``besides``: a slow one holds up itself alone."""
        with self._store.read() as tx:
            found = tx.webhooks.due(self._clock.now(), limit, besides)
            posts: list[Post] = []
            for notice in found:
                webhook = tx.webhooks.get(notice.webhook_id)
                if webhook is not None:
                    secret = self._signer.unseal(tx.webhooks.sealed(webhook.id)).get(SEALED, "")
                    posts.append(post(notice, webhook.url, secret))
            return posts

    def told(self, notice: Notice) -> None:
        """It was taken."""
        with self._store.write() as tx:
            tx.webhooks.done(notice.id)

    def failed(self, notice: Notice) -> bool:
        """It was not taken: it is put off, or given up. True when it is tried again."""
        now = self._clock.now()
        attempts = notice.attempts + 1
        later = next_try(attempts, now)
        with self._store.write() as tx:
            if later is None:
                tx.webhooks.done(notice.id)
            else:
                tx.webhooks.put_off(replace(notice, attempts=attempts, due_at=later))
        return later is not None

    def forget_stale(self) -> int:
        """Give up what never got its turn; tells how many."""
        with self._store.write() as tx:
            return tx.webhooks.forget_due(self._clock.now() - STALE_SECONDS)


def post(notice: Notice, url: str, secret: str) -> Post:
    """A notice with its signature: HMAC-SHA256 over the body as it is sent (Empirical, study 2.13)."""
    body = notice.payload.encode()
    headers = {
        "content-type": "application/json",
        "user-agent": f"resit/{__version__}",
        "x-webhook-event": notice.event.value,
        "x-webhook-signature": f"sha256={signature(secret, body)}",
    }
    return Post(notice, url, body, headers)


def signature(secret: str, body: bytes) -> str:
    """The hex digest that a receiver compares: its key is the bytes that the secret's base64url stands for."""
    words = secret.removeprefix(SECRET_PREFIX)
    key = base64.urlsafe_b64decode(words + "=" * (-len(words) % 4))
    return hmac.new(key, body, hashlib.sha256).hexdigest()
