"""Everything that Resit refuses, as one family. Faces map each class; nobody matches on texts.

ResitError
  InvalidInput            the request makes no sense as it stands; ``field`` names the part
    NothingToRun          a re-run that would run no test
  Unauthenticated         no token, or one that is unknown, expired or revoked
  Forbidden               the token does not cover this
  NotFound                no such thing, or not within reach of the token
  Conflict                the thing exists, but its state does not allow this
    AlreadyExists
    RunStillOpen          only a closed run says what failed
    RequestReused         an idempotency key that came with another request
  TooLarge                over a limit of size or count
  Unavailable             a part that is needed is away; try again later
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


class RequestReused(Conflict):
    """An idempotency key that came with another request before."""

    code = "idempotency_key_reused"


class TooLarge(ResitError):
    """Over a limit of size or count."""

    code = "too_large"


class Unavailable(ResitError):
    """A part that is needed is away; try again later."""

    code = "unavailable"
