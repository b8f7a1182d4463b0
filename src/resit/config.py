"""The settings of a server: one frozen value, read once at the start."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


def default_data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where Resit keeps its data when nobody says: ``RESIT_DATA``, else ``$XDG_DATA_HOME/resit`` or its default."""
    if named := environ.get("RESIT_DATA"):
        return Path(named).expanduser().absolute()
    base = environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "resit"


def traces_wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the traces of runs are to be sent somewhere, by OpenTelemetry's usual variables."""
    endpoint = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return bool(endpoint) and not off and environ.get("OTEL_TRACES_EXPORTER", "otlp").strip() in ("", "otlp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the operator decided. ``slots``: tests places of the embedded worker (0: one a core)."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 4000
    slots: int = 0
    worker: bool = True
    database: str = ""
    """SQLAlchemy URL of a PostgreSQL database; empty: SQLite in the data folder."""
    secret_key: Path | None = None
    """File of the key that seals secrets and signs; None: ``secret.key`` in the data folder, made when missing."""
    nats_url: str = ""
    """Addresses of a NATS cluster, separated by commas; empty: the bundled server."""
    nats_credentials: Path | None = None
    """A file with what to present to the cluster; see docs/howto (user and password, or token)."""
    workers_listen: str = ""
    """``host:port`` where workers of other machines reach the bundled broker, over TLS; empty: nowhere."""
    tls_cert: Path | None = None
    """Certificate (chain) of this server, PEM; None: one of our own making where TLS is needed."""
    tls_key: Path | None = None
    tls: bool = False
    """HTTPS with a certificate of our own making; with ``tls_cert`` it is HTTPS anyway."""
    artifacts_url: str = ""
    """Where artifacts are kept: ``s3://bucket/prefix``, ``gs://…``, ``az://…``; empty: a folder in the data folder."""
    artifact_redirects: bool = False
    """True: who opens an artifact is sent on to the object store, instead of being served through us."""
    log_format: str = "text"
    """``text`` for people, ``json`` for machines."""
    log_level: str = "info"
    """The least that is logged: ``debug``, ``info``, ``warning`` or ``error``."""
    access_log: bool = False
    """True: each request that was answered is logged."""
    metrics_open: bool = False
    """True: whoever reaches the server may read its metrics."""
    traces: bool = False
    """True: the traces of runs are sent to where OpenTelemetry's variables say."""
    drain_seconds: float = 0.0
    """How long the server answers on after it was told to end, saying that it is not ready any more."""
    min_free: int = 256 * 1024 * 1024
    """Bytes that must be free in the data folder for the server to be ready."""
    url: str = ""
    """The URL under which users reach the server; empty: what it listens on."""
    content_url: str = ""
    """An address with another host name, at which users' reports may run their scripts; empty: see ``api.origins``."""
    oidc_issuer: str = ""
    """The OpenID Connect provider by which people sign in to the page; empty: by password alone."""
    oidc_client: str = ""
    """As what this server is known there."""
    oidc_secret: Path | None = None
    """A file with what proves it."""
    oidc_name: str = ""
    """What the button says; empty: the provider's host name."""
    oidc_role: str = ""
    """The role that people get whom nobody has added; empty: only those come in who were added by their e-mail."""
    ccextractor_reads: int = 120
    """Reads of one token in a minute over the CCExtractor API; 0 for no limit (study, 2.4)."""
    ccextractor_writes: int = 20
    """Writes of one token in a minute over the CCExtractor API; 0 for no limit."""
    allow_private_webhooks: bool = False
    """True: webhooks may lead to this machine and its private networks."""
    max_body: int = 2 * 1024 * 1024
    """Bytes of a JSON request."""
    max_artifact: int = 512 * 1024 * 1024
    """Bytes of one artifact."""
    max_log: int = 16 * 1024 * 1024
    """Characters kept of one shard's log."""

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the database."""
        return self.database or f"sqlite:///{self.data / 'resit.db'}"

    @property
    def https(self) -> bool:
        """Whether the HTTP port speaks TLS."""
        return self.tls or self.tls_cert is not None

    @property
    def artifacts(self) -> Path:
        """Folder of stored artifacts."""
        return self.data / "artifacts"
