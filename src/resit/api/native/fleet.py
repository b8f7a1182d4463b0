"""Routes of pools, workers and the credentials of workers on other machines."""

from fastapi import APIRouter, Response

from resit.api.context import Use, Who
from resit.api.native import fleet_schemas as schemas
from resit.api.native.catalog_schemas import Many

router = APIRouter(prefix="/resit/v1", tags=["workers"])


@router.get("/workers")
def list_workers(use: Use, who: Who) -> Many[schemas.WorkerOut]:
    """The workers of the last day, by pool and name. Of runs out of the token's reach it tells that a slot is taken."""
    now = use.clock.now()
    return Many(items=[schemas.WorkerOut.of(worker, now) for worker in use.fleet.workers(who)], next=None)


@router.get("/pools")
def list_pools(use: Use, who: Who) -> Many[schemas.PoolOut]:
    """The pools by name; `default` is always among them."""
    return Many(items=[schemas.PoolOut.of(view) for view in use.fleet.pools(who)], next=None)


@router.post("/pools", status_code=201)
def add_pool(use: Use, who: Who, body: schemas.PoolIn) -> schemas.PoolOut:
    """Make a pool. Environments name it by its name, or by labels that it has."""
    made = use.fleet.add_pool(who, name=body.name, labels=body.labels, description=body.description)
    return schemas.PoolOut.of(made)


@router.patch("/pools/{name}")
def change_pool(use: Use, who: Who, name: str, body: schemas.PoolChange) -> schemas.PoolOut:
    """Change a pool; what is absent stays. Labels are named one by one: null takes one away."""
    return schemas.PoolOut.of(use.fleet.change_pool(who, name, body.model_dump(exclude_unset=True)))


@router.delete("/pools/{name}", status_code=204)
def remove_pool(use: Use, who: Who, name: str) -> Response:
    """Take a pool away that no environment names, and that has no open run and no valid credential."""
    use.fleet.remove_pool(who, name)
    return Response(status_code=204)


@router.post("/worker-credentials", status_code=201)
def add_worker_credential(use: Use, who: Who, body: schemas.WorkerCredentialIn) -> schemas.NewWorkerCredential:
    """Make a credential for workers of one pool. Its secret is in this answer and nowhere else."""
    made, secret, address = use.fleet.issue(who, pool=body.pool, name=body.name, expires_in_days=body.expires_in_days)
    return schemas.NewWorkerCredential.made(made, secret, address)


@router.get("/worker-credentials")
def list_worker_credentials(use: Use, who: Who) -> Many[schemas.WorkerCredentialOut]:
    """The credentials, oldest first, without their secrets."""
    return Many(items=[schemas.WorkerCredentialOut.of(c) for c in use.fleet.credentials(who)], next=None)


@router.delete("/worker-credentials/{credential_id}", status_code=204)
def revoke_worker_credential(use: Use, who: Who, credential_id: int) -> Response:
    """End a credential's life and its connections, within seconds; what its workers held is done by others."""
    use.fleet.revoke(who, credential_id)
    use.signals().outbox()
    return Response(status_code=204)
