"""What any store must keep to, of the things that a project owns: a part of ``resit.testing.stores``."""

from dataclasses import replace
from typing import Any

from resit.domain.ids import case_key, case_uuid
from resit.domain.project import Environment, Platform, Project
from resit.domain.resource import Resource, ResourceStatus
from resit.domain.run import Run
from resit.domain.selection import Filters
from resit.domain.snooze import Snooze
from resit.domain.status import RunStatus
from resit.domain.test_plan import TestPlan
from resit.domain.webhook import Notice, Webhook, WebhookEvent
from resit.ports import Store, Transaction
from resit.ports.reads import Reads
from resit.testing import factories
from resit.testing.factories import NOW, ODD, uuid_of

TEST = WebhookEvent.TEST


def _project(tx: Transaction, slug: str = "shop") -> tuple[Project, Environment]:
    project = tx.projects.add(factories.project(slug=slug))
    return project, tx.projects.add_environment(factories.environment(project.id), "")


def _run(tx: Transaction, project: Project, environment: Environment, **members: Any) -> Run:
    return tx.runs.add(factories.run(project.id, environment.id, **members))


class ShelfContract:
    """One test a promise; ``store`` and ``reads`` are fixtures of the derived class."""

    # ------------------------------------------------------------ environments and projects

    def test_environments_are_saved_but_for_their_secrets(self, store: Store) -> None:
        """Words and secrets are saved apart."""
        with store.write() as tx:
            project, environment = _project(tx)
            other = tx.projects.add_environment(factories.environment(project.id, slug="other", secrets=("S",)), "kept")
            changed = replace(
                other, slug="new", name=ODD, variables={"A": ODD}, filters=Filters((ODD,), ()),
                platform=Platform.WINDOWS, disabled=True, schedule="* * * * *", updated_at=NOW + 1,
            )  # fmt: skip
            tx.projects.save_environment(replace(changed, secrets=("T",)))
        with store.write() as tx:
            assert tx.projects.environment(other.id) == changed, "the names of its secrets stay"
            assert tx.projects.sealed(other.id) == "kept"
            assert tx.projects.environments(project.id) == [environment, changed]
            tx.projects.save_secrets(replace(changed, secrets=("T",)), "new")
            assert tx.projects.environment(other.id) == replace(changed, secrets=("T",))
            assert tx.projects.sealed(other.id) == "new"

    def test_a_saved_project_keeps_its_sealed_source(self, store: Store) -> None:
        """What workers check out is not lost by a change of name."""
        with store.write() as tx:
            project = tx.projects.add(factories.project(), "sealed")
            changed = replace(project, name=ODD, max_runs=3, repository="acme/shop")
            tx.projects.save(changed)
            assert tx.projects.get(project.id) == changed
            assert tx.projects.sealed_source(project.id) == "sealed"

    # ------------------------------------------------------------ shelves

    def test_test_plans_and_resources_are_kept_saved_and_removed(self, store: Store) -> None:
        """Every member, however odd its text; each project sees its own."""
        with store.write() as tx:
            project, environment = _project(tx)
            other, _ = _project(tx, "bank")
            plan = tx.test_plans.add(
                TestPlan(
                    id=0, project_id=project.id, name=ODD, tests=(ODD, ""), tags=("@x",),
                    environment_id=environment.id, default=True, created_at=NOW,
                )
            )  # fmt: skip
            file = tx.resources.add(
                Resource(
                    id=0, project_id=project.id, name=ODD, url="", description=ODD, mime_type="a/b", size=2**40,
                    created_by=ODD, created_at=NOW, updated_at=NOW + 0.5,
                )
            )  # fmt: skip
            link = tx.resources.add(Resource(id=0, project_id=other.id, name="x", url="https://x"))
        with store.write() as tx:
            assert (tx.test_plans.get(plan.id), tx.resources.get(file.id)) == (plan, file)
            assert tx.test_plans.of_project(project.id) == [plan]
            assert (tx.test_plans.of_project(other.id), tx.resources.of_project(other.id)) == ([], [link])
            plan, file = replace(plan, name="y", default=False, tests=()), replace(file, status=ResourceStatus.UPLOADED)
            tx.test_plans.save(plan)
            tx.resources.save(file)
            assert (tx.test_plans.get(plan.id), tx.resources.get(file.id)) == (plan, file)
            tx.test_plans.remove(plan.id)
            tx.test_plans.remove(plan.id)
            tx.resources.remove(file.id)
            assert (tx.test_plans.get(plan.id), tx.resources.get(file.id)) == (None, None)
            assert tx.resources.get(link.id) == link

    def test_snoozes_that_last(self, store: Store, reads: Reads) -> None:
        """``lasting`` has those that end after a time; lists are newest first and can be narrowed."""
        with store.write() as tx:
            project, environment = _project(tx)
            other, _ = _project(tx, "bank")
            run = _run(tx, project, environment)
            words: dict[str, Any] = {
                "description": ODD,
                "created_by": ODD,
                "from_run_id": run.id,
                "environment_id": environment.id,
            }
            made = [
                tx.snoozes.add(
                    Snooze(
                        id=0, project_id=project.id, tests=(ODD, str(number)), until=NOW + number, created_at=NOW,
                        updated_at=NOW, **(words if number == 2 else {}),
                    )
                )
                for number in range(4)
            ]  # fmt: skip
            tx.snoozes.add(Snooze(id=0, project_id=other.id, tests=("x",), until=NOW + 9))
            assert tx.snoozes.lasting(project.id, NOW + 1) == made[2:]
            assert tx.snoozes.get(made[2].id) == made[2]
            assert tx.snoozes.of_project(project.id) == made

        def listed(environment_id: int | None, active: bool | None, offset: int = 0) -> tuple[list[Snooze], int]:
            found = reads.snoozes(project.id, environment_id, active, NOW + 1, offset, 2)
            return list(found.items), found.total

        assert listed(None, None) == ([made[3], made[2]], 4)
        assert listed(None, None, 3) == ([made[0]], 4)
        assert listed(None, True) == ([made[3], made[2]], 2)
        assert listed(None, False) == ([made[1], made[0]], 2)
        assert listed(environment.id, None) == ([made[2]], 1)

    # ------------------------------------------------------------ webhooks

    def test_webhooks_and_what_is_still_to_be_told(self, store: Store) -> None:
        """The oldest due notice of each webhook, until it is done; a removed webhook takes its notices along."""
        with store.write() as tx:
            project, _ = _project(tx)
            hooks = [
                tx.webhooks.add(
                    Webhook(id=0, project_id=project.id, url=ODD, events=(TEST, WebhookEvent.ENDED), created_at=NOW),
                    sealed=f"sealed {number}",
                )
                for number in range(3)
            ]
            assert [tx.webhooks.get(hook.id) for hook in hooks] == tx.webhooks.of_project(project.id) == hooks
            assert tx.webhooks.sealed(hooks[1].id) == "sealed 1"
            one, two, three = (hook.id for hook in hooks)
            tx.webhooks.post()
            tx.webhooks.post(
                *(
                    Notice(id=0, webhook_id=hook, event=TEST, payload=f"{ODD}{number}", due_at=NOW + number)
                    for number, hook in enumerate([two, one, two, three])
                )
            )
        with store.write() as tx:
            assert [n.webhook_id for n in tx.webhooks.due(NOW + 3, 10)] == [two, one, three]
            assert [n.webhook_id for n in tx.webhooks.due(NOW + 3, 2)] == [two, one]
            assert [n.webhook_id for n in tx.webhooks.due(NOW + 3, 10, {two, three})] == [one]
            assert [n.webhook_id for n in tx.webhooks.due(NOW + 2, 10)] == [two, one]
            first = tx.webhooks.due(NOW, 10)[0]
            assert (first.payload, first.event, first.attempts) == (f"{ODD}0", TEST, 0)
            tx.webhooks.put_off(replace(first, attempts=1, due_at=NOW + 50))
            assert [n.payload for n in tx.webhooks.due(NOW + 3, 10, [one, three])] == [f"{ODD}2"]
            tx.webhooks.done(tx.webhooks.due(NOW + 3, 10, [one, three])[0].id)
            assert tx.webhooks.due(NOW + 3, 10, [one, three]) == []
            assert tx.webhooks.due(NOW + 50, 10, [one, three]) == [replace(first, attempts=1, due_at=NOW + 50)]
            assert tx.webhooks.forget_due(NOW + 2) == 1
            tx.webhooks.remove(two)
            assert (tx.webhooks.get(two), tx.webhooks.sealed(two)) == (None, "")
            assert [n.webhook_id for n in tx.webhooks.due(NOW + 99, 10)] == [three]

    # ------------------------------------------------------------ test cases

    def test_a_listing_says_which_test_cases_are_active(self, store: Store) -> None:
        """What was set here stays when the suite is listed anew."""
        one, two, three = (factories.planned(f"f.py::{name}") for name in ("one", "two", "three"))
        with store.write() as tx:
            project, environment = _project(tx)
            first = _run(tx, project, environment, commit="c1")
            tx.cases.sync(first, [one, two])
            cases = tx.cases.active(project.id)
            assert [case.planned for case in cases] == [one, two]
            assert [case.uuid for case in cases] == [case_uuid(project.uuid, test.id) for test in (one, two)]
            assert [case.key for case in cases] == [case_key(one), case_key(two)]
            tx.cases.set_tags(cases[1].id, [ODD, ""], NOW + 1)
            second = _run(tx, project, environment, commit="c2")
            moved = replace(two, line=99, tags=("@new",))
            tx.cases.sync(second, [moved, three])
        with store.write() as tx:
            active = {case.planned.id: case for case in tx.cases.active(project.id)}
            assert {id: case.planned for id, case in active.items()} == {two.id: moved, three.id: three}
            assert active[two.id].own_tags == (ODD, "")
            assert active[two.id].id == cases[1].id
            assert tx.cases.own_tags(project.id) == {two.id: (ODD, "")}
            assert tx.cases.named(project.id, [one.id])[0].planned == one, "what is no longer active is still known"
            listed = tx.projects.get(project.id)
            assert listed is not None
            assert listed.listed_in == second.id
            tx.cases.sync(_run(tx, project, environment, commit="c3"), [])
            assert tx.cases.active(project.id) == []

    def test_drafts_are_found_and_never_active(self, store: Store) -> None:
        """By their numbers and UUIDs, in their own project alone."""
        with store.write() as tx:
            project, environment = _project(tx)
            other, _ = _project(tx, "bank")
            id = tx.cases.add(project.id, uuid_of("draft"), ODD, ODD, NOW)
            tx.cases.sync(_run(tx, project, environment), [factories.planned()])
        with store.read() as tx:
            (draft,) = tx.cases.numbered(project.id, [id])
            assert (draft.uuid, draft.draft, draft.planned.title_path, draft.own_tags) == (
                uuid_of("draft"), True, (ODD,), None,
            )  # fmt: skip
            assert tx.cases.named(project.id, [uuid_of("draft")]) == [draft]
            assert [case.draft for case in tx.cases.active(project.id)] == [False]
            assert not [*tx.cases.numbered(other.id, [id]), *tx.cases.named(other.id, [uuid_of("draft")])]

    def test_test_cases_are_found_by_any_of_their_names(self, store: Store) -> None:
        """In any number."""
        tests = [factories.planned(f"f{number % 7}.py::t{number}") for number in range(1203)]
        with store.write() as tx:
            project, environment = _project(tx)
            tx.cases.sync(_run(tx, project, environment), tests)
        with store.read() as tx:
            ids, keys = [test.id for test in tests], [case_key(test) for test in tests]
            for names in (ids, keys, [case_uuid(project.uuid, id) for id in ids]):
                found = tx.cases.named(project.id, [*names, "unknown"])
                assert {case.planned for case in found} == set(tests)
            assert tx.cases.named(project.id, []) == []

    # ------------------------------------------------------------ runs that wait

    def test_open_runs_of_a_project(self, store: Store) -> None:
        """Oldest first; those that are over and those of other projects are not among them."""
        with store.write() as tx:
            project, environment = _project(tx)
            other, theirs = _project(tx, "bank")
            runs = [
                _run(tx, project, environment, status=status, group=ODD, uuid=uuid_of(status.value))
                for status in RunStatus
            ]
            _run(tx, other, theirs)
            assert tx.runs.open_of_project(project.id) == [run for run in runs if run.status.open]
            assert tx.runs.made_since(NOW) == len(runs) + 1
            assert tx.runs.made_since(NOW + 1) == 0
