"""Webhooks: made, listed, taken away; what is due to be told."""

from collections.abc import Sequence

from resit.domain.access import Principal
from resit.domain.webhook import Webhook
from resit.ports import Clock, Ids, Signer, Store


class Webhooks:
    """Addresses that are told of runs."""

    def __init__(self, store: Store, clock: Clock, ids: Ids, signer: Signer) -> None:
        self._store, self._clock, self._ids, self._signer = store, clock, ids, signer

    def add(self, principal: Principal, project: str, *, url: str, events: Sequence[str]) -> tuple[Webhook, str]:
        """A webhook and its secret (``whsec_...``), which is told here and never again."""
        raise NotImplementedError

    def of_project(self, principal: Principal, project: str) -> Sequence[Webhook]:
        """The webhooks of a project (by slug)."""
        raise NotImplementedError

    def remove(self, principal: Principal, id: int) -> None:
        """Take one away. Raises :class:`NotFound`."""
        raise NotImplementedError

    def test(self, principal: Principal, id: int) -> None:
        """Post the event ``webhook.test`` to it."""
        raise NotImplementedError
