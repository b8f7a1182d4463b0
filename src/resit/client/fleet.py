"""Workers, pools and credentials of workers over the native API: a part of the client."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote


class FleetCalls:
    """See ``Client.fleet``."""

    def __init__(
        self,
        call: Callable[..., dict[str, Any]],
        items: Callable[[str, Mapping[str, str | None]], Iterator[dict[str, Any]]],
        drop: Callable[[str, str], object],
    ) -> None:
        self._call, self._items, self._drop = call, items, drop

    def workers(self) -> Iterator[dict[str, Any]]:
        """The workers of the last day."""
        return self._items("/workers", {})

    def pools(self) -> Iterator[dict[str, Any]]:
        """The pools by name."""
        return self._items("/pools", {})

    def add_pool(self, fields: Mapping[str, object]) -> dict[str, Any]:
        """Make a pool."""
        return self._call("POST", "/pools", json=fields)

    def change_pool(self, name: str, changes: Mapping[str, object]) -> dict[str, Any]:
        """Change a pool; what is not named stays."""
        return self._call("PATCH", f"/pools/{quote(name, safe='')}", json=changes)

    def remove_pool(self, name: str) -> None:
        """Take a pool away that nothing needs."""
        self._drop("DELETE", f"/pools/{quote(name, safe='')}")

    def create_credential(self, fields: Mapping[str, object]) -> dict[str, Any]:
        """Make a credential; only this answer ever holds its secret."""
        return self._call("POST", "/worker-credentials", json=fields)

    def credentials(self) -> Iterator[dict[str, Any]]:
        """The credentials, without their secrets."""
        return self._items("/worker-credentials", {})

    def revoke_credential(self, id: int) -> None:
        """End a credential's life and its connections."""
        self._drop("DELETE", f"/worker-credentials/{id}")
