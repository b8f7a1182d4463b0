"""One connection to PostgreSQL, over pg8000 (docs/adr/0012-postgresql.md).

Two habits of the driver cost too much, so its cursor is replaced: it asks the server three times for one statement,
where once is enough, and it reads every statement character by character for a parameter style that we don't use.
"""

import select
import socket
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pg8000.converters
import pg8000.core
import pg8000.dbapi
from pg8000.exceptions import Error, InterfaceError
from sqlalchemy import Connection

STATEMENT_SECONDS = 60
"""How long one statement may take; migrations and copies take as long as they need."""
LOCK_SECONDS = 20
"""How long a statement waits for a row that another transaction holds."""
IDLE_SECONDS = 30
"""How long a transaction may pause between two statements: one whose process hangs gives its rows free."""

_SETTINGS = {
    "TimeZone": "UTC",
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
    # A control plane whose machine is gone lets go of its rows after eleven seconds.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "11s",
}
_KEEP_ALIVE = {
    "TCP_NODELAY": 1,
    "TCP_KEEPIDLE": 5,
    "TCP_KEEPINTVL": 2,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 11_000,
}
"""The same from this side."""

# The driver says nothing of its types.
_core: Any = pg8000.core
_dbapi: Any = pg8000.dbapi
_converters: Any = pg8000.converters


class _Cursor(_dbapi.Cursor):
    """Statements come with ``$1`` in them and go as they are."""

    def execute(self, operation: str, args: Sequence[Any] = (), stream: object = None) -> None:
        del stream
        self._context = self._c.ask(operation, args)
        self._row_iter = None if self._context.rows is None else iter(self._context.rows)


class Link(_dbapi.Connection):
    """A connection. Transactions are begun and ended by statements of ours.

    ``words`` are the driver's, ``where`` names the server in errors; raises :class:`InterfaceError` with the words
    "network error" when the server can't be reached, and the driver's ``DatabaseError`` when it lets nobody in.
    """

    def __init__(self, words: Mapping[str, Any], where: str, seconds: float) -> None:
        try:
            way: dict[str, Any] = {"timeout": seconds}
            if "host" in words:
                way = {"sock": _socket(words["host"], words["port"], seconds)}
            _dbapi.Connection.__init__(self, **words, **way)
        except InterfaceError as error:
            raise InterfaceError(f"network error: {where}: {error.__cause__ or error}") from error
        except (OSError, ValueError, struct.error) as error:
            raise InterfaceError(f"network error: {where}: {error}") from error
        self.autocommit = True
        self.only_reads = False
        """True while nothing is written: what no text can hold is looked for, and not found."""
        self.wait_at_most()
        self.ask("; ".join(f"SET {name} TO '{value}'" for name, value in _SETTINGS.items()))

    def cursor(self) -> _Cursor:
        return _Cursor(self)

    def commit(self) -> None:
        self.ask("COMMIT")

    def rollback(self) -> None:
        if self._in_transaction:
            self.ask("ROLLBACK")

    def close(self) -> None:
        # Nobody is helped by words about how a server that is gone took the farewell.
        with suppress(Error, OSError):
            _dbapi.Connection.close(self)

    def wait_at_most(self, seconds: float | None = STATEMENT_SECONDS + LOCK_SECONDS) -> None:
        """How long the server may be silent while it is asked; None: for ever."""
        self._usock.settimeout(seconds)

    def stale(self) -> bool:
        """True when the server has hung up while nobody used the connection. Costs next to nothing otherwise."""
        if not select.select([self._usock], [], [], 0)[0]:
            return False
        try:
            # It has something to say: its last words, or a notice.
            self.ask("SELECT 1")
        except Error:
            return True
        return False

    def ask(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """Execute a statement in one journey to the server and back; several statements when there are no values."""
        # Before anything is sent: what can't be put into words must not leave half a message behind.
        said = _bound(_converters.make_params(self.py_types, values), self.only_reads) if values else b""
        context = _core.Context(statement)
        try:
            if values:
                self.send_PARSE(b"\0", statement)
                self.send_DESCRIBE_STATEMENT(b"\0")
                self._send_message(_core.BIND, said)
                self._sock.write(_core.EXECUTE_MSG + _core.SYNC_MSG)
            else:
                self.send_QUERY(statement)
            self._sock.flush()
            self.handle_messages(context)
        except (OSError, ValueError, AttributeError, struct.error, InterfaceError) as error:
            # A server that shuts down says why, and hangs up.
            words = context.error.args[0].get("M") if context.error else error
            raise InterfaceError(f"network error: {words}") from error
        return context


def _bound(texts: Sequence[str | None], only_reads: bool) -> bytes:
    """The message that gives a statement its values. Raises :class:`UnicodeEncodeError`."""
    parts = [b"\0\0", struct.pack("!hH", 0, len(texts))]
    for text in texts:
        data = None if text is None else text.encode()
        if data and only_reads and b"\0" in data:
            # What workers report with a NUL is kept so (domain/wire.py).
            data = data.replace(b"\0", "\ufffd".encode())
        parts.append(struct.pack("!i", -1) if data is None else struct.pack("!i", len(data)) + data)
    return b"".join([*parts, b"\0\0"])


def _socket(host: str, port: int, seconds: float) -> socket.socket:
    """A connected socket that notices within seconds when the other machine is gone."""
    found = socket.create_connection((host, port), seconds)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        if hasattr(socket, name):
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return found


def unhurried(connection: Connection) -> None:
    """Let the statements of this transaction take as long as they need."""
    link: Any = connection.connection.driver_connection
    link.wait_at_most(None)
    limits = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    connection.exec_driver_sql("; ".join(f"SET LOCAL {name} TO 0" for name in limits))
