"""The secret in the address of a project's badges."""

from fastapi import APIRouter
from pydantic import BaseModel

from resit.api.context import Use, Who
from resit.services.badges import badge_token

router = APIRouter(prefix="/resit/v1")


class BadgeToken(BaseModel):
    """Opens the badges of one project and nothing else; it may stand in a README."""

    token: str


@router.get("/projects/{slug}/badge-token", tags=["projects"])
def get_badge_token(use: Use, who: Who, slug: str) -> BadgeToken:
    """The secret for the addresses of a project's badges."""
    with use.store.read() as tx:
        return BadgeToken(token=badge_token(tx, use.signer, who, slug))
