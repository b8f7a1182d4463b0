"""Badges are shown without a bearer token: a secret in their address says which project they are of."""

from resit.domain.access import Principal, Scope
from resit.domain.project import Project
from resit.ports import Signer, Transaction
from resit.services.catalog import find_project

_SUBJECT = "badge:"
_END = 4_102_444_800.0
"""The year 2100: the secret of a project's badges is always the same, and opens nothing but them."""


def badge_token(tx: Transaction, signer: Signer, principal: Principal, slug: str) -> str:
    """The secret of a project's badges. Raises :class:`NotFound`."""
    principal.need(Scope.RUNS_READ)
    return signer.sign(f"{_SUBJECT}{find_project(tx, principal, slug).id}", _END)


def project_of_badge(tx: Transaction, signer: Signer, token: str, now: float) -> Project | None:
    """The project whose secret this is; None for no secret of ours."""
    subject = signer.verify(token, now) or ""
    number = subject.removeprefix(_SUBJECT)
    return tx.projects.get(int(number)) if subject.startswith(_SUBJECT) and number.isdigit() else None
