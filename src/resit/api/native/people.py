"""Routes of people and of the organization: for the operator."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from resit.api.context import Services, Use, Who
from resit.api.native.catalog_schemas import Asked, Many, Text, when
from resit.domain.access import Principal, Role, User

router = APIRouter(prefix="/resit/v1")


class UserIn(Asked):
    """An account to make."""

    email: Text
    name: Text = Field(default="", description="Without one the account is called like its e-mail")
    role: Role = Role.USER
    password: Text = Field(
        description="8 to 128 characters; no answer ever holds it", json_schema_extra={"writeOnly": True}
    )
    project: Text | None = Field(default=None, description="Slug of the one project it is for; null: all")


class UserOut(BaseModel):
    """A person."""

    id: int
    email: str
    name: str
    role: Role
    project_id: int | None
    disabled: bool
    created_at: datetime | None

    @classmethod
    def of(cls, value: User) -> "UserOut":
        """The words for a person."""
        return cls(
            id=value.id,
            email=value.email,
            name=value.name,
            role=value.role,
            project_id=value.project_id,
            disabled=value.disabled,
            created_at=when(value.created_at),
        )


class OrganizationIn(Asked):
    """What is to change; members that are absent stay."""

    monthly_runs: Annotated[int, Field(strict=True, ge=0)] | None = Field(
        default=None, description="Runs of one calendar month (UTC); null: no limit"
    )
    suspended: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="Nobody but an administrator of all projects gets an answer"
    )


class OrganizationOut(BaseModel):
    """What the operator has decided. ``runs_this_month``: made since the month began (UTC), in all projects."""

    monthly_runs: int | None
    runs_this_month: int
    suspended: bool


def _organization(use: Services, who: Principal) -> OrganizationOut:
    found, runs = use.organizations.get(who)
    return OrganizationOut(monthly_runs=found.monthly_runs, runs_this_month=runs, suspended=found.suspended)


@router.post("/users", status_code=201, tags=["people"])
def add_user(use: Use, who: Who, body: UserIn) -> UserOut:
    """Make an account, for the API that signs in with e-mail and password."""
    return UserOut.of(
        use.people.add(
            who, email=body.email, name=body.name, role=body.role, password=body.password, project=body.project
        )
    )


@router.get("/users", tags=["people"])
def list_users(use: Use, who: Who) -> Many[UserOut]:
    """All accounts."""
    return Many(items=[UserOut.of(user) for user in use.people.all(who)], next=None)


@router.post("/users/{email:path}/disable", tags=["people"])
def disable_user(use: Use, who: Who, email: str) -> UserOut:
    """Close an account and revoke its tokens. A second time changes nothing."""
    return UserOut.of(use.people.disable(who, email))


class LinkOut(BaseModel):
    """A link to the web page."""

    url: str = Field(description="Signs its opener in as who asked for it, once, within a day")


@router.post("/sign-in-links", status_code=201, tags=["people"])
def add_link(use: Use, who: Who) -> LinkOut:
    """A link that opens the web page signed in, for an administrator of everything."""
    return LinkOut(url=f"{use.url.rstrip('/')}/link/{use.sessions.link(who)}")


@router.get("/organization", tags=["organization"])
def get_organization(use: Use, who: Who) -> OrganizationOut:
    """The settings of the whole installation, and how many runs were made this month."""
    return _organization(use, who)


@router.patch("/organization", tags=["organization"])
def set_organization(use: Use, who: Who, body: OrganizationIn) -> OrganizationOut:
    """Limit the runs of a month, suspend the organization, or take either back."""
    use.organizations.set(who, body.model_dump(exclude_unset=True))
    return _organization(use, who)
