"""The house itself: each module imports alone, and every refusal has an answer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from resit.api.native.errors import STATUS
from resit.domain import errors

SOURCE = Path(errors.__file__).parents[1]
SKIP = ("executors.injected", "storage.migrations")
ALONE = """
import importlib, os, sys, traceback, warnings
import fastapi, sqlalchemy, httpx, nats, cryptography.fernet, alembic, rich, cyclopts, uvicorn, pytest, hypothesis
import prometheus_client, opentelemetry.sdk.trace, opentelemetry.exporter.otlp.proto.http.trace_exporter
warnings.simplefilter("error")
failed = False
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print("does not import alone:", name, file=sys.stderr)
        failed = True
sys.exit(failed)
"""
"""Third parties are imported once; each module of ours in a fork that has imported none of ours before."""


def modules() -> list[str]:
    paths = [path.relative_to(SOURCE).with_suffix("") for path in SOURCE.rglob("*.py")]
    names = {".".join(part for part in path.parts if part != "__init__") for path in paths}
    return sorted(f"resit.{name}" for name in names if name and name != "__main__" and not name.startswith(SKIP))


@pytest.mark.thorough
def test_each_module_imports_alone() -> None:
    found = modules()
    assert len(found) > 80
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", ALONE, *found], capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stderr


def family(cls: type[errors.ResitError]) -> list[type[errors.ResitError]]:
    return [found for child in cls.__subclasses__() for found in (child, *family(child))]


def test_every_error_has_a_status_and_a_code_of_its_own() -> None:
    found = [cls for cls in family(errors.ResitError) if cls.__module__ == errors.__name__]
    assert set(STATUS) == set(found)
    assert len({cls.code for cls in found}) == len(found)
    assert all(cls.__name__ in (errors.__doc__ or "") for cls in found)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_file_grows_out_of_sight(path: Path) -> None:
    """What is put into processes of tests is one file each, by design, and may be a little longer."""
    limit = 600 if path.parent.name == "injected" else 550
    assert len(path.read_text(encoding="utf-8").splitlines()) <= limit
