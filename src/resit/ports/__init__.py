"""What services, control and worker need from the world: narrow protocols, owned by their users."""

from resit.ports.broker import BrokerAway, ControlBroker, Delivery, Job, WorkerBroker
from resit.ports.storage import (
    ArtifactRow,
    CaseRow,
    Ledgered,
    LogPart,
    Outgoing,
    Page,
    Store,
    StoredResult,
    Transaction,
)
from resit.ports.world import Artifacts, Clock, Ids, Rates, Signer, Uploads

__all__ = [
    "ArtifactRow",
    "Artifacts",
    "BrokerAway",
    "CaseRow",
    "Clock",
    "ControlBroker",
    "Delivery",
    "Ids",
    "Job",
    "Ledgered",
    "LogPart",
    "Outgoing",
    "Page",
    "Rates",
    "Signer",
    "Store",
    "StoredResult",
    "Transaction",
    "Uploads",
    "WorkerBroker",
]
