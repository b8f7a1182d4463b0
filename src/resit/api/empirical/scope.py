"""Which project a request is about (study 2.1), and which page of a list."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query
from fastapi.responses import JSONResponse

from resit.api.context import Services, Use, Who
from resit.domain.access import Principal
from resit.domain.errors import InvalidInput, NotFound
from resit.domain.project import Project, repository

MAX_OFFSET = 10**15
"""Beyond any list; so far off a page is empty."""
MAX_NUMBER = 2**53
Id = Annotated[int, Path(ge=1)]
Number = Annotated[int | None, Query(ge=1)]
Text = Annotated[str, Query(max_length=2000)]


def within(number: int) -> int:
    """A number that rows can have. Raises :class:`NotFound` for what is beyond any."""
    if number >= MAX_NUMBER:
        raise NotFound(f"there is no {number}")
    return number


def project(
    use: Use,
    who: Who,
    id: Annotated[str, Header(alias="x-project-id", max_length=40)] = "",
    slug: Annotated[str, Header(alias="x-project-slug", max_length=100)] = "",
) -> Project:
    """The project of the token, or for a token that is bound to none the one that the headers name.

    Raises :class:`NotFound` for one out of reach, :class:`InvalidInput` when none is named.
    """
    if id and not (id.isascii() and id.isdigit() and 0 < int(id) < MAX_NUMBER):
        raise InvalidInput(f"x-project-id is {id!r}: send a project's number", field="x-project-id")
    wanted = int(id) if id else who.project_id
    with use.store.read() as tx:
        if wanted is not None:
            found = tx.projects.get(wanted)
        elif slug:
            found = tx.projects.by_slug(slug)
        else:
            raise InvalidInput(
                "this token is not bound to one project: say which is meant with the header x-project-id"
            )
    if found is None or not who.reaches(found.id) or (slug and found.slug != slug):
        raise NotFound("the project was not found, or is not accessible")
    return found


Scoped = Annotated[Project, Depends(project)]


def same_project(found: Project, number: int | None) -> None:
    """Raise :class:`InvalidInput` when a request names, in the old way, another project than its scope's."""
    if number is not None and number != found.id:
        raise InvalidInput(
            f"project_id is {number}, but this request is about project {found.id}: leave project_id out",
            field="project_id",
        )


def is_named(found: Project, number: int | None, repository_name: str) -> bool:
    """True unless older words, a number or a repository's name with or without its owner, mean another project."""
    whole = repository(found).lower()
    names = ("", whole, whole.rpartition("/")[2], found.slug)
    return number in (None, found.id) and repository_name.lower() in names


def named_project(use: Services, who: Principal, id: int) -> Project:
    """A project by its number. Raises :class:`NotFound`."""
    with use.store.read() as tx:
        found = tx.projects.get(within(id))
    if found is None or not who.reaches(found.id):
        raise NotFound("the project was not found, or is not accessible")
    return found


@dataclass(frozen=True, slots=True)
class Paging:
    """A page of a list."""

    page: int
    size: int

    @property
    def offset(self) -> int:
        """How many items come before the page."""
        return min((self.page - 1) * self.size, MAX_OFFSET)

    def of(self, total: int, **more: Any) -> dict[str, Any]:
        """The member ``pagination`` of an answer."""
        pages = -(-total // self.size)
        return {"page": self.page, "per_page": self.size, "total": total, "total_pages": pages, **more}


Page = Annotated[int, Query(ge=1)]


def paging(page: Page = 1, per_page: Annotated[int, Query(ge=1, le=100)] = 20) -> Paging:
    """What most lists take."""
    return Paging(page, per_page)


Paged = Annotated[Paging, Depends(paging)]


def listed(text: str, most: int = 1000) -> list[str]:
    """The parts of a text that are separated by commas, without empty ones; what is past ``most`` does not count."""
    return [part.strip() for part in text.split(",") if part.strip()][:most]


def numbers(text: str, field: str) -> tuple[int, ...]:
    """Numbers separated by commas. Raises :class:`InvalidInput`."""
    found = listed(text)
    if any(not (part.isascii() and part.isdigit() and len(part) < 16) for part in found):
        raise InvalidInput(f"{field} is a list of numbers, separated by commas", field=field)
    return tuple(int(part) for part in found)


def answer(data: Any, **siblings: Any) -> JSONResponse:
    """The envelope of a success; ``siblings`` stand beside ``data``."""
    return JSONResponse({"data": data, **siblings})


def page_of(name: str, items: Sequence[Any], pagination: dict[str, Any]) -> JSONResponse:
    """A page of a list whose items are in a member of ``data``."""
    return answer({name: list(items)}, pagination=pagination)
