"""Tokens: made, used, revoked."""

from collections.abc import Sequence
from dataclasses import replace

from resit.domain.access import PROJECT_SCOPES, Principal, Scope, Token, parse_scopes
from resit.domain.errors import InvalidInput, NotFound, Unauthenticated
from resit.domain.ids import secret_digest
from resit.domain.project import check_text
from resit.ports import Clock, Ids, Store
from resit.services.catalog import find_project

PREFIX = 12
"""Characters of a secret that are stored to find it by; too few to guess the rest."""
MAX_DAYS = 3650.0
MAX_NAME = 200
MAX_NUMBER = 2**53
"""Greater than any number of a row, and still within every database's."""


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
        now = self._clock.now()
        secret = self._ids.secret()
        with self._store.write() as tx:
            project_id = None
            if project is not None:
                project_id = find_project(tx, principal, project).id
            token = tx.tokens.add(
                Token(
                    id=0,
                    name=name,
                    prefix=secret[:PREFIX],
                    digest=secret_digest(secret),
                    project_id=project_id,
                    scopes=wanted,
                    created_at=now,
                    expires_at=None if expires_in_days is None else now + expires_in_days * 86400,
                )
            )
        return token, secret

    def authenticate(self, secret: str) -> Principal:
        """Who bears this secret. Raises :class:`Unauthenticated`, always in the same words."""
        digest = secret_digest(secret)
        with self._store.read() as tx:
            found = [t for t in tx.tokens.by_prefix(secret[:PREFIX]) if t.digest == digest]
        if not found or not found[0].valid(self._clock.now()):
            raise Unauthenticated("no valid token: send one as 'Authorization: Bearer <token>'")
        token = found[0]
        return Principal(token.name or f"token {token.id}", token.project_id, frozenset(token.scopes))

    def tokens(self, principal: Principal) -> Sequence[Token]:
        """The tokens within reach, without their secrets."""
        principal.need(Scope.TOKENS_MANAGE)
        with self._store.read() as tx:
            return tx.tokens.all(principal.project_id)

    def revoke(self, principal: Principal, id: int) -> None:
        """End a token's life; a second time is no error."""
        principal.need(Scope.TOKENS_MANAGE)
        with self._store.write() as tx:
            token = tx.tokens.get(id) if 0 < id < MAX_NUMBER else None
            if token is None or not principal.reaches(token.project_id):
                raise NotFound(f"no token {id}")
            if token.revoked_at is None:
                tx.tokens.save(replace(token, revoked_at=self._clock.now()))
