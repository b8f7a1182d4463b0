"""Badges (study 1.10). They need no bearer token: the project's badge secret stands in their address.

The documents know no answer but 200, and an image that is not shown helps nobody: a badge that is not there says so.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from resit.api.badges import image
from resit.api.context import Use
from resit.api.qatech.scope import number
from resit.api.qatech.words import VIA, Trigger
from resit.domain.badge import HISTORY, MAX_HISTORY, BadgeStyle, Sample, badge, not_found, sample
from resit.ports.reads import RunFilter
from resit.services.badges import project_of_badge

router = APIRouter()
Dated = Annotated[bool, Query(alias="showDate")]
History = Annotated[int, Query(alias="historyCount")]
_NAME = "tests"


@router.get("/v1/badge.svg")
def get_badge(
    use: Use,
    token: str,
    plan: Annotated[str, Query(alias="testPlanShortId")],
    label: str | None = None,
    style: BadgeStyle = BadgeStyle.STANDARD,
    dated: Dated = False,
    history: History = HISTORY,
    created_by: Annotated[str, Query(alias="createdBy")] = "",
    trigger: Trigger = Trigger.ANY,
) -> Response:
    """How the newest runs of a test plan stand."""
    now = use.clock.now()
    with use.store.read() as tx:
        project = project_of_badge(tx, use.signer, token, now)
        plans = tx.test_plans.of_project(project.id) if project else ()
    wanted = number(use.ids, plan)
    found = next((p for p in plans if p.id == wanted), None)
    if project is None or found is None:
        return image(not_found(_NAME if label is None else label))
    which = RunFilter(project_id=project.id, test_plan_id=found.id, via=VIA[trigger], triggered_by=created_by)
    runs = [view.run for view in use.reads.runs(which, min(max(history, 1), MAX_HISTORY)).items]
    name = found.name if label is None else label
    return image(badge(name, runs, style, now=now if dated else None, count=history))


@router.get("/v1/badge-example.svg")
def get_example(
    example: Sample,
    label: str | None = None,
    style: BadgeStyle = BadgeStyle.STANDARD,
    dated: Dated = False,
    history: History = HISTORY,
) -> Response:
    """A badge that is made up, to choose from."""
    return image(sample(example, _NAME if label is None else label, style, dated=dated, count=history))
