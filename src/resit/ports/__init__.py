"""What services, control and worker need from the world: narrow protocols, owned by their users."""

from resit.ports.broker import BrokerAway, ControlBroker, Delivery, Gate, Job, Pass, Urgency, WorkerBroker
from resit.ports.storage import (
    ArtifactRow,
    CaseRow,
    Ledgered,
    LogPart,
    Outgoing,
    Page,
    ScheduleView,
    Store,
    StoredResult,
    Transaction,
)
from resit.ports.world import Artifacts, Clock, Cron, Duties, Ids, Notifier, Plane, PostFailed, Rates, Signer, Uploads

__all__ = [
    "ArtifactRow",
    "Artifacts",
    "BrokerAway",
    "CaseRow",
    "Clock",
    "ControlBroker",
    "Cron",
    "Delivery",
    "Duties",
    "Gate",
    "Ids",
    "Job",
    "Ledgered",
    "LogPart",
    "Notifier",
    "Outgoing",
    "Page",
    "Pass",
    "Plane",
    "PostFailed",
    "Rates",
    "ScheduleView",
    "Signer",
    "Store",
    "StoredResult",
    "Transaction",
    "Uploads",
    "Urgency",
    "WorkerBroker",
]
