"""Webhooks: made, listed, taken away."""

import base64
import hashlib
from collections.abc import Sequence

from resit.domain.access import Principal, Scope
from resit.domain.errors import InvalidInput
from resit.domain.project import check_url
from resit.domain.webhook import SECRET_PREFIX, Notice, Webhook, WebhookEvent, parse_events, payload
from resit.ports import Clock, Ids, Signer, Store
from resit.services.catalog import find_project
from resit.services.owned import find_owned

MAX_WEBHOOKS = 20
"""Webhooks of a project."""
SEALED = "secret"
"""The name under which a webhook's secret is sealed."""


class Webhooks:
    """Addresses that are told of runs. Reading and writing need runs:read and runs:write."""

    def __init__(self, store: Store, clock: Clock, ids: Ids, signer: Signer) -> None:
        self._store, self._clock, self._ids, self._signer = store, clock, ids, signer

    def add(self, principal: Principal, project: str, *, url: str, events: Sequence[str]) -> tuple[Webhook, str]:
        """A webhook and its secret (``whsec_...``), which is told here and never again.

        Raises :class:`InvalidInput`, :class:`NotFound`.
        """
        principal.need(Scope.RUNS_WRITE)
        check_url(url, "url")
        wanted = parse_events(events)
        # 32 bytes that follow from a fresh secret and give nothing of it away.
        key = hashlib.sha256(self._ids.secret().encode()).digest()
        secret = SECRET_PREFIX + base64.urlsafe_b64encode(key).rstrip(b"=").decode()
        with self._store.write(alone=True) as tx:
            found = find_project(tx, principal, project)
            if len(tx.webhooks.of_project(found.id)) >= MAX_WEBHOOKS:
                raise InvalidInput(f"a project has at most {MAX_WEBHOOKS} webhooks: remove one")
            webhook = Webhook(id=0, project_id=found.id, url=url, events=wanted, created_at=self._clock.now())
            return tx.webhooks.add(webhook, sealed=self._signer.seal({SEALED: secret})), secret

    def of_project(self, principal: Principal, project: str) -> Sequence[Webhook]:
        """The webhooks of a project (by slug), oldest first. Raises :class:`NotFound`."""
        principal.need(Scope.RUNS_READ)
        with self._store.read() as tx:
            return tx.webhooks.of_project(find_project(tx, principal, project).id)

    def get(self, principal: Principal, id: int) -> Webhook:
        """A webhook within reach. Raises :class:`NotFound`."""
        principal.need(Scope.RUNS_READ)
        with self._store.read() as tx:
            return find_owned(tx.webhooks, principal, id, "webhook")

    def remove(self, principal: Principal, id: int) -> None:
        """Take one away, and what was still to be told to it. Raises :class:`NotFound`."""
        principal.need(Scope.RUNS_WRITE)
        with self._store.write(alone=True) as tx:
            tx.webhooks.remove(find_owned(tx.webhooks, principal, id, "webhook").id)

    def test(self, principal: Principal, id: int) -> None:
        """Post the event ``webhook.test`` to it, whatever events it asked for. Raises :class:`NotFound`."""
        principal.need(Scope.RUNS_WRITE)
        now = self._clock.now()
        with self._store.write(alone=True) as tx:
            found = find_owned(tx.webhooks, principal, id, "webhook")
            words = payload(WebhookEvent.TEST, now, webhook={"id": found.id})
            tx.webhooks.post(Notice(id=0, webhook_id=found.id, event=WebhookEvent.TEST, payload=words, due_at=now))
