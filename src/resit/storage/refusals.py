"""What the errors of the databases mean to those who asked."""

from typing import Any

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from resit.domain.errors import AlreadyExists, Conflict, InvalidInput, NoRoom, ResitError, Unavailable

_AWAY = ("08", "28", "3D", "53", "57", "58")
"""Classes of PostgreSQL's codes: the connection, the password, the database's name, no room, an operator, the disk."""
_FULL = "database or disk is full"
_DAMAGED = ("malformed", "file is not a database")
"""SQLite's words."""
_AGAIN = {
    "40001": "it was changed by somebody else at the same time",
    "40P01": "it was changed by somebody else at the same time (a deadlock)",
    "40003": "it is not known what became of it",
    "55P03": "a row was held by somebody else for too long",
    "25006": "it takes no changes: is it a standby?",
    "25P03": "a transaction paused for too long",
    "25P04": "a transaction took too long",
}


def meaning(error: DBAPIError) -> ResitError | None:
    """The refusal that an error of a database stands for; None for a fault of ours."""
    code = _code(error)
    if code:
        return _by_code(code, error)
    if _FULL in str(error.orig):
        return NoRoom("the disk of the database is full: make room, then try again")
    if any(words in str(error.orig) for words in _DAMAGED):
        return Unavailable(f"the database is damaged: {error.orig}; resit db check says more, a backup can be restored")
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return Unavailable(f"the database does not answer: {error.orig}")
    return None


def _by_code(code: str, error: DBAPIError) -> ResitError | None:
    words = _said(error)
    if code == "53100":
        return NoRoom("the disk of the database is full: make room, then try again")
    if code[:2] in _AWAY:
        return Unavailable(f"the database does not answer: {words}")
    if code in _AGAIN:
        return Unavailable(f"the database asks to try again: {_AGAIN[code]}")
    if code in ("22021", "22P05"):
        return InvalidInput("a text holds a NUL: leave it out")
    if code == "22003":
        return InvalidInput("a number is too large: there is no such thing")
    if code == "54000":
        return InvalidInput("a name is too long to be looked up")
    if code in ("23505", "23503"):
        return _taken(words)
    return None


def _taken(words: str) -> ResitError:
    """Two wanted the same at the same time, or one used what the other took away: the first one has it."""
    if "foreign key" in words.lower():
        return Conflict("what this belongs to was taken away at the same time")
    return AlreadyExists("somebody else made the same at the same time")


def _code(error: DBAPIError) -> str:
    return str(_told(error).get("C", ""))


def _said(error: DBAPIError) -> str:
    return str(_told(error).get("M", error.orig))


def _told(error: DBAPIError) -> dict[str, Any]:
    """What PostgreSQL said, by the letters of its protocol."""
    words = getattr(error.orig, "args", ())
    return words[0] if words and isinstance(words[0], dict) else {}
