"""Which setup commands do nothing but install packages.

What they make follows from lock files alone, so it may be used for another commit with the same lock files. A setup
that also builds (``npm run build``, ``pip install .``) makes something of the sources: used for another commit, tests
would judge an old build. What is not known for certain counts as building.
"""

import json
import re
from pathlib import Path

_PYTHON = r"(?:\S*/)?python3?(?:\.\d+)?"
_OPTIONS = r"(?:\s+--?[A-Za-z][\w-]*(?:=\S+)?)*"
_NAMED = r"['\"]?[A-Za-z0-9][\w.-]*(?:\[[\w,.-]+\])?(?:[=<>!~][^\s;&|]*)?['\"]?"
_REQUIREMENT = rf"(?:\s+(?:-[rc]\s*\S+|--requirement[= ]\S+|--?[A-Za-z][\w-]*(?:=\S+)?|{_NAMED}))"
_EDITABLE = r"(?:\s+(?:-e|--editable)\s+['\"]?\.(?:\[[\w,.-]+\])?['\"]?)"
_INSTALLS = (
    rf"{_PYTHON}\s+-m\s+venv(?:\s+[\w./-]+)+",
    rf"(?:{_PYTHON}\s+-m\s+|(?:\S*/)?uv\s+|\S*/)?pip3?\s+install(?:{_EDITABLE}|{_REQUIREMENT})+",
    rf"(?:\S*/)?uv\s+(?:sync|venv)(?:\s+[\w./-]+)*{_OPTIONS}",
    rf"(?:poetry|pdm|pipenv)\s+(?:install|sync){_OPTIONS}",
    rf"(?:npm|pnpm|yarn|bun)\s+(?:ci|install){_OPTIONS}",
    rf"(?:npx\s+)?playwright\s+install(?:\s+[\w-]+)*{_OPTIONS}",
    r"corepack\s+enable",
)
_KNOWN = re.compile("|".join(f"(?:{pattern})" for pattern in _INSTALLS))
_JOINED = re.compile(r"\s*(?:&&|;|\n)\s*")
_BUILT_BY_HOOKS = ("preinstall", "install", "postinstall", "prepare", "prepublish", "preprepare", "postprepare")
"""Scripts of a package that npm and its kin run at an installation: they may build the package itself."""
_COMPILED = ("setup.py", "CMakeLists.txt", "meson.build", "Cargo.toml", "binding.gyp")
"""With one of these, also an editable installation compiles something."""


def installs_only(command: str, root: Path, workdir: Path) -> bool:
    """True when ``command`` is known to install packages and to build nothing of the sources in ``root``."""
    parts = [part for part in _JOINED.split(command.strip()) if part]
    if not parts or not all(_KNOWN.fullmatch(part) for part in parts):
        return False
    folders = {root, workdir}
    return not any((folder / name).exists() for folder in folders for name in _COMPILED) and not any(
        _has_hooks(folder / "package.json") for folder in folders
    )


def _has_hooks(path: Path) -> bool:
    try:
        found = json.loads(path.read_text())
        return any(name in found.get("scripts", {}) for name in _BUILT_BY_HOOKS)
    except FileNotFoundError:
        return False
    except (OSError, ValueError, AttributeError, TypeError):
        return True
