"""What is asked for every report must not cost more the larger the run is."""

from typing import Any

import pytest
from sqlalchemy import event

from resit.domain import wire
from resit.testing.factories import result
from resit.testing.world import World


@pytest.mark.sqlite
def test_a_report_searches_the_ledger_and_never_reads_it_through(world: World) -> None:
    world.project()
    run = world.planned("a", "b", "c")
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        asked.append((statement, parameters[0] if many else parameters))

    event.listen(world.engine, "before_cursor_execute", note)
    events = [wire.to_wire(result(test)) for test in ("a", "b", "c")]
    voice = world.voice(run)
    world.report({**voice, "what": "batch.started"}, {**voice, "what": "batch.events", "events": events})
    world.work.alive("default", {"worker": "w", "pool": "default", "slots": 1, "runs": [run.id], "claims": ["claim"]})
    event.remove(world.engine, "before_cursor_execute", note)

    plans: list[str] = []
    with world.engine.connect() as connection:
        for statement, parameters in asked:
            if statement.startswith(("SELECT", "UPDATE", "DELETE")):
                found = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters)
                plans.extend(f"{row[3]} <- {statement[:60]!r}" for row in found)
    assert len(asked) < 25
    assert len(plans) > 5
    for plan in plans:
        # Workers are few, and once in a while those that are long gone are swept out.
        assert "SCAN" not in plan or "VIRTUAL TABLE" in plan or plan.startswith("SCAN workers"), plan
        assert "ledger USING PRIMARY KEY (run_id=?) " not in plan, plan
