"""Finding a small thing that a project owns, by its number."""

from typing import Protocol, TypeVar

from resit.domain.access import Principal
from resit.domain.errors import NotFound
from resit.services.requests import MAX_NUMBER


class Owned(Protocol):
    """What belongs to a project."""

    @property
    def project_id(self) -> int: ...


T = TypeVar("T", bound=Owned)
T_co = TypeVar("T_co", bound=Owned, covariant=True)


class Kept(Protocol[T_co]):
    """Where such things are found."""

    def get(self, id: int) -> T_co | None: ...


def find_owned(kept: Kept[T], principal: Principal, id: int, kind: str) -> T:
    """A thing within reach. Raises :class:`NotFound`, in the same words whether it exists elsewhere or not."""
    found = kept.get(id) if 0 < id < MAX_NUMBER else None
    if found is None or not principal.reaches(found.project_id):
        raise NotFound(f"no {kind} {id}", resource=kind, id=str(id))
    return found
