"""The bundled server's settings. JSON strings are valid strings of this format.

Control planes and JetStream are in one account, workers in another. A worker that may ask for a message may name any
subject as the place where the server shall put it, and the server does not look whether the worker may speak there: in
one account that could be the call that deletes a stream. Across accounts only what is exported can be reached at all.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from resit.broker import rights
from resit.broker.address import inbox_of
from resit.broker.certificates import Shown

ACCOUNT = "RESIT"
"""The account of the control planes, with all streams."""
WORKERS = "WORKERS"
"""The account of the workers."""
_SERVICES = ("$JS.API.CONSUMER.MSG.NEXT.*.*", "$JS.ACK.>", "events.*.*", "ask.*.*")
"""What workers may call, each within the rights of its pool; one call for messages has many answers."""
_WORDS = ("cancel.*.*", "tell.*.*")
"""What they may hear, likewise."""
MAX_PAYLOAD = 8 * 1024 * 1024
"""Bytes of one message, headers included; the default of NATS, so that a cluster needs no other setting."""


@dataclass(frozen=True, slots=True)
class Listen:
    """A host and a port, 0 for any that is free."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> Self:
        """From ``host:port``; an IPv6 address stands in brackets, no host means everywhere. Raises ValueError."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdigit() or int(port) > 65535 or (":" in host and not host.startswith("[")):
            raise ValueError(f"not an address to listen on: {text!r}; it is host:port, like 0.0.0.0:4222")
        return cls(host.strip("[]") or "0.0.0.0", int(port))  # noqa: S104 - who leaves the host out says everywhere

    def __str__(self) -> str:
        """As a URL has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def everywhere(self) -> bool:
        """Whether it is every address of the machine."""
        return self.host in ("0.0.0.0", "::")  # noqa: S104 - compared, not listened on

    @property
    def reachable(self) -> str:
        """A host under which this machine reaches it."""
        if self.everywhere:
            return "::1" if ":" in self.host else "127.0.0.1"
        return self.host


@dataclass(frozen=True, slots=True)
class Users:
    """The passwords of the server's own users."""

    control: str
    local: str
    system: str


def configuration(
    *,
    name: str,
    listen: Listen,
    store: Path,
    log: Path,
    users: Users,
    pool: str,
    issuer: str,
    shown: Shown | None,
    advertise: str,
) -> str:
    """The text of the file. ``pool``: of the worker beside the server; ``issuer``: the public key of the callout."""
    local = rights.of_worker(pool, inbox_of(users.local))
    return f"""# Written by Resit at each start.
server_name: {_text(name)}
listen: {_text(listen)}
max_payload: {MAX_PAYLOAD}
{_tls(shown, advertise)}authorization {{
  # how long a worker of another machine waits for a control plane's word
  timeout: 3
  auth_callout {{ issuer: {issuer}, account: {ACCOUNT}, auth_users: [control, local, system] }}
}}
accounts {{
  {ACCOUNT}: {{
    jetstream: enabled
    users: [{{ user: control, password: {_text(users.control)} }}]
    exports: [
{_lines(_exports())}
    ]
  }}
  {WORKERS}: {{
    users: [{{ user: local, password: {_text(users.local)}, permissions: {{
      publish: {{ allow: {json.dumps(local.publish)} }}
      subscribe: {{ allow: {json.dumps(local.subscribe)} }}
    }} }}]
    imports: [
{_lines(_imports())}
    ]
  }}
  # may end connections: those of a revoked credential
  SYS: {{ users: [{{ user: system, password: {_text(users.system)} }}] }}
}}
system_account: SYS
jetstream {{
  store_dir: {_text(store)}
  # fsync before a message is confirmed: what a worker has handed over survives a power cut
  sync_interval: always
  max_memory_store: 64MB
  # a limit, not a reservation; by default it would be cut from what is free on the disk today
  max_file_store: 16GB
}}
# a worker's rights name the stream of what it settles: it has to stand first
feature_flags {{ js_ack_fc_v2: false }}
log_file: {_text(log)}
logfile_size_limit: 1MB
logfile_max_num: 2
"""


def _exports() -> list[str]:
    many = {_SERVICES[0]: ", response_type: stream"}
    services = [f'{{ service: "{name}"{many.get(name, "")}, accounts: [{WORKERS}] }}' for name in _SERVICES]
    return services + [f'{{ stream: "{name}", accounts: [{WORKERS}] }}' for name in _WORDS]


def _imports() -> list[str]:
    services = [f'{{ service: {{ account: {ACCOUNT}, subject: "{name}" }} }}' for name in _SERVICES]
    return services + [f'{{ stream: {{ account: {ACCOUNT}, subject: "{name}" }} }}' for name in _WORDS]


def _lines(entries: list[str]) -> str:
    return "\n".join(f"      {entry}" for entry in entries)


def _text(value: object) -> str:
    return json.dumps(str(value), ensure_ascii=False)


def _tls(shown: Shown | None, advertise: str) -> str:
    if not shown:
        return ""
    return f"""tls {{
  cert_file: {_text(shown.certificate)}
  key_file: {_text(shown.key)}
  min_version: "1.2"
  # TLS from the first byte: nobody on the way can talk a client out of it
  handshake_first: true
  timeout: 5
}}
client_advertise: {_text(advertise)}
"""
