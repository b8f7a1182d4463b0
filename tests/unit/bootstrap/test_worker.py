"""What a worker finds when it starts: files of the dead are removed, those of the living stay."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from resit.bootstrap.handover import WorkerSettings
from resit.bootstrap.worker import _clean_up_after_the_dead, _name
from resit.broker.address import Address
from resit.worker.lock import try_lock


def settings(parent: int = 0) -> WorkerSettings:
    return WorkerSettings(broker=Address("nats://x"), folder="/f", slots=1, parent=parent)


def test_workers_of_their_own_have_names_of_their_own() -> None:
    names = {_name(settings()) for _ in range(50)}
    assert len(names) > 40
    assert all(name.endswith(f"-{os.getpid()}") for name in names)
    assert _name(settings(parent=1)) == _name(settings(parent=1))


@pytest.fixture
def dead() -> int:
    """The id of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(30)
    return process.pid


def test_the_dead_are_cleaned_up_after_and_the_living_are_left_alone(tmp_path: Path, dead: int) -> None:
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        running, scratch = tmp_path / "running", tmp_path / "scratch"
        names = {
            "dead": f"host-{dead}",
            # Of another container: the id says nothing here, the lock does.
            "locked": f"host-1a2b-{dead}",
            "same id": f"host-3c4d-{os.getpid()}",
            "living": f"host-{living.pid}",
            "no id": "odd",
        }
        running.mkdir()
        for name in names.values():
            (running / name).touch()
            (scratch / name).mkdir(parents=True)
        held = try_lock(running / names["locked"])
        assert held
        own = _clean_up_after_the_dead(tmp_path, f"me-{os.getpid()}")
        left = {names["locked"], names["living"], names["no id"]}
        assert {note.name for note in running.iterdir()} == left | {f"me-{os.getpid()}"}
        assert {folder.name for folder in scratch.iterdir()} == left
        assert try_lock(running / f"me-{os.getpid()}") is None
        own.free(forget=True)
        held.free()
    finally:
        living.communicate(b"\n", timeout=30)
