"""People and the organization: who there is, what they may ask for, what the operator has decided."""

import re
from collections.abc import Sequence
from dataclasses import replace

from resit.domain.access import Principal, Role, Scope, Token, User, parse_role, parse_scopes, refused_to
from resit.domain.errors import AlreadyExists, Forbidden, InvalidInput, NotFound, Unauthenticated
from resit.domain.organization import Organization, month_start
from resit.domain.passwords import STRENGTH, Strength, check_password, fits, hashed
from resit.domain.project import check_text
from resit.ports import Clock, Ids, Store
from resit.services.access import new_token
from resit.services.catalog import find_project

MAX_EMAIL = 255
MAX_NAME = 200
MAX_LIFE = 30.0
"""Days that a token of a person may live (CCExtractor, study 2.1)."""
DEFAULT_SCOPES = (Scope.RUNS_READ, Scope.RESULTS_READ)
"""What a person's token may do when none is named (CCExtractor, study 1.2)."""
MAX_RUNS = 2**31 - 1
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
_TOKEN_NAME = re.compile(r"[a-zA-Z0-9_-]{1,50}")


class People:
    """Accounts, for the one API that signs in by password (CCExtractor, study 1.2)."""

    def __init__(self, store: Store, clock: Clock, ids: Ids, strength: Strength = STRENGTH) -> None:
        self._store, self._clock, self._ids, self._strength = store, clock, ids, strength

    def add(
        self, principal: Principal, *, email: str, name: str, role: str, password: str, project: str | None = None
    ) -> User:
        """An account; without a ``project`` it is for every one, and without a ``name`` it is called like its address.

        Raises :class:`Forbidden` for all but an administrator bound to no project, :class:`InvalidInput`,
        :class:`AlreadyExists` for an e-mail that has one, also a disabled one.
        """
        principal.need_all()
        email = _address(email)
        check_text(name, "name", MAX_NAME)
        wanted = parse_role(role)
        kept = hashed(check_password(password), self._ids.secret(), self._strength)
        with self._store.write(alone=True) as tx:
            project_id = None if project is None else find_project(tx, principal, project).id
            if tx.users.by_email(email):
                raise AlreadyExists(f"there is an account of {email} already", field="email")
            user = User(
                id=0,
                email=email,
                name=name.strip() or email,
                role=wanted,
                project_id=project_id,
                created_at=self._clock.now(),
            )
            return tx.users.add(user, password=kept)

    def all(self, principal: Principal) -> Sequence[User]:
        """All accounts. Raises :class:`Forbidden` for all but an administrator bound to no project."""
        principal.need_all()
        with self._store.read() as tx:
            return tx.users.all()

    def disable(self, principal: Principal, email: str) -> User:
        """Close an account and revoke its tokens; a second time is no error.

        Raises :class:`Forbidden` for all but an administrator bound to no project, :class:`NotFound`.
        """
        principal.need_all()
        with self._store.write(alone=True) as tx:
            user = tx.users.by_email(_address(email))
            if user is None:
                raise NotFound(f"no account of {email[:80]}", resource="user", id=email[:80])
            user = replace(user, disabled=True)
            tx.users.save(user)
            tx.tokens.revoke_all(user.id, self._clock.now())
            return user

    def sign_in(
        self, email: str, password: str, *, token_name: str, scopes: Sequence[str], expires_in_days: float
    ) -> tuple[Token, str]:
        """A token for a person, and its secret. Without ``scopes`` it may read runs and results.

        Raises :class:`InvalidInput`, :class:`Unauthenticated` in the same words and after the same time whatever is
        wrong, :class:`Forbidden` for scopes beyond the role, :class:`AlreadyExists` for a name that the person used
        before (CCExtractor, study 2.1).
        """
        if not _TOKEN_NAME.fullmatch(token_name):
            raise InvalidInput("a token's name has 1 to 50 letters, digits, '-' and '_'", field="token_name")
        if not 1 <= expires_in_days <= MAX_LIFE:
            raise InvalidInput(f"a token lives 1 to {MAX_LIFE:.0f} days", field="expires_in_days")
        wanted = parse_scopes(scopes) or DEFAULT_SCOPES
        user = self._known(check_text(email, "email", MAX_EMAIL), check_password(password))
        if refused := refused_to(user.role, wanted):
            raise Forbidden(
                f"your role {user.role.value} may not ask for {', '.join(scope.value for scope in refused)}",
                required_roles=[Role.ADMIN.value],
                user_role=user.role.value,
                refused_scopes=[scope.value for scope in refused],
            )
        with self._store.write(alone=True) as tx:
            now = self._clock.now()
            found = tx.users.get(user.id)
            if found is None or found.disabled:
                raise _unknown()
            if tx.tokens.named(user.id, token_name):
                raise AlreadyExists(
                    f"you have had a token {token_name!r} already: a name is used once, also after it was revoked",
                    field="token_name",
                )
            return new_token(
                tx,
                self._ids,
                name=token_name,
                project_id=user.project_id,
                scopes=wanted,
                user_id=user.id,
                now=now,
                days=expires_in_days,
            )

    def _known(self, email: str, password: str) -> User:
        """Whose password this is. Hashing is no work for a transaction: it takes a while, by intent."""
        with self._store.read() as tx:
            user = tx.users.by_email(email.strip().lower())
            kept = tx.users.password(user.id) if user else ""
        if not kept:
            # An address that nobody has takes as long as one that is known.
            hashed(password, "", self._strength)
        if user is None or not fits(password, kept) or user.disabled:
            raise _unknown()
        return user


def _unknown() -> Unauthenticated:
    return Unauthenticated("no account has this e-mail and password")


def _address(email: str) -> str:
    """An e-mail as it is kept and compared, in lower case."""
    email = check_text(email, "email", MAX_EMAIL).strip().lower()
    if not _EMAIL.fullmatch(email):
        raise InvalidInput(f"{email[:80]!r} is no e-mail: write name@host", field="email")
    return email


class Organizations:
    """What the operator has decided."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def get(self, principal: Principal) -> tuple[Organization, int]:
        """The settings, and how many runs were made this month (UTC), in all projects."""
        principal.need(Scope.SYSTEM_READ)
        with self._store.read() as tx:
            return tx.organization.get(), tx.runs.made_since(month_start(self._clock.now()))

    def set(self, principal: Principal, changes: dict[str, object]) -> Organization:
        """Change ``monthly_runs`` (None: no limit) or ``suspended``; members that are absent stay.

        Raises :class:`Forbidden` for all but an administrator bound to no project, :class:`InvalidInput`.
        """
        principal.need_all()
        for name in changes:
            if name not in Organization.__dataclass_fields__:
                raise InvalidInput(f"an organization has no {name[:60]!r}", field=name[:60])
        with self._store.write(alone=True) as tx:
            found = tx.organization.get()
            if "monthly_runs" in changes:
                found = replace(found, monthly_runs=_limit(changes["monthly_runs"]))
            if "suspended" in changes:
                found = replace(found, suspended=_flag(changes["suspended"]))
            tx.organization.save(found)
            return found


def _limit(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_RUNS:
        raise InvalidInput(f"monthly_runs: 0 to {MAX_RUNS}, or null for no limit", field="monthly_runs")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput("suspended: true or false", field="suspended")
    return value
