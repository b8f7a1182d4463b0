"""What any store must keep to, of what begins by the clock or waits its turn: a part of ``resit.testing.stores``."""

from dataclasses import replace
from typing import Any

from resit.domain.admission import Place
from resit.domain.project import Environment, Project
from resit.domain.report import HTML, Report, ReportState
from resit.domain.run import Run
from resit.domain.schedule import Overlap, Schedule
from resit.domain.status import RunStatus
from resit.ports import ScheduleView, Store, Transaction
from resit.testing import factories
from resit.testing.factories import NOW, ODD


def _project(tx: Transaction, slug: str = "shop") -> tuple[Project, Environment]:
    project = tx.projects.add(factories.project(slug=slug))
    return project, tx.projects.add_environment(factories.environment(project.id), "")


def _run(tx: Transaction, project: Project, environment: Environment, **members: Any) -> Run:
    return tx.runs.add(factories.run(project.id, environment.id, **members))


class QueueContract:
    """One test a promise; ``store`` is a fixture of the derived class."""

    # ------------------------------------------------------------ reports

    def test_reports_that_wait_and_do_not_move(self, store: Store) -> None:
        """Each is kept as it is, and found while nobody has touched it for long; the oldest first."""
        states = (ReportState.WAITING, ReportState.WORKING, ReportState.READY, ReportState.FAILED, ReportState.REMOVED)
        with store.write() as tx:
            project, environment = _project(tx)
            runs = [_run(tx, project, environment, pool=f"pool{n}") for n in range(len(states))]
            reports = [
                Report(
                    run_id=run.id,
                    state=state,
                    key=f"{run.id}/report-x",
                    size=2**40 + n,
                    words=ODD,
                    tries=n,
                    claim="c",
                    created_at=NOW + 0.5,
                    touched_at=NOW - n,
                    finished_at=None if state.open else NOW + 1,
                )
                for n, (run, state) in enumerate(zip(runs, states, strict=True))
            ]
            for report in reports:
                tx.reports.save(replace(report, words="before"))
                tx.reports.save(report)
        waiting, working = reports[:2]
        with store.read() as tx:
            assert [tx.reports.get(run.id, HTML) for run in runs] == reports
            assert tx.reports.get(runs[0].id, "other") is tx.reports.get(99, HTML) is None
            assert tx.reports.quiet(NOW + 1, 9) == [(working, "pool1"), (waiting, "pool0")]
            assert tx.reports.quiet(NOW + 1, 1) == [(working, "pool1")]
            assert tx.reports.quiet(NOW, 9) == [(working, "pool1")]
        with store.write() as tx:
            tx.reports.touch([run.id for run in runs], HTML, NOW + 5)
            tx.reports.touch([], HTML, NOW + 6)
        with store.read() as tx:
            assert tx.reports.quiet(NOW + 5, 9) == []
            assert tx.reports.get(runs[1].id, HTML) == replace(working, touched_at=NOW + 5)
            assert tx.reports.get(runs[2].id, HTML) == reports[2]

    # ------------------------------------------------------------ runs that wait

    def test_open_runs_in_short(self, store: Store) -> None:
        """As much as admission looks at, of one project or one schedule, oldest first."""
        with store.write() as tx:
            project, environment = _project(tx)
            other, elsewhere = _project(tx, "bank")
            members: dict[str, Any] = {"group": ODD, "priority": -100, "start_at": NOW + 0.5, "schedule_id": 7}
            first = _run(tx, project, environment, **members)
            second = _run(tx, project, environment, status=RunStatus.RUNNING, priority=3)
            _run(tx, project, environment, status=RunStatus.FINISHED, schedule_id=7)
            third = _run(tx, other, elsewhere, schedule_id=7)
        short = Place(
            id=first.id, status=RunStatus.REQUESTED, group=ODD, priority=-100, start_at=NOW + 0.5, created_at=NOW
        )
        with store.read() as tx:
            running = Place(id=second.id, status=RunStatus.RUNNING, priority=3, created_at=NOW)
            assert tx.runs.queue(project.id) == [short, running]
            assert [place.id for place in tx.runs.open_of_schedule(7)] == [first.id, third.id]
            assert tx.runs.open_of_schedule(8) == tx.runs.queue(99) == []
            assert tx.runs.priorities([first.id, second.id, 99]) == {first.id: -100, second.id: 3}
            assert tx.runs.priorities([]) == {}

    def test_delayed_runs_are_found_by_their_time(self, store: Store) -> None:
        """They are left alone until then, and found when it comes."""
        with store.write() as tx:
            project, environment = _project(tx)
            other, elsewhere = _project(tx, "bank")
            soon = _run(tx, project, environment, start_at=NOW + 1)
            _run(tx, project, environment, start_at=NOW + 1, reason="two of one project")
            _run(tx, other, elsewhere, start_at=NOW + 2)
            _run(tx, other, elsewhere, start_at=NOW + 1, status=RunStatus.CANCELLED)
            plain = _run(tx, other, elsewhere, reason="not delayed")
            begun = _run(tx, other, elsewhere, start_at=NOW + 9, status=RunStatus.RUNNING)
        with store.read() as tx:
            assert tx.runs.come_due(0.0, NOW) == []
            assert tx.runs.come_due(NOW, NOW + 1) == [project.id]
            assert tx.runs.come_due(NOW + 1, NOW + 2) == [other.id]
            assert sorted(tx.runs.come_due(0.0, NOW + 2)) == [project.id, other.id]
            assert [run.id for run in tx.runs.open(NOW)] == [plain.id, begun.id]
            assert next(run.id for run in tx.runs.open(NOW + 1)) == soon.id
            assert len(tx.runs.open(NOW + 2)) == 5

    # ------------------------------------------------------------ schedules

    def test_schedules_are_kept_saved_and_removed(self, store: Store) -> None:
        """Every member, however odd its text; with the names of what they are of."""
        with store.write() as tx:
            project, environment = _project(tx)
            other, _ = _project(tx, "bank")
            run = _run(tx, project, environment)
            kept = tx.schedules.add(
                Schedule(
                    id=0, project_id=project.id, environment_id=environment.id, name=ODD, cron=ODD, zone="Asia/Tokyo",
                    request=ODD, overlap=Overlap.CANCEL, active=False, next_at=NOW + 0.25, last_at=NOW,
                    last_run_id=run.id, missed=3, problem=ODD, note=ODD, created_by=ODD, created_at=NOW, updated_at=NOW,
                )
            )  # fmt: skip
            plain = tx.schedules.add(Schedule(id=0, project_id=other.id, name=ODD, cron="* * * * *"))
        with store.write() as tx:
            assert tx.schedules.get(kept.id) == tx.schedules.by_name(project.id, ODD) == kept
            assert tx.schedules.of_project(project.id) == [kept]
            assert tx.schedules.view(kept.id) == ScheduleView(kept, "shop", "default", run)
            assert tx.schedules.views(None, 0, 10) == [
                ScheduleView(kept, "shop", "default", run), ScheduleView(plain, "bank", ""),
            ]  # fmt: skip
            assert [view.schedule for view in tx.schedules.views(None, 0, 1)] == [kept]
            assert [view.schedule for view in tx.schedules.views(None, kept.id, 10)] == [plain]
            assert [view.schedule for view in tx.schedules.views(other.id, 0, 10)] == [plain]
            tx.schedules.save(replace(plain, name="x", environment_id=None))
            tx.schedules.remove(kept.id)
            assert tx.schedules.of_project(other.id) == [replace(plain, name="x")]
            assert tx.schedules.get(kept.id) is None
            assert tx.schedules.view(kept.id) is None
            assert tx.schedules.by_name(project.id, ODD) is None

    def test_a_time_of_a_schedule_is_taken_once(self, store: Store) -> None:
        """The longest due first; who comes second finds that somebody was there."""
        with store.write() as tx:
            project, _ = _project(tx)
            made = [
                tx.schedules.add(
                    Schedule(
                        id=0, project_id=project.id, name=str(number), cron="x", next_at=at, active=at is not None,
                        problem="odd" if number == 1 else "",
                    )
                )
                for number, at in enumerate([NOW, NOW - 1, NOW + 1, None, NOW - 100.125])
            ]  # fmt: skip
        with store.read() as tx:
            assert [one.name for one in tx.schedules.due(NOW, 10)] == ["4", "1", "0"]
            assert [one.name for one in tx.schedules.due(NOW, 1)] == ["4"]
            assert [one.name for one in tx.schedules.troubled(NOW - 100)] == ["1", "4"]
        with store.write() as tx:
            assert tx.schedules.take(made[4], NOW + 7.5)
            assert not tx.schedules.take(made[4], NOW + 7.5)
            assert tx.schedules.get(made[4].id) == replace(made[4], next_at=NOW + 7.5)
            tx.schedules.save(replace(made[0], active=False))
            assert not tx.schedules.take(made[0], NOW + 1), "it was paused meanwhile"
            tx.schedules.remove(made[1].id)
            assert not tx.schedules.take(made[1], NOW + 1), "it is gone"
            assert tx.schedules.take(made[2], None)
            assert tx.schedules.due(NOW + 1000, 10) == [replace(made[4], next_at=NOW + 7.5)]

    def test_schedules_of_environments(self, store: Store) -> None:
        """Those that follow from an environment, and environments that still have none."""
        with store.write() as tx:
            project, environment = _project(tx)
            timed = tx.projects.add_environment(
                factories.environment(project.id, slug="timed", schedule="* * * * *"), ""
            )
            tx.schedules.add(
                Schedule(id=0, project_id=project.id, environment_id=timed.id, name="environmental", cron="x")
            )
            assert tx.schedules.of_environment(timed.id) is None
            assert tx.schedules.unscheduled() == [timed]
            own = tx.schedules.add(
                Schedule(id=0, project_id=project.id, environment_id=timed.id, name="environment:timed", cron="x")
            )
            assert tx.schedules.of_environment(timed.id) == own
            assert tx.schedules.of_environment(environment.id) is None
            assert tx.schedules.unscheduled() == []
