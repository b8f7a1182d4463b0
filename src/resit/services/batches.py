"""Batches as workers get them."""

from typing import Any

from resit.domain import balance, wire
from resit.domain.run import Run
from resit.ports import Transaction


def for_worker(tx: Transaction, run: Run, number: int) -> dict[str, Any]:
    """What is still open of a batch: ``tests``, and beside them how many seconds they are expected to take.

    ``expected`` has a number for each test, or None where nothing is known; ``usual`` is for those. ``last``: the
    number of the run's last batch: who has that one need not wait for more.
    """
    tests = tx.ledger.tests_of_batch(run.id, number, open_only=True)
    known = tx.ledger.expected(run.project_id, run.environment_id, [test.id for test in tests])
    expected = balance.filled(known, tests)
    return {
        "tests": [wire.test_to_wire(test) for test in tests],
        "expected": [round(expected[test.id], 3) if test.id in expected else None for test in tests],
        "usual": round(balance.Load(known, 0.0).usual, 3),
        "last": tx.batches.last(run.id),
    }
