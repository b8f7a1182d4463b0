"""Resources: files and links of a project."""

import re
from dataclasses import replace

from resit.domain.access import Principal, Scope
from resit.domain.errors import Conflict, Forbidden, InvalidInput, NotFound
from resit.domain.project import check_text, check_url
from resit.domain.resource import Resource, ResourceStatus
from resit.ports import Clock, Signer, Store
from resit.services.catalog import find_project
from resit.services.owned import find_owned
from resit.services.requests import MAX_NUMBER

READ, WRITE = "r", "w"

MAX_NAME = 255
MAX_RESOURCES = 10_000
"""Resources of a project."""
_MIME_TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}(; ?[\w.+-]{1,40}=[\w.+-]{1,100})?", re.ASCII)


class Resources:
    """See the module. The content itself goes by ``Artifacts`` under :attr:`Resource.key`.

    Reading and writing need runs:read and runs:write; content is opened by a signature alone (Empirical, study 1.6).
    """

    def __init__(self, store: Store, clock: Clock, signer: Signer) -> None:
        self._store, self._clock, self._signer = store, clock, signer

    def add(
        self,
        principal: Principal,
        project: str,
        *,
        name: str,
        url: str = "",
        description: str = "",
        mime_type: str = "",
        size: int | None = None,
    ) -> Resource:
        """A link (with ``url``), or a file whose content is still to come.

        ``size`` in bytes is what the caller says until the content is there. Raises :class:`InvalidInput`,
        :class:`NotFound`.
        """
        principal.need(Scope.RUNS_WRITE)
        _check_words(name, description)
        _check_mime_type(mime_type)
        if url:
            check_url(url, "url")
        if size is not None and not 0 <= size < MAX_NUMBER:
            raise InvalidInput("a size is a number of bytes, 0 or more", field="size")
        now = self._clock.now()
        with self._store.write(alone=True) as tx:
            found = find_project(tx, principal, project)
            if len(tx.resources.of_project(found.id)) >= MAX_RESOURCES:
                raise InvalidInput(f"a project has at most {MAX_RESOURCES} resources: remove some")
            return tx.resources.add(
                Resource(
                    id=0,
                    project_id=found.id,
                    name=name,
                    url=url,
                    description=description,
                    mime_type=mime_type,
                    size=size,
                    status=ResourceStatus.UPLOADED if url else ResourceStatus.PENDING,
                    created_by=principal.name,
                    created_at=now,
                    updated_at=now,
                )
            )

    def get(self, principal: Principal, id: int) -> Resource:
        """A resource within reach. Raises :class:`NotFound`."""
        principal.need(Scope.RUNS_READ)
        with self._store.read() as tx:
            return find_owned(tx.resources, principal, id, "resource")

    def change(
        self, principal: Principal, id: int, *, name: str | None = None, description: str | None = None
    ) -> Resource:
        """Change its words. Raises :class:`InvalidInput`, :class:`NotFound`."""
        principal.need(Scope.RUNS_WRITE)
        with self._store.write(alone=True) as tx:
            found = find_owned(tx.resources, principal, id, "resource")
            found = replace(
                found,
                name=found.name if name is None else name,
                description=found.description if description is None else description,
                updated_at=self._clock.now(),
            )
            _check_words(found.name, found.description)
            tx.resources.save(found)
            return found

    def remove(self, principal: Principal, id: int) -> Resource:
        """Take it away. The caller deletes its content. Raises :class:`NotFound`."""
        principal.need(Scope.RUNS_WRITE)
        with self._store.write(alone=True) as tx:
            found = find_owned(tx.resources, principal, id, "resource")
            tx.resources.remove(id)
            return found

    def sign(self, resource: Resource, right: str, seconds: float = 3600.0) -> tuple[int, str]:
        """When a right (``READ``, ``WRITE``) to the content ends, in Unix seconds, and the signature for it."""
        expires = int(self._clock.now() + seconds)
        return expires, self._signer.sign(_subject(resource, right, expires), float(expires))

    def signed(self, id: int, right: str, expires: int, signature: str) -> Resource:
        """The resource that a signature opens. Raises :class:`Forbidden` or :class:`NotFound`.

        The words of a refusal don't tell what is wrong with the signature, nor whether there is such a resource.
        """
        now = self._clock.now()
        said = self._signer.verify(signature, now) if signature.isascii() else None
        if said is None or not said.startswith(_opening(id, right, expires)):
            raise Forbidden("the signature does not open this resource, or no longer: ask for a new address")
        with self._store.read() as tx:
            found = tx.resources.get(id)
        if found is None or said != _subject(found, right, expires):
            raise NotFound(f"no resource {id}", resource="resource", id=str(id))
        return found

    def uploaded(self, resource: Resource, size: int, mime_type: str = "") -> Resource:
        """Its content is there now: ``size`` bytes. An empty ``mime_type`` leaves what was said before.

        Raises :class:`NotFound` when it was taken away meanwhile, :class:`Conflict` for a link.
        """
        _check_mime_type(mime_type)
        with self._store.write(alone=True) as tx:
            found = tx.resources.get(resource.id)
            if found is None or found.created_at != resource.created_at:
                raise NotFound(f"no resource {resource.id}", resource="resource", id=str(resource.id))
            if found.url:
                raise Conflict("a link has no content of its own")
            found = replace(
                found,
                status=ResourceStatus.UPLOADED,
                size=size,
                mime_type=mime_type or found.mime_type,
                updated_at=self._clock.now(),
            )
            tx.resources.save(found)
            return found


def _opening(id: int, right: str, expires: int) -> str:
    return f"resource:{id}:{right}:{expires}:"


def _subject(resource: Resource, right: str, expires: int) -> str:
    # Numbers may be given out again: the time tells a resource from a later one in its place.
    return f"{_opening(resource.id, right, expires)}{resource.created_at!r}"


def _check_words(name: str, description: str) -> None:
    if not name.strip():
        raise InvalidInput("a resource has a name", field="name")
    check_text(name, "name", MAX_NAME)
    check_text(description, "description")


def _check_mime_type(mime_type: str) -> None:
    if mime_type and not _MIME_TYPE.fullmatch(mime_type):
        raise InvalidInput(f"{mime_type[:80]!r} is no media type, like 'text/plain'", field="mime_type")
