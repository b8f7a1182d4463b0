"""Everything that Resit refuses, as one family. Faces map each class; nobody matches on texts.

ResitError
  InvalidInput            the request makes no sense as it stands; ``field`` names the part
    NothingToRun          a re-run that would run no test
  Unauthenticated         no token, or one that is unknown, expired or revoked
  Forbidden               the token does not cover this
    Suspended             the operator has suspended the organization
  QuotaExceeded           the organization has used up its runs of this month
  RateLimited             too many requests in too short a time
  NotFound                no such thing, or not within reach of the token
  Conflict                the thing exists, but its state does not allow this
    AlreadyExists
    RunStillOpen          only a closed run says what failed
    RunNotCarriedThrough  the source ended, but not all of it was executed
    RequestReused         an idempotency key that came with another request
  TooLarge                over a limit of size or count
  Unavailable             a part that is needed is away; try again later
    NoRoom                a disk is full
"""


class ResitError(Exception):
    """Something was refused. The message is for the person who asked: cause first, then what to do."""

    code = "error"

    def __init__(self, message: str, *, field: str = "", **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.details = details


class InvalidInput(ResitError):
    """The request makes no sense as it stands."""

    code = "invalid_input"


class NothingToRun(InvalidInput):
    """A run or re-run that would execute no test."""

    code = "nothing_to_run"


class Unauthenticated(ResitError):
    """No token, or one that is unknown, expired or revoked."""

    code = "unauthenticated"


class Forbidden(ResitError):
    """The token does not cover this."""

    code = "forbidden"


class Suspended(Forbidden):
    """The operator has suspended the organization."""

    code = "suspended"


class QuotaExceeded(ResitError):
    """The organization has used up its runs of this month."""

    code = "quota_exceeded"


class RateLimited(ResitError):
    """Too many requests in too short a time. Details: ``retry_after`` (seconds), ``limit``, ``window`` (seconds)."""

    code = "rate_limited"


class NotFound(ResitError):
    """No such thing, or not within reach of the token."""

    code = "not_found"


class Conflict(ResitError):
    """The thing exists, but its state does not allow this."""

    code = "conflict"


class AlreadyExists(Conflict):
    """A thing with this name exists already."""

    code = "already_exists"


class RunStillOpen(Conflict):
    """Only a closed run says what failed."""

    code = "run_still_open"


class RunNotCarriedThrough(Conflict):
    """The source ended, but not all of it was executed, and only a run that was carried through will do."""

    code = "run_not_carried_through"


class RequestReused(Conflict):
    """An idempotency key that came with another request before."""

    code = "idempotency_key_reused"


class TooLarge(ResitError):
    """Over a limit of size or count."""

    code = "too_large"


class Unavailable(ResitError):
    """A part that is needed is away; try again later."""

    code = "unavailable"


class NoRoom(Unavailable):
    """A disk is full: somebody has to make room first."""

    code = "no_room"
