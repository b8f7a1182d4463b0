"""People and the organization: who there is, what they may ask for, what the operator has decided."""

from collections.abc import Sequence

from resit.domain.access import Principal, Token, User
from resit.domain.organization import Organization
from resit.ports import Clock, Ids, Store


class People:
    """Accounts, for the one API that signs in by password (CCExtractor, study 1.2)."""

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store, self._clock, self._ids = store, clock, ids

    def add(
        self, principal: Principal, *, email: str, name: str, role: str, password: str, project: str | None = None
    ) -> User:
        """An account. Raises :class:`InvalidInput`, :class:`AlreadyExists`."""
        raise NotImplementedError

    def all(self, principal: Principal) -> Sequence[User]:
        """All accounts."""
        raise NotImplementedError

    def disable(self, principal: Principal, email: str) -> User:
        """Close an account and revoke its tokens."""
        raise NotImplementedError

    def sign_in(
        self, email: str, password: str, *, token_name: str, scopes: Sequence[str], expires_in_days: float
    ) -> tuple[Token, str]:
        """A token for a person, and its secret. Raises :class:`Unauthenticated` in the same words whatever is wrong,
        :class:`Forbidden` for scopes beyond the role, :class:`AlreadyExists` for a name that the person used before.
        """
        raise NotImplementedError


class Organizations:
    """What the operator has decided."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def get(self, principal: Principal) -> tuple[Organization, int]:
        """The settings, and how many runs were made this month."""
        raise NotImplementedError

    def set(self, principal: Principal, changes: dict[str, object]) -> Organization:
        """Change ``monthly_runs`` (None: no limit) or ``suspended``; members that are absent stay."""
        raise NotImplementedError
