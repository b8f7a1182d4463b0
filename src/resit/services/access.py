"""Tokens: made, used, revoked."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from resit.domain.access import PROJECT_SCOPES, Principal, Role, Scope, Token, TokenKind, parse_scopes, scopes_of
from resit.domain.errors import InvalidInput, NotFound, ResitError, Suspended, Unauthenticated
from resit.domain.ids import secret_digest
from resit.domain.project import check_text
from resit.ports import Clock, Ids, Store, Transaction
from resit.services.catalog import find_project
from resit.telemetry import requests

PREFIX = 12
"""Characters of a secret that are stored to find it by; too few to guess the rest."""
MAX_DAYS = 3650.0
MAX_NAME = 200
USED_SECONDS = 60.0
"""How exactly it is kept when a token was used last."""
MAX_NUMBER = 2**53
"""Greater than any number of a row, and still within every database's."""


def new_token(
    tx: Transaction,
    ids: Ids,
    *,
    name: str,
    project_id: int | None,
    scopes: tuple[Scope, ...],
    user_id: int | None,
    now: float,
    days: float | None,
    kind: TokenKind = TokenKind.API,
) -> tuple[Token, str]:
    """A token and its secret. What it may be is checked by who makes it."""
    secret = ids.secret()
    token = Token(
        id=0,
        name=name,
        prefix=secret[:PREFIX],
        digest=secret_digest(secret),
        project_id=project_id,
        scopes=scopes,
        created_at=now,
        user_id=user_id,
        expires_at=None if days is None else now + days * 86400,
        kind=kind,
    )
    return tx.tokens.add(token), secret


class Access:
    """Who may come in."""

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store, self._clock, self._ids = store, clock, ids

    def create_token(
        self,
        principal: Principal,
        *,
        project: str | None,
        scopes: Sequence[str] = (),
        expires_in_days: float | None = None,
        name: str = "",
    ) -> tuple[Token, str]:
        """A token and its secret, which is told here and never again. Nobody gives away more than they have."""
        principal.need(Scope.TOKENS_MANAGE)
        if expires_in_days is not None and not 0 < expires_in_days <= MAX_DAYS:
            raise InvalidInput(f"a token lives more than 0 and at most {MAX_DAYS:.0f} days", field="expires_in_days")
        wanted = parse_scopes(scopes) or PROJECT_SCOPES
        if project is None:
            principal.need_all()
        for scope in wanted:
            principal.need(scope)
        check_text(name, "name", MAX_NAME)
        with self._store.write(alone=True) as tx:
            return new_token(
                tx,
                self._ids,
                name=name,
                project_id=None if project is None else find_project(tx, principal, project).id,
                scopes=wanted,
                user_id=principal.user_id,
                now=self._clock.now(),
                days=expires_in_days,
            )

    def create_own(
        self, principal: Principal, *, name: str, scopes: Sequence[str], expires_in_days: float | None
    ) -> tuple[Token, str]:
        """The same for oneself, which needs no scope: it can do what its owner can, and ends with their account.

        Raises :class:`InvalidInput`, :class:`Forbidden`.
        """
        if expires_in_days is not None and not 0 < expires_in_days <= MAX_DAYS:
            raise InvalidInput(f"a token lives more than 0 and at most {MAX_DAYS:.0f} days", field="expires_in_days")
        wanted = parse_scopes(scopes)
        for scope in wanted:
            principal.need(scope)
        check_text(name, "name", MAX_NAME)
        with self._store.write(alone=True) as tx:
            return new_token(
                tx,
                self._ids,
                name=name,
                project_id=principal.project_id,
                scopes=wanted,
                user_id=principal.user_id,
                now=self._clock.now(),
                days=expires_in_days,
            )

    def authenticate(self, secret: str, kind: TokenKind = TokenKind.API) -> Principal:
        """Who bears this secret. A session has the scopes of what its person is now.

        Raises :class:`Unauthenticated`, always in the same words, and :class:`Suspended` for everybody but an
        administrator bound to no project while the organization is suspended.
        """
        digest = secret_digest(secret)
        with self._store.read() as tx:
            token = next((t for t in tx.tokens.by_prefix(secret[:PREFIX]) if t.digest == digest), None)
            now = self._clock.now()
            if token is None or token.kind is not kind or not token.valid(now):
                raise _unknown()
            user = None if token.user_id is None else tx.users.get(token.user_id)
            suspended = tx.organization.get().suspended
        if token.user_id is None:
            name, email = token.name or f"token {token.id}", ""
            role = Role.ADMIN if Scope.ADMIN in token.scopes else Role.CONTRIBUTOR
        elif user is None or user.disabled:
            raise _unknown()
        else:
            name, email, role = user.name, user.email, user.role
        if now - token.used_at > USED_SECONDS:
            self._used(token.id, now)
        if suspended and (role is not Role.ADMIN or token.project_id is not None):
            raise Suspended("the organization is suspended: ask its operator (resit org set --no-suspended)")
        requests.by(name)
        scopes = token.scopes if user is None or kind is TokenKind.API else scopes_of(user.role)
        return Principal(name, token.project_id, frozenset(scopes), role, token.user_id, token.id, email)

    def _used(self, id: int, now: float) -> None:
        """Note that it was; that nobody can write now keeps nobody out."""
        with suppress(ResitError), self._store.write(lasting=False) as tx:
            tx.tokens.used(id, now)

    def tokens(self, principal: Principal) -> Sequence[Token]:
        """The tokens within reach, without their secrets."""
        principal.need(Scope.TOKENS_MANAGE)
        with self._store.read() as tx:
            return tx.tokens.all(principal.project_id)

    def own_tokens(self, principal: Principal) -> Sequence[Token]:
        """The bearer's own tokens, without their secrets: a person's all, else the one that was sent."""
        return self.tokens_of(principal, everyone=False, offset=0, limit=MAX_NUMBER)[0]

    def tokens_of(
        self, principal: Principal, *, everyone: bool, offset: int, limit: int
    ) -> tuple[Sequence[Token], int]:
        """A page of the bearer's own tokens, or of ``everyone``'s within reach, oldest first, and how many there are.

        Raises :class:`Forbidden`: everyone's are for an administrator with the scope tokens:manage.
        """
        if everyone:
            principal.need_role(Role.ADMIN)
            principal.need(Scope.TOKENS_MANAGE)
        with self._store.read() as tx:
            if everyone:
                return tx.tokens.page(None, principal.project_id, offset, limit)
            if principal.user_id is not None:
                return tx.tokens.page(principal.user_id, None, offset, limit)
            own = tx.tokens.get(principal.token_id)
            return ([own] if own else [])[offset : offset + limit], 1 if own else 0

    def revoke(self, principal: Principal, id: int) -> None:
        """End a token's life; a second time is no error. One's own need no scope, others' tokens:manage.

        Raises :class:`NotFound`, :class:`Forbidden`. For a person without the scope, others' tokens do not exist
        (CCExtractor, study 1.2).
        """
        with self._store.write(alone=True) as tx:
            token = tx.tokens.get(id) if 0 < id < MAX_NUMBER else None
            if token is None or not _own(principal, token):
                if principal.user_id is None:
                    principal.need(Scope.TOKENS_MANAGE)
                managed = not principal.scopes.isdisjoint((Scope.TOKENS_MANAGE, Scope.ADMIN))
                if token is None or not managed or not principal.reaches(token.project_id):
                    raise NotFound(f"no token {id}", resource="token", id=id)
            if token.revoked_at is None:
                tx.tokens.save(replace(token, revoked_at=self._clock.now()))

    def revoke_current(self, principal: Principal) -> None:
        """End the life of the token that was sent with this request."""
        self.revoke(principal, principal.token_id)


def _own(principal: Principal, token: Token) -> bool:
    """True for the token that was sent, and for those of the person who sent it."""
    return token.id == principal.token_id or (principal.user_id is not None and token.user_id == principal.user_id)


def _unknown() -> Unauthenticated:
    return Unauthenticated("no valid token: send one as 'Authorization: Bearer <token>'")
