"""A round of some faults. ``make chaos`` does many of all, in any order."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import chaos
import pytest
from black_box import Resit, Suites, until

USUAL = ("worker killed", "all three", "broker's store deleted", "worker stopped for 14 s")


@pytest.mark.parametrize("fault", chaos.rounds(chaos.FAULTS, USUAL), ids=lambda fault: fault.name.replace(" ", "-"))
def test_nothing_is_lost(own: Callable[..., Resit], suite: Suites, log: Path, fault: chaos.Fault) -> None:
    resit = own()
    seed = int(os.environ.get("RESIT_CHAOS_SEED", "11"))
    found = chaos.strike(resit, suite(chaos.files()), log, fault, random.Random(f"{seed} {fault.name}"), slack=8)
    print(f"\n{chaos.HEAD}\n{found.row()}")
    assert not found.problems, (found.problems, resit.log())
    until(lambda: not chaos.survivors(resit, log), "the end of all test processes", 10)
