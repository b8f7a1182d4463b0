"""Badges of environments for READMEs; public, so they tell no more than the state (study 1.7 and 2.12)."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from resit.api.badges import image
from resit.api.context import Use
from resit.domain.badge import badge, not_found

router = APIRouter()
LABEL = "empirical tests"
Slug = Annotated[str, Path(max_length=200)]


@router.get("/api/badges/projects/{project_slug}/environments/{environment_slug}")
def environment_badge(
    use: Use, project_slug: Slug, environment_slug: Slug, branch: str = "", label: str = ""
) -> Response:
    """How the newest run of an environment stands."""
    words = label.strip() or LABEL
    with use.store.read() as tx:
        project = tx.projects.by_slug(project_slug)
        found = tx.projects.environment_by_slug(project.id, environment_slug.lower()) if project else None
    if found is None:
        return image(not_found(words), 404)
    view = use.reads.latest_run(found.id, branch.strip())
    return image(badge(words, [view.run] if view else [], fine=False))
