"""One connection to PostgreSQL, over pg8000 (docs/adr/0012-postgresql.md).

Two habits of the driver cost too much, so its cursor is replaced: it asks the server three times for one statement,
where once is enough, and it reads every statement character by character for a parameter style that we don't use.

A journey to the server costs more than what it does there: each one lets go of the interpreter's lock and waits for its
turn again, milliseconds where other threads work. So a transaction begins with its first statement, in one journey, and
one that only read ends without waiting to hear so.
"""

import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any

import pg8000.converters
import pg8000.core
import pg8000.dbapi
from pg8000.exceptions import DatabaseError, Error, InterfaceError
from sqlalchemy import Connection

STATEMENT_SECONDS = 60
"""How long one statement may take; migrations and copies take as long as they need."""
LOCK_SECONDS = 20
"""How long a statement waits for a row that another transaction holds."""
IDLE_SECONDS = 30
"""How long a transaction may pause between two statements: one whose process hangs gives its rows free."""

FRESH_SECONDS = 0.02
"""A connection that was heard so lately is not asked whether it still stands: the question costs a wait of its own."""
KEEP_AFTER = 5
"""A statement that is used so often on a connection stays with the server: it need not be read and described again."""
KNOWN = 500
"""Statements that are counted for it; those that come often come early."""
_FORGOTTEN = ("0A000", "26000")
"""What PostgreSQL says of a statement that it kept: its rows look otherwise now, or it is not there."""
_TLS_PLEASE = struct.pack("!ii", 8, 80877103)
"""What a client says first that wants TLS."""

_SETTINGS = {
    "TimeZone": "UTC",
    # What is kept of a statement is not how it finds its rows: a table that was empty then may be large now.
    "plan_cache_mode": "force_custom_plan",
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


def _message(code: bytes, data: bytes) -> bytes:
    """A message of PostgreSQL's protocol."""
    return code + struct.pack("!i", len(data) + 4) + data


def _parse(name: bytes, statement: str) -> bytes:
    """Asks for a statement to be read, with values of types that the server finds; it is kept if it has a name."""
    return _message(_core.PARSE, name + b"\0" + statement.encode() + b"\0\0\0")


_BIND_NOTHING = _message(_core.BIND, bytes(8))
"""Values for a statement without any."""


_HEAD = struct.Struct("!ci")
_LENGTH = struct.Struct("!i").unpack_from
_TEXT: object = _converters.string_in
"""How the driver reads a text: as it is."""


@dataclass(slots=True)
class _Known:
    """A statement that was asked before: how often, and under which name the server keeps it (empty: not), with what
    its rows look like."""

    uses: int = 0
    name: bytes = b""
    columns: Any = None
    readers: Any = None


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
        self._begins: tuple[str, ...] = ()
        self._unheard = False
        self._heard_at = 0.0
        self._known: dict[str, _Known] = {}
        self._names = count()
        self._waits: float | None = seconds
        try:
            way: dict[str, Any] = {"timeout": seconds}
            if "host" in words:
                found = _socket(words["host"], words["port"], seconds)
                way = {"sock": _secured(found, words), "ssl_context": False}
            _dbapi.Connection.__init__(self, **{**words, **way})
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

    def begin(self, *statements: str, only_reads: bool) -> None:
        """A transaction begins with these statements, which go with its first one."""
        self.only_reads = only_reads
        self._begins = statements

    def commit(self) -> None:
        if self._begins:
            # Nothing was said in it.
            self._begins = ()
        elif self.only_reads and self._in_transaction:
            self._leave()
        else:
            self.ask("COMMIT")

    def rollback(self) -> None:
        if self._begins:
            self._begins = ()
        elif self._in_transaction:
            self.ask("ROLLBACK")

    def _leave(self) -> None:
        """End a transaction that only read. What the server says to it is heard with the next answer."""
        try:
            self.send_QUERY("COMMIT")
            self._sock.flush()
        except (OSError, ValueError) as error:
            raise InterfaceError(f"network error: {error}") from error
        self._unheard = True
        self._transaction_status = _core.IDLE

    def close(self) -> None:
        # Nobody is helped by words about how a server that is gone took the farewell.
        with suppress(Error, OSError):
            _dbapi.Connection.close(self)

    def wait_at_most(self, seconds: float | None = STATEMENT_SECONDS + LOCK_SECONDS) -> None:
        """How long the server may be silent while it is asked; None: for ever."""
        if seconds != self._waits:
            self._waits = seconds
            self._usock.settimeout(seconds)

    def stale(self) -> bool:
        """True when the server has hung up while nobody used the connection. Costs next to nothing otherwise."""
        if time.monotonic() - self._heard_at < FRESH_SECONDS:
            return False
        try:
            if self._unheard:
                self._unheard = False
                self._listen(_core.Context("COMMIT"))
            if not select.select([self._usock], [], [], 0)[0]:
                return False
            # It has something to say: its last words, or a notice.
            self.ask("SELECT 1")
        except (Error, OSError):
            return True
        return False

    def ask(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """Execute a statement in one journey to the server and back; several statements when there are no values."""
        if self._begins and not values and ";" in statement:
            # Several statements go by another way than what begins a transaction.
            begins, self._begins = self._begins, ()
            self.ask("; ".join(begins))
        if values or self._begins:
            return self._ask_with(statement, values)
        context = _core.Context(statement)
        with self._talking(context):
            self.send_QUERY(statement)
            self._sock.flush()
            self._hear(context)
        return context

    def _ask_with(self, statement: str, values: Sequence[Any]) -> Any:
        """A statement with values, after what begins the transaction.

        Until the SYNC the server leaves out what comes after a statement that failed: nothing is ever executed outside
        of a transaction that could not begin.
        """
        # Before anything is sent: what can't be put into words must not leave half a message behind.
        said = _bound(_converters.make_params(self.py_types, values), self.only_reads)
        known = self._use(statement)
        kept = bool(known.name)
        context = _core.Context(statement, None, known.columns, known.readers)
        # One that fails this time is not kept later either: its name may be taken.
        keep = b"" if kept or known.uses != KEEP_AFTER else b"k%d" % next(self._names)
        name = known.name or keep
        parts: list[bytes] = []
        for words in self._begins:
            parts += _parse(b"", words), _BIND_NOTHING, _core.EXECUTE_MSG
        if not kept:
            parts += _parse(name, statement), _message(_core.DESCRIBE, b"S" + name + b"\0")
        parts += _message(_core.BIND, b"\0" + name + b"\0" + said), _core.EXECUTE_MSG, _core.SYNC_MSG
        with self._talking(context):
            self._sock.write(b"".join(parts))
            self._begins = ()
            self._sock.flush()
            try:
                self._hear(context)
            except DatabaseError as error:
                if kept and error.args[0].get("C") in _FORGOTTEN:
                    # A control plane of another version has changed them: it takes new connections.
                    context.error = None
                    raise InterfaceError("the tables have changed, try again") from error
                raise
        if keep:
            known.name, known.columns, known.readers = keep, context.columns, context.input_funcs
        return context

    def _use(self, statement: str) -> _Known:
        """What is known of a statement that is used now."""
        known = self._known.get(statement)
        if known is None:
            known = _Known()
            if len(self._known) < KNOWN:
                self._known[statement] = known
        known.uses += 1
        return known

    @contextmanager
    def _talking(self, context: Any) -> Generator[None]:
        """What goes wrong on the way is a network error."""
        try:
            yield
        except (OSError, ValueError, AttributeError, struct.error, InterfaceError) as error:
            # A server that shuts down says why, and hangs up.
            words = context.error.args[0].get("M") if context.error else error
            raise InterfaceError(f"network error: {words}") from error

    def _hear(self, context: Any) -> None:
        """Read what the server answers, after what it has said to the end of the transaction before."""
        if self._unheard:
            self._unheard = False
            # It read: whatever is said to its end, nothing is lost.
            with suppress(DatabaseError):
                self._listen(_core.Context("COMMIT"))
        self._listen(context)
        self._heard_at = time.monotonic()

    def _listen(self, context: Any) -> None:
        """The driver's ``handle_messages``, in half of its time for what comes most: rows."""
        read, handlers, code = self._sock.read, self.message_types, b""
        while code != _core.READY_FOR_QUERY:
            code, length = _HEAD.unpack(_whole(read(5), 5))
            data = _whole(read(length - 4), length - 4)
            if code == _core.DATA_ROW:
                context.rows.append(_row(data, context.input_funcs))
            else:
                handlers[code](data, context)
        if context.error is not None:
            raise context.error


def _whole(data: bytes, length: int) -> bytes:
    if len(data) < length:
        raise InterfaceError("the server hung up")
    return data


def _row(data: bytes, readers: Sequence[Callable[[str], Any]]) -> list[Any]:
    """The values of a row, which come as texts."""
    row: list[Any] = []
    end = 2
    for read in readers:
        start = end + 4
        length = _LENGTH(data, end)[0]
        if length < 0:
            end = start
            row.append(None)
            continue
        end = start + length
        text = data[start:end].decode()
        row.append(text if read is _TEXT else read(text))
    return row


def _bound(texts: Sequence[str | None], only_reads: bool) -> bytes:
    """Values as a statement takes them. Raises :class:`UnicodeEncodeError`."""
    parts = [struct.pack("!hH", 0, len(texts))]
    for text in texts:
        data = None if text is None else text.encode()
        if data and only_reads and b"\0" in data:
            # What workers report with a NUL is kept so (domain/wire.py).
            data = data.replace(b"\0", "\ufffd".encode())
        parts.append(struct.pack("!i", -1) if data is None else struct.pack("!i", len(data)) + data)
    return b"".join([*parts, b"\0\0"])


def _secured(plain: socket.socket, words: Mapping[str, Any]) -> socket.socket:
    """The socket, with TLS as the address has it: not (False), if the server offers it (None), or as a context says.

    Raises :class:`InterfaceError` when the server offers none and must.
    """
    wanted = words["ssl_context"]
    if wanted is False:
        return plain
    try:
        plain.sendall(_TLS_PLEASE)
        offered = plain.recv(1)
        if offered == b"S":
            return (wanted or _trusting()).wrap_socket(plain, server_hostname=words["host"])
        if offered == b"N" and wanted is None:
            return plain
        raise InterfaceError("the server offers no TLS" if offered == b"N" else "the server hung up")
    except BaseException:
        plain.close()
        raise


@cache
def _trusting() -> ssl.SSLContext:
    """TLS with whom it may be, as PostgreSQL's own clients have it unless told more. To make a context reads all of
    the machine's authorities: once is enough."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


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
