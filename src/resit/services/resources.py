"""Resources: files and links of a project."""

from resit.domain.access import Principal
from resit.domain.resource import Resource
from resit.ports import Clock, Signer, Store

READ, WRITE = "r", "w"


class Resources:
    """See the module. The content itself goes by ``Artifacts`` under :attr:`Resource.key`."""

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
        """A link (with ``url``), or a file whose content is still to come."""
        raise NotImplementedError

    def get(self, principal: Principal, id: int) -> Resource:
        """A resource within reach. Raises :class:`NotFound`."""
        raise NotImplementedError

    def change(
        self, principal: Principal, id: int, *, name: str | None = None, description: str | None = None
    ) -> Resource:
        """Change its words."""
        raise NotImplementedError

    def remove(self, principal: Principal, id: int) -> Resource:
        """Take it away. The caller deletes its content."""
        raise NotImplementedError

    def sign(self, resource: Resource, right: str, seconds: float = 3600.0) -> tuple[int, str]:
        """When a right (``READ``, ``WRITE``) to the content ends, in Unix seconds, and the signature for it."""
        raise NotImplementedError

    def signed(self, id: int, right: str, expires: int, signature: str) -> Resource:
        """The resource that a signature opens. Raises :class:`Forbidden` or :class:`NotFound`."""
        raise NotImplementedError

    def uploaded(self, resource: Resource, size: int, mime_type: str = "") -> Resource:
        """Its content is there now."""
        raise NotImplementedError
