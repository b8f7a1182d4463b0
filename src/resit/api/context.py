"""What routes get at: the services and reads of this server, and who is asking."""

from typing import Annotated, cast

from fastapi import Depends, Request

from resit.control.context import Services
from resit.domain.access import Principal
from resit.domain.errors import Unauthenticated


async def services(request: Request) -> Services:
    """The services of the application that got the request. Waits for nothing: it saves a way through a thread."""
    return cast("Services", request.app.state.services)


Use = Annotated[Services, Depends(services)]


def bearer(request: Request) -> str:
    """The bearer token of a request. Raises :class:`Unauthenticated`."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated("no valid token: send one as 'Authorization: Bearer <token>'")
    return secret.strip()


def principal(request: Request, use: Use) -> Principal:
    """Who asks. Raises :class:`Unauthenticated`."""
    return use.access.authenticate(bearer(request))


Who = Annotated[Principal, Depends(principal)]
