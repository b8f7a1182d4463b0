"""Signing in to the web page: by password, by a link that is good once, by the word of an OpenID Connect provider."""

from dataclasses import dataclass, replace

from resit.domain.access import PROJECT_SCOPES, Principal, Role, Scope, Token, TokenKind, User, parse_role, scopes_of
from resit.domain.errors import InvalidInput, NotFound, Unauthenticated
from resit.domain.ids import secret_digest
from resit.domain.passwords import STRENGTH, Strength, check_password, fits, hashed
from resit.domain.project import check_text
from resit.ports import Clock, Ids, Store, Transaction
from resit.services.access import Access, new_token
from resit.services.people import MAX_EMAIL, MAX_NAME

SESSION_DAYS = 14.0
"""A session that nobody uses ends after this; one that is used ends after it too, and one signs in again."""
LINK_DAYS = 1.0
OPERATOR = "operator"
"""Who comes by a link of the operator's is called so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who somebody is by the word of a provider. ``subject``: its issuer and its name for the person."""

    subject: str
    email: str
    verified: bool
    name: str = ""


class Sessions:
    """See the module. A session is a token that only the page takes, with the scopes of the person's role."""

    def __init__(self, store: Store, clock: Clock, ids: Ids, access: Access, strength: Strength = STRENGTH) -> None:
        self._store, self._clock, self._ids, self._access, self._strength = store, clock, ids, access, strength

    def who(self, secret: str) -> Principal:
        """Whose session this is, with the role that the person has now. Raises :class:`Unauthenticated`."""
        return self._access.authenticate(secret, TokenKind.SESSION)

    def by_password(self, email: str, password: str) -> str:
        """A session's secret. Raises :class:`InvalidInput`, and :class:`Unauthenticated` whatever is wrong."""
        email = check_text(email, "email", MAX_EMAIL).strip().lower()
        check_password(password)
        with self._store.read() as tx:
            user = tx.users.by_email(email)
            kept = tx.users.password(user.id) if user else ""
        if not kept:
            # An address that nobody has takes as long as one that is known.
            hashed(password, "", self._strength)
        if user is None or not fits(password, kept) or user.disabled:
            raise Unauthenticated("no account has this e-mail and password")
        with self._store.write(alone=True) as tx:
            return self._begin(tx, user)

    def by_identity(self, found: Identity, role: str = "") -> str:
        """A session for whom a provider knows. Who is new gets an account with ``role``; without one nobody new does.

        An account that was made here becomes theirs by its e-mail, if the provider has verified that. Raises
        :class:`Unauthenticated`.
        """
        email = check_text(found.email, "email", MAX_EMAIL).strip().lower()
        with self._store.write(alone=True) as tx:
            user = next((user for user in tx.users.all() if user.subject and user.subject == found.subject), None)
            if user is None and found.verified and email:
                user = tx.users.by_email(email)
                if user is not None and not user.subject:
                    user = replace(user, subject=found.subject)
                    tx.users.save(user)
                elif user is not None:
                    user = None
                elif role:
                    user = tx.users.add(self._newcomer(found, email, role))
            if user is None or user.disabled:
                raise Unauthenticated("nobody here has this account: ask an administrator to add your e-mail")
            return self._begin(tx, user)

    def _newcomer(self, found: Identity, email: str, role: str) -> User:
        name = check_text(found.name, "name", MAX_NAME).strip() or email
        return User(
            id=0, email=email, name=name, role=parse_role(role), created_at=self._clock.now(), subject=found.subject
        )

    def _begin(self, tx: Transaction, user: User) -> str:
        now = self._clock.now()
        tx.tokens.forget(now)
        return new_token(
            tx,
            self._ids,
            name="session",
            project_id=user.project_id,
            scopes=scopes_of(user.role),
            user_id=user.id,
            now=now,
            days=SESSION_DAYS,
            kind=TokenKind.SESSION,
        )[1]

    # ------------------------------------------------------------ links

    def link(self, principal: Principal) -> str:
        """The secret of a link that signs its opener in as who asks, once.

        Raises :class:`Forbidden` for all but an administrator bound to no project.
        """
        principal.need_all()
        with self._store.write(alone=True) as tx:
            return new_token(
                tx,
                self._ids,
                name=OPERATOR,
                project_id=None,
                scopes=(Scope.ADMIN,),
                user_id=principal.user_id,
                now=self._clock.now(),
                days=LINK_DAYS,
                kind=TokenKind.LINK,
            )[1]

    def by_link(self, secret: str) -> str:
        """A session's secret for a link's, which is used up by it. Raises :class:`Unauthenticated`."""
        principal = self._access.authenticate(secret, TokenKind.LINK)
        now = self._clock.now()
        with self._store.write(alone=True) as tx:
            link = tx.tokens.get(principal.token_id)
            if link is None or not link.valid(now) or link.digest != secret_digest(secret):
                raise Unauthenticated("this link was used, or is too old")
            tx.tokens.save(replace(link, revoked_at=now))
            user = None if link.user_id is None else tx.users.get(link.user_id)
            if user is not None:
                return self._begin(tx, user)
            return new_token(
                tx,
                self._ids,
                name=OPERATOR,
                project_id=None,
                scopes=(Scope.ADMIN,),
                user_id=None,
                now=now,
                days=SESSION_DAYS,
                kind=TokenKind.SESSION,
            )[1]

    def end(self, principal: Principal) -> None:
        """Sign out."""
        self._access.revoke_current(principal)

    # ------------------------------------------------------------ one's own

    def own_token(self, principal: Principal, *, name: str, scopes: list[str], days: float | None) -> tuple[Token, str]:
        """A token for programs of the person who asks, and its secret: never more than the person may.

        Raises :class:`InvalidInput`, :class:`Forbidden`.
        """
        if not name.strip():
            raise InvalidInput("say what the token is for: that is its name", field="name")
        found = scopes or [scope.value for scope in PROJECT_SCOPES if scope in principal.scopes or _all(principal)]
        return self._access.create_own(principal, name=name.strip(), scopes=found, expires_in_days=days)

    def change_password(self, principal: Principal, old: str, new: str) -> None:
        """Another password. Raises :class:`InvalidInput`, :class:`Unauthenticated`, :class:`NotFound`."""
        if principal.user_id is None:
            raise NotFound("you have no account here: you came by a link of the operator's")
        with self._store.read() as tx:
            kept = tx.users.password(principal.user_id)
        if kept and not fits(check_password(old), kept):
            raise Unauthenticated("the old password is another one")
        fresh = hashed(check_password(new), self._ids.secret(), self._strength)
        with self._store.write(alone=True) as tx:
            tx.users.set_password(principal.user_id, fresh)


def _all(principal: Principal) -> bool:
    return Scope.ADMIN in principal.scopes


def title(role: Role) -> str:
    """A role as the page calls it."""
    return "viewer" if role is Role.USER else role.value
