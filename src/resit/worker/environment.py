"""Which variables a process inherits from the worker: lists of what may pass, never of what may not."""

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

_PLACE = ("PATH", "LANG", "LANGUAGE", "TZ", "USER", "LOGNAME", "SHELL")
_NETWORK = (
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy", "ftp_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "FTP_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
    *("GIT_SSL_CAINFO", "SSH_AUTH_SOCK"),
)
_OPERATOR = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "PLAYWRIGHT_BROWSERS_PATH")
_TOOLS = ("PIP_", "npm_config_", "NPM_CONFIG_", "UV_", "POETRY_", "PLAYWRIGHT_DOWNLOAD")
_GIT = ("GIT_SSH", "GIT_SSH_COMMAND", "GIT_CONFIG_GLOBAL", "GIT_SSL_NO_VERIFY")
_RESERVED = "RESIT_"

_TOOLCHAINS = {
    "PYENV_ROOT": ".pyenv",
    "NVM_DIR": ".nvm",
    "VOLTA_HOME": ".volta",
    "ASDF_DATA_DIR": ".asdf",
    "RUSTUP_HOME": ".rustup",
    "BUN_INSTALL": ".bun",
}
"""Programs that live in the operator's home, and the variable by which they are found without that home."""


def _inherit(environ: Mapping[str, str], names: Iterable[str], prefixes: tuple[str, ...] = ()) -> dict[str, str]:
    wanted = set(names)
    return {k: v for k, v in environ.items() if k in wanted or k.startswith(("LC_", *prefixes))}


def search_path(path: str, prefix: str, base_prefix: str) -> str:
    """``path`` without the programs of Resit's own virtual environment, so that no test runs with our packages."""
    entries = [entry for entry in path.split(os.pathsep) if entry]
    if prefix != base_prefix:
        ours = os.path.realpath(prefix)
        entries = [e for e in entries if os.path.realpath(e) != str(Path(ours, "bin"))]
    return os.pathsep.join(entries) or os.defpath


def _with_clean_path(found: dict[str, str]) -> dict[str, str]:
    return found | {"PATH": search_path(found.get("PATH", ""), sys.prefix, sys.base_prefix)}


def setup_environment(
    variables: Mapping[str, str], *, worker: str = "", environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The environment of a project's setup command: the operator's home, network and package tools, and ``variables``.

    Unlike a test, setup installs things: it needs the caches, proxies and certificates of this machine.
    """
    found = _with_clean_path(_inherit(environ, (*_PLACE, *_NETWORK, *_OPERATOR), _TOOLS))
    return _joined(found, variables, worker)


def git_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of git: nothing that leads it to another repository, and nobody to ask for a password."""
    found = _inherit(environ, (*_PLACE, *_NETWORK, *_OPERATOR, *_GIT))
    quiet = {
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "SSH_ASKPASS_REQUIRE": "never",
        "GCM_INTERACTIVE": "never",
    }
    return {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes", "PATH": os.defpath, **found, **quiet}


def test_environment(
    variables: Mapping[str, str],
    *,
    home: Path,
    tmp: Path,
    worker: str,
    environ: Mapping[str, str] = os.environ,  # noqa: PT028 - not a test, whatever it is called
) -> dict[str, str]:
    """The complete environment of test processes: clean, the same on every worker, and ``variables`` on top.

    ``home`` and ``tmp`` are private folders; keep ``tmp`` short, sockets are made in it. ``worker`` is what the tests
    see as ``RESIT_WORKER``. Names that begin with ``RESIT_`` are ours: such ``variables`` are left out. No proxies, no
    ``CI``, no virtual environment of Resit: what tests need of that, the environment of the project says.
    """
    found = _with_clean_path(_inherit(environ, _PLACE))
    found |= _programs_at_home(found["PATH"], environ)
    found |= {"HOME": str(home), "TMPDIR": str(tmp)}
    return _joined(found, variables, worker)


test_environment.__test__ = False  # pyright: ignore[reportFunctionMemberAccess]  # pytest would take it for a test


def _joined(found: dict[str, str], variables: Mapping[str, str], worker: str) -> dict[str, str]:
    ours = {"RESIT_WORKER": worker} if worker else {}
    return {**found, **{k: v for k, v in variables.items() if not k.startswith(_RESERVED)}, **ours}


def _programs_at_home(path: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What tests can't find once HOME is private: browsers, and toolchains whose programs are on the path."""
    home = environ.get("HOME", "")
    found: dict[str, str] = {}
    if browsers := environ.get("PLAYWRIGHT_BROWSERS_PATH") or _browsers(home, environ):
        found["PLAYWRIGHT_BROWSERS_PATH"] = browsers
    for name, folder in _TOOLCHAINS.items():
        root = environ.get(name) or (str(Path(home, folder)) if home else "")
        if root and any(Path(entry).is_relative_to(root) for entry in path.split(os.pathsep)):
            found[name] = root
    return found


def _browsers(home: str, environ: Mapping[str, str]) -> str:
    """Where Playwright installs its browsers under the operator's home."""
    if sys.platform == "darwin":
        return str(Path(home, "Library/Caches/ms-playwright")) if home else ""
    caches = environ.get("XDG_CACHE_HOME") or (str(Path(home, ".cache")) if home else "")
    return str(Path(caches, "ms-playwright")) if caches else ""
