"""PostgreSQL: what its URLs say, how connections are kept, and how transactions begin."""

import getpass
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError

from resit.domain.errors import InvalidInput
from resit.storage.link import Link

CONNECT_SECONDS = 10
"""How long a connection may take to come about, unless the URL says ``connect_timeout``."""
POOL = 20
"""Connections of one control plane at most; PostgreSQL's default allows 100 in all. All that were needed once are kept:
to make one takes longer than to ask a hundred things, most of all where its password has to be proved. More threads
than these wait for their turn; they would wait for the processor otherwise."""
WAIT_SECONDS = 30.0
"""How long a thread waits for a connection before it is refused."""

_WORDS = {
    *("host", "port", "user", "password", "sslmode", "sslrootcert", "sslcert", "sslkey"),
    *("connect_timeout", "application_name"),
}
_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a database is and how to be let in. The password is no part of its words."""

    user: str
    password: str
    host: str
    """A name or address, or the folder of a Unix socket."""
    port: int
    database: str
    security: ssl.SSLContext | bool | None
    """How TLS is used, as the driver takes it: None: if the server offers it; False: not."""
    connect_seconds: float
    application: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"postgresql://{self.user}@{host}:{self.port}/{self.database}"

    __repr__ = __str__

    def words(self) -> dict[str, object]:
        """As the driver takes it."""
        local = self.host.startswith("/")
        where = {"unix_sock": f"{self.host}/.s.PGSQL.{self.port}"} if local else {"host": self.host, "port": self.port}
        return {
            **where,
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "application_name": self.application,
            "ssl_context": self.security,
        }


def address(url: URL) -> Address:
    """What a URL says, with the words that PostgreSQL's own clients know. Raises :class:`InvalidInput`."""
    said: dict[str, str] = {}
    for name, value in url.query.items():
        if name not in _WORDS:
            raise InvalidInput(f"the database URL says {name!r}: it may say {', '.join(sorted(_WORDS))}")
        said[name] = value if isinstance(value, str) else value[-1]
    host = url.host or said.get("host") or "localhost"
    user = url.username or said.get("user") or _own_name()
    application = said.get("application_name", "resit")
    return Address(
        user=user,
        password=str(url.password or said.get("password") or os.environ.get("PGPASSWORD", "")),
        host=host,
        port=url.port or _number(said, "port", 5432),
        database=url.database or user,
        security=_security(said, local=host.startswith("/")),
        connect_seconds=_number(said, "connect_timeout", CONNECT_SECONDS),
        application=application,
    )


def _own_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "resit"


def _number(said: Mapping[str, str], name: str, default: int) -> int:
    text = said.get(name, str(default))
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise InvalidInput(f"the database URL says {name}={text[:20]}: a whole number above 0 is needed")
    return int(text)


def _security(said: Mapping[str, str], *, local: bool) -> ssl.SSLContext | bool | None:
    """TLS as ``sslmode`` has it. Without ``sslrootcert``, the machine's authorities are trusted."""
    mode = said.get("sslmode", "prefer")
    if mode not in _MODES:
        raise InvalidInput(f"the database URL says sslmode={mode[:20]}: there are {', '.join(_MODES)}")
    root, own, key = said.get("sslrootcert", ""), said.get("sslcert", ""), said.get("sslkey", "")
    for name, path in (("sslrootcert", root), ("sslcert", own), ("sslkey", key)):
        if path and path != "system" and not Path(path).is_file():
            raise InvalidInput(f"the database URL says {name}={path}: there is no such file")
    if local or mode == "disable":
        return False
    if mode in ("allow", "prefer") and not own:
        return None
    try:
        context = ssl.create_default_context(cafile=root if root not in ("", "system") else None)
        if own:
            context.load_cert_chain(own, key or None)
    except (ssl.SSLError, OSError) as error:
        raise InvalidInput(f"the certificates that the database URL names can't be read: {error}") from error
    # As PostgreSQL's own clients: a root certificate turns "require" into "verify-ca".
    context.check_hostname = mode == "verify-full"
    if mode in ("allow", "prefer") or (mode == "require" and not root):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def engine(url: URL) -> Engine:
    """An engine for a PostgreSQL database; it does not know the password. Nothing is connected yet."""
    where = address(url)
    made = create_engine(
        URL.create("postgresql+pg8000", where.user, host=where.host, port=where.port, database=where.database),
        creator=lambda: Link(where.words(), str(where), where.connect_seconds),
        paramstyle="numeric_dollar",
        pool_size=POOL,
        max_overflow=0,
        pool_timeout=WAIT_SECONDS,
        # Who was here last comes first: a quiet server lets most of them rest.
        pool_use_lifo=True,
    )
    # Several rows travel in one statement also where nothing comes back.
    made.dialect.use_insertmanyvalues_wo_returning = True

    @event.listens_for(made, "checkout")
    def _checked(link: Link, *_: object) -> None:  # pyright: ignore[reportUnusedFunction] # registered above
        if link.stale():
            raise DisconnectionError

    @event.listens_for(made, "checkin")
    def _returned(link: Link | None, _record: object) -> None:  # pyright: ignore[reportUnusedFunction]
        if link is not None:
            link.wait_at_most()

    @event.listens_for(made, "begin")
    def _begin(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction] # registered above
        options = connection.get_execution_options()
        link = cast("Link", connection.connection.driver_connection)
        if options.get("reads", False):
            # One snapshot for all statements of a page, as on SQLite; who only reads is never refused for it.
            link.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", only_reads=True)
            return
        words = ["BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"]
        if not options.get("lasting", True):
            words.append("SET LOCAL synchronous_commit TO off")
        link.begin(*words, only_reads=False)
        if options.get("alone", False):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ALONE})")

    return made


ALONE = 0x7265736974_01
"""The advisory lock of those who write alone."""
UPGRADING = 0x7265736974_02
"""The advisory lock of who brings the schema up to date."""
