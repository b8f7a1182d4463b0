"""``resit serve``: the only command that runs the server instead of speaking to it."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from resit.cli.settings import CommandError, Exit
from resit.config import default_data_dir
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
) -> int:
    """Serve Resit on this machine: API, database, broker and worker in one command.

    The data folder then holds the server's address (url) and an admin token (admin-token), so that the other commands
    find it.

    Example: resit serve --port 4000 --slots 4
    """
    if not 0 <= port <= 65535:
        raise CommandError(f"--port {port}: a port is a number from 0 to 65535")
    if slots is not None and slots < 1:
        raise CommandError(f"--slots {slots}: at least 1 is needed", "--no-worker serves without a worker")
    from resit.asgi import serve as run_server

    folder = (data.expanduser() if data else default_data_dir()).absolute()
    try:
        return run_server(folder, host, port, slots, not no_worker)
    except KeyboardInterrupt:
        return Exit.GREEN  # Ctrl-C is how a server in a terminal is stopped.
    except ResitError as error:
        raise CommandError(error.message, exit=Exit.UNAVAILABLE) from error
    except OSError as error:
        raise CommandError(f"can't serve on {host}:{port} from {folder}: {error}", exit=Exit.UNAVAILABLE) from error
