"""Who may do what: tokens, their scopes, and the principal that a token makes."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from resit.domain.errors import Forbidden, InvalidInput


class Scope(StrEnum):
    """What a token may do; the names of the CCExtractor study (section 2.2), plus ``admin``."""

    RUNS_READ = "runs:read"
    RUNS_WRITE = "runs:write"
    RESULTS_READ = "results:read"
    SYSTEM_READ = "system:read"
    BASELINES_WRITE = "baselines:write"
    SYSTEM_WRITE = "system:write"
    TOKENS_MANAGE = "tokens:manage"
    ADMIN = "admin"


PROJECT_SCOPES = (
    Scope.RUNS_READ,
    Scope.RUNS_WRITE,
    Scope.RESULTS_READ,
    Scope.SYSTEM_READ,
    Scope.BASELINES_WRITE,
)
"""What a token without named scopes may do: everything for its project but administration."""


class Role(StrEnum):
    """What a person is; the names of the CCExtractor study (section 1.2)."""

    ADMIN = "admin"
    CONTRIBUTOR = "contributor"
    TESTER = "tester"
    USER = "user"


def parse_role(name: str) -> Role:
    """A role by name, or :class:`InvalidInput` listing the names that exist."""
    try:
        return Role(name)
    except ValueError:
        raise InvalidInput(f"unknown role {name[:60]!r}; there are: {', '.join(Role)}", field="role") from None


_ADMINS_OWN = frozenset({Scope.BASELINES_WRITE, Scope.SYSTEM_WRITE, Scope.TOKENS_MANAGE, Scope.ADMIN})
"""Scopes that only an administrator may ask for by password (CCExtractor, study 2.2)."""


def refused_to(role: Role, scopes: Iterable[Scope]) -> list[Scope]:
    """The scopes of a list that a person of this role may not ask for; empty when all are fine."""
    return [] if role is Role.ADMIN else [scope for scope in scopes if scope in _ADMINS_OWN]


def scopes_of(role: Role) -> tuple[Scope, ...]:
    """What a person of this role may do on the web page."""
    match role:
        case Role.ADMIN:
            return tuple(Scope)
        case Role.CONTRIBUTOR:
            return PROJECT_SCOPES
        case Role.TESTER:
            return (Scope.RUNS_READ, Scope.RUNS_WRITE, Scope.RESULTS_READ)
        case Role.USER:
            return (Scope.RUNS_READ, Scope.RESULTS_READ)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person. ``project_id`` None: every project. The password is stored as a salted scrypt hash, apart from this.

    ``subject``: issuer and subject of the OpenID Connect provider by which the person signs in; empty: by password.
    """

    id: int
    email: str
    name: str
    role: Role
    project_id: int | None = None
    disabled: bool = False
    created_at: float = 0.0
    subject: str = ""


class TokenKind(StrEnum):
    """What a secret opens."""

    API = ""
    SESSION = "session"
    """The web page, in a cookie."""
    LINK = "link"
    """A session, once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A bearer token as it is stored: never its secret, only the secret's SHA-256 and its first characters.

    ``used_at``: when it was used last, to the minute; 0: never.
    """

    id: int
    name: str
    prefix: str
    digest: str
    project_id: int | None
    scopes: tuple[Scope, ...]
    created_at: float
    user_id: int | None = None
    """Whose it is; None: the operator's."""
    expires_at: float | None = None
    revoked_at: float | None = None
    kind: TokenKind = TokenKind.API
    used_at: float = 0.0

    def valid(self, now: float) -> bool:
        """True while the token is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a person by name, else the token. ``project_id`` None: every project.

    ``role`` limits what a person's token may do beyond its scopes; a token that is nobody's has the role of its scopes.
    """

    name: str
    project_id: int | None
    scopes: frozenset[Scope]
    role: Role = Role.CONTRIBUTOR
    user_id: int | None = None
    token_id: int = 0
    email: str = ""

    def need(self, scope: Scope) -> None:
        """Raise :class:`Forbidden` unless the token has ``scope`` (or is an admin's)."""
        if scope not in self.scopes and Scope.ADMIN not in self.scopes:
            raise Forbidden(
                f"this token has no scope {scope.value}",
                required_scope=scope.value,
                token_scopes=sorted(s.value for s in self.scopes),
            )

    def need_role(self, *roles: Role) -> None:
        """Raise :class:`Forbidden` unless the bearer has one of the roles."""
        if self.role not in roles:
            raise Forbidden(
                f"this needs the role {' or '.join(role.value for role in roles)}, and you are {self.role.value}",
                required_roles=[role.value for role in roles],
                user_role=self.role.value,
            )

    def reaches(self, project_id: int | None) -> bool:
        """True for what belongs to the token's own project, or to anything when the token is bound to none."""
        return self.project_id is None or self.project_id == project_id

    def need_all(self) -> None:
        """Raise :class:`Forbidden` unless the token is an admin's and bound to no project."""
        self.need(Scope.ADMIN)
        if self.project_id is not None:
            raise Forbidden("this token is bound to one project: this needs an admin's that is bound to none")


def parse_scopes(names: Iterable[str]) -> tuple[Scope, ...]:
    """Scopes by name, or :class:`InvalidInput` listing the names that exist."""
    found: list[Scope] = []
    for name in names:
        try:
            found.append(Scope(name))
        except ValueError:
            known = ", ".join(s.value for s in Scope)
            raise InvalidInput(f"unknown scope {name[:60]!r}; there are: {known}", field="scopes") from None
    return tuple(dict.fromkeys(found))
