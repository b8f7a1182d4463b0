"""What real clients call beside the documented API (study 1.8)."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from resit.api.context import Use, Who
from resit.api.dialect import Raw, iso, load, parse
from resit.api.empirical import schemas
from resit.api.empirical.scope import Id, Scoped, answer, named_project
from resit.api.empirical.views import project_out
from resit.domain.access import Scope
from resit.domain.errors import NotFound
from resit.domain.webhook import Webhook

router = APIRouter()
MASK = "********"


# ---------------------------------------------------------------- projects


@router.get("/api/projects/{id}")
def get_project(use: Use, who: Who, id: Id) -> JSONResponse:
    """A project; the newest client makes the report's link from its slug."""
    who.need(Scope.RUNS_READ)
    return answer(project_out(named_project(use, who, id)))


@router.post("/api/projects/merge-branches")
def merge_branches(who: Who, raw: Raw) -> JSONResponse:
    """Nothing: Resit takes the branches of test repositories as they are, so none has to follow a merge."""
    who.need(Scope.RUNS_WRITE)
    asked = parse(schemas.MergeBranches, load(raw))
    base, head = asked.base_branch[:200], asked.head_branch[:200]
    return answer({"message": f"Nothing to do: Resit makes no branches, so {head} need not be merged into {base}"})


# ---------------------------------------------------------------- webhooks


def webhook_out(webhook: Webhook) -> dict[str, Any]:
    """A webhook, without its secret."""
    return {
        "id": webhook.id,
        "url": webhook.url,
        "events": [event.value for event in webhook.events],
        "is_active": webhook.active,
        "created_at": iso(webhook.created_at),
    }


@router.get("/api/webhooks")
def list_webhooks(use: Use, who: Who, project: Scoped) -> JSONResponse:
    """The webhooks of a project."""
    return answer({"webhooks": [webhook_out(webhook) for webhook in use.webhooks.of_project(who, project.slug)]})


@router.post("/api/webhooks")
def add_webhook(use: Use, who: Who, project: Scoped, raw: Raw) -> JSONResponse:
    """Make a webhook; its secret is in this answer and nowhere else."""
    asked = parse(schemas.WebhookNew, load(raw))
    made, secret = use.webhooks.add(who, project.slug, url=asked.url, events=asked.events)
    return answer({"webhook": {**webhook_out(made), "secret": secret}})


@router.post("/api/webhooks/{id}/test")
def try_webhook(use: Use, who: Who, id: Id) -> JSONResponse:
    """Have ``webhook.test`` delivered to a webhook. The path is ours: the vendor's is not known."""
    use.webhooks.test(who, id)
    use.signals().outbox()
    return answer({"message": f"A test event is on its way to webhook {id}"})


@router.delete("/api/webhooks/{id}")
def remove_webhook(use: Use, who: Who, id: Id) -> JSONResponse:
    """Take a webhook away."""
    use.webhooks.remove(who, id)
    return answer({"message": f"Webhook {id} was deleted"})


# ---------------------------------------------------------------- keys, variables


@router.get("/api/api-keys")
def list_keys(use: Use, who: Who, project: Scoped) -> JSONResponse:
    """The valid tokens of a project, without their secrets."""
    now = use.clock.now()
    keys = [
        {
            "id": token.id,
            "name": token.name or f"token {token.id}",
            "is_internal": False,
            "created_at": iso(token.created_at),
        }
        for token in use.access.tokens(who)
        if token.project_id == project.id and token.valid(now)
    ]
    return answer({"api_keys": keys})


@router.delete("/api/api-keys/{id}")
def remove_key(use: Use, who: Who, id: Id) -> JSONResponse:
    """End a token's life."""
    use.access.revoke(who, id)
    return answer({"message": f"API key {id} was deleted"})


@router.get("/api/environment-variables")
def list_variables(use: Use, who: Who, project: Scoped) -> JSONResponse:
    """The names of the variables of all environments; clients ask this to see whether their key is good.

    Values stay masked: they are set and read over Resit's own API or command line, secrets are never read.
    """
    who.need(Scope.RUNS_READ)
    found = [
        {
            "name": name,
            "value": MASK,
            "is_secret": name in environment.secrets,
            "environment_id": environment.id,
            "environment_slug": environment.slug,
        }
        for environment in use.reads.environments(project.id)
        for name in sorted({*environment.variables, *environment.secrets})
    ]
    return answer({"environment_variables": found})


@router.get("/api/test-runs/{id}/results", include_in_schema=False)
def gone(who: Who, id: Id) -> JSONResponse:
    """A path that the vendor had once."""
    raise NotFound(f"results of runs are at /api/v2/test-runs/{id}/cases")
