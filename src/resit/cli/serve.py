"""``resit serve``: the only command that runs the server instead of speaking to it."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from cyclopts import Parameter

from resit.cli import listening
from resit.cli.options import LogFormat, LogLevel
from resit.cli.settings import CommandError, Exit
from resit.config import Settings, default_data_dir, traces_wanted
from resit.domain.errors import ResitError


def serve(
    *,
    data: Annotated[Path | None, Parameter(metavar="DIR", help="Data folder; made if it is not there.")] = None,
    host: Annotated[str, Parameter(metavar="H", help="Address to listen on.", show_default=True)] = "127.0.0.1",
    port: Annotated[
        int, Parameter(metavar="P", help="Port to listen on; 0 takes a free one.", show_default=True)
    ] = 4000,
    slots: Annotated[int | None, Parameter(metavar="N", help="Places of the worker: how much runs at a time.")] = None,
    no_worker: Annotated[bool, Parameter(help="Serve without a worker of its own.")] = False,
    workers_listen: listening.WorkersListen = "",
    tls: listening.Tls = False,
    tls_cert: listening.TlsCert = None,
    tls_key: listening.TlsKey = None,
    database_url: Annotated[
        str,
        Parameter(
            env_var="RESIT_DATABASE_URL",
            metavar="URL",
            help="postgresql://USER:PASSWORD@HOST/NAME; better RESIT_DATABASE_URL. Default: a file in the data folder.",
        ),
    ] = "",
    nats_url: Annotated[
        str,
        Parameter(
            env_var="RESIT_NATS_URL",
            metavar="URL",
            help="Addresses of your own NATS, separated by commas, in place of the bundled one.",
        ),
    ] = "",
    nats_credentials: Annotated[
        Path | None,
        Parameter(
            env_var="RESIT_NATS_CREDENTIALS",
            metavar="FILE",
            help="What to present to it: user, password, issuer (docs/howto/nats-cluster.md).",
        ),
    ] = None,
    secret_key: Annotated[
        Path | None,
        Parameter(
            env_var="RESIT_SECRET_KEY",
            metavar="FILE",
            help="Key that seals secrets; all control planes on a database share it. Default: in the data folder.",
        ),
    ] = None,
    artifacts_url: Annotated[
        str,
        Parameter(
            env_var="RESIT_ARTIFACTS_URL",
            metavar="URL",
            help="Where artifacts are kept: s3://BUCKET/PREFIX, gs://…, az://…, a folder. Default: in the data folder.",
        ),
    ] = "",
    artifact_redirects: Annotated[
        bool, Parameter(help="Send those who open an artifact on to the object store, in place of serving it.")
    ] = False,
    url: Annotated[
        str, Parameter(metavar="URL", help="Where users reach the server, when that is not where it listens.")
    ] = "",
    content_url: Annotated[
        str,
        Parameter(
            env_var="RESIT_CONTENT_URL",
            metavar="URL",
            help="This server under another host name, at which reports of tests may run their scripts.",
        ),
    ] = "",
    oidc_issuer: Annotated[
        str,
        Parameter(
            env_var="RESIT_OIDC_ISSUER",
            metavar="URL",
            help="OpenID Connect provider by which people sign in to the page (docs/howto/the-page.md).",
        ),
    ] = "",
    oidc_client: Annotated[
        str, Parameter(env_var="RESIT_OIDC_CLIENT", metavar="ID", help="As what this server is known there.")
    ] = "",
    oidc_secret: Annotated[
        Path | None, Parameter(env_var="RESIT_OIDC_SECRET", metavar="FILE", help="File with what proves it.")
    ] = None,
    oidc_name: Annotated[str, Parameter(metavar="TEXT", help="What the button says; else the provider's host.")] = "",
    oidc_role: Annotated[
        Literal["", "admin", "contributor", "tester", "user"],
        Parameter(metavar="ROLE", help="Role of those whom nobody has added; without it they stay outside."),
    ] = "",
    ccextractor_reads: Annotated[
        int, Parameter(metavar="N", help="Reads of a token a minute over the CCExtractor API; 0: no limit.")
    ] = 120,
    ccextractor_writes: Annotated[
        int, Parameter(metavar="N", help="Writes of a token a minute over the CCExtractor API; 0: no limit.")
    ] = 20,
    allow_private_webhooks: Annotated[
        bool, Parameter(help="Let webhooks lead to this machine and its private networks.")
    ] = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "info",
    access_log: Annotated[bool, Parameter(help="Log each request that was answered.")] = False,
    metrics_open: Annotated[bool, Parameter(help="Let anybody read /metrics, without a token.")] = False,
    drain_seconds: Annotated[
        float, Parameter(metavar="S", help="When told to end: say so at /readyz, and answer for so long.")
    ] = 0.0,
) -> int:
    """Serve Resit on this machine: page, API, database, broker and worker in one command.

    The first time it prints a link that opens the page signed in, once; `resit link` prints another. The data folder
    then holds the server's address (url) and an admin token (admin-token), so that the other commands
    find it.

    Example: resit serve --port 4000 --slots 4
    """
    if not 0 <= port <= 65535:
        raise CommandError(f"--port {port}: a port is a number from 0 to 65535")
    if slots is not None and slots < 1:
        raise CommandError(f"--slots {slots}: at least 1 is needed", "--no-worker serves without a worker")
    if url and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", url):
        raise CommandError(f"--url {url}: an address like https://ci.example.org/resit")
    if content_url:
        _check_content(content_url, url or f"http://{_ALL.get(host, host)}")
    if nats_url and not nats_credentials:
        raise CommandError(
            "--nats-url needs --nats-credentials FILE", "docs/howto/nats-cluster.md says what stands in it"
        )
    listening.check(host=host, url=url, workers_listen=workers_listen, nats_url=nats_url, cert=tls_cert, key=tls_key)
    _check_oidc(oidc_issuer, oidc_client, oidc_secret)
    if min(ccextractor_reads, ccextractor_writes) < 0:
        raise CommandError("a limit is 0 or more requests a minute")
    if not 0 <= drain_seconds <= 3600:
        raise CommandError(f"--drain-seconds {drain_seconds:g}: from 0 to 3600")
    from resit.bootstrap.loading import loading

    with loading():
        from resit.asgi import serve as run_server

    # A worker that is started from here has no business with the database.
    os.environ.pop("RESIT_DATABASE_URL", None)
    folder = (data.expanduser() if data else default_data_dir()).absolute()
    try:
        return run_server(
            Settings(
                data=folder,
                database=database_url,
                nats_url=nats_url,
                nats_credentials=nats_credentials,
                workers_listen=workers_listen,
                tls=tls,
                tls_cert=tls_cert,
                tls_key=tls_key,
                secret_key=secret_key,
                host=host,
                port=port,
                slots=slots or 0,
                worker=not no_worker,
                artifacts_url=artifacts_url,
                artifact_redirects=artifact_redirects,
                url=url,
                content_url=content_url,
                oidc_issuer=oidc_issuer,
                oidc_client=oidc_client,
                oidc_secret=oidc_secret,
                oidc_name=oidc_name,
                oidc_role=oidc_role,
                ccextractor_reads=ccextractor_reads,
                ccextractor_writes=ccextractor_writes,
                allow_private_webhooks=allow_private_webhooks,
                log_format=log_format,
                log_level=log_level,
                access_log=access_log,
                metrics_open=metrics_open,
                traces=traces_wanted(),
                drain_seconds=drain_seconds,
            )
        )
    except KeyboardInterrupt:
        return Exit.GREEN  # Ctrl-C is how a server in a terminal is stopped.
    except ResitError as error:
        raise CommandError(error.message, exit=Exit.UNAVAILABLE) from error
    except OSError as error:
        raise CommandError(f"can't serve on {host}:{port} from {folder}: {error}", exit=Exit.UNAVAILABLE) from error


_ALL = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}  # noqa: S104 - compared, not listened on


def _check_oidc(issuer: str, client: str, secret: Path | None) -> None:
    if issuer and not (client and re.fullmatch(r"https?://[^\s?#]+", issuer)):
        raise CommandError("--oidc-issuer URL needs --oidc-client ID, and is an address", "see docs/howto/the-page.md")
    if secret and not secret.is_file():
        raise CommandError(f"--oidc-secret {secret}: there is no such file")


def _check_content(content: str, url: str) -> None:
    if not re.fullmatch(r"https?://[^\s/?#@]+/?", content):
        raise CommandError(
            f"--content-url {content}: an address without a path, like https://resit-content.example.org"
        )
    if urlsplit(content).hostname == urlsplit(url).hostname:
        raise CommandError(
            f"--content-url {content} has the host name of the server",
            "scripts of tests would run where our own pages do",
        )
