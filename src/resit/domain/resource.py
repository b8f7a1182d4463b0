"""Resources: files and links that belong to a project and to no run."""

from dataclasses import dataclass
from enum import StrEnum


class ResourceStatus(StrEnum):
    """Whether a resource's content is there."""

    PENDING = "pending"
    UPLOADED = "uploaded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A file that was uploaded, or a link (``url`` not empty; it has no content of ours)."""

    id: int
    project_id: int
    name: str
    url: str = ""
    description: str = ""
    mime_type: str = ""
    size: int | None = None
    status: ResourceStatus = ResourceStatus.PENDING
    created_by: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0

    @property
    def key(self) -> str:
        """Under which its content is stored."""
        return f"resource-{self.id}"
