"""What any store must keep to for people, their tokens and the organization; a part of ``stores.StoreContract``."""

from dataclasses import replace

from resit.domain.access import Role, Scope, Token, TokenKind, User
from resit.domain.organization import Organization
from resit.ports import Store, Transaction
from resit.testing import factories
from resit.testing.factories import NOW, ODD


def _token(tx: Transaction, name: str, user_id: int | None, project_id: int | None = None, **members: object) -> Token:
    values = {"prefix": f"p {name}", "digest": f"d {name} {user_id}", "scopes": (Scope.RUNS_READ,), "created_at": NOW}
    token = Token(id=0, name=name, project_id=project_id, user_id=user_id, **{**values, **members})  # type: ignore[arg-type]
    return tx.tokens.add(token)


class PeopleContract:
    """One test a promise; ``store`` is a fixture of the derived class."""

    def test_people_come_back_as_they_were(self, store: Store) -> None:
        """Every member, however odd its text; a password is apart from them."""
        with store.write() as tx:
            assert tx.users.get(1) is tx.users.by_email("a@x") is None
            assert list(tx.users.all()) == []
            assert not tx.users.password(1)
            project = tx.projects.add(factories.project())
            ann = User(id=0, email="ü'%_@x", name=ODD, role=Role.TESTER, created_at=NOW + 0.25)
            ann = tx.users.add(replace(ann, project_id=project.id, disabled=True), password=ODD)
            ben = tx.users.add(User(id=0, email="b@x", name="", role=Role.ADMIN))
        with store.write() as tx:
            assert tx.users.get(ann.id) == tx.users.by_email("ü'%_@x") == ann
            assert list(tx.users.all()) == [ann, ben]
            assert (tx.users.password(ann.id), tx.users.password(ben.id)) == (ODD, "")
            changed = replace(ann, name="Ann", role=Role.USER, disabled=False, project_id=None)
            tx.users.save(changed)
            assert tx.users.get(ann.id) == changed
            assert tx.users.password(ann.id) == ODD
            tx.users.set_password(ben.id, "kept")
            assert (tx.users.password(ann.id), tx.users.password(ben.id)) == (ODD, "kept")
            assert tx.users.get(ben.id) == ben

    def test_there_is_one_organization(self, store: Store) -> None:
        """It is there from the start, and what is saved takes the place of what was."""
        with store.read() as tx:
            assert tx.organization.get() == Organization()
        for settings in (Organization(monthly_runs=0, suspended=True), Organization(monthly_runs=7), Organization()):
            with store.write() as tx:
                tx.organization.save(settings)
            with store.read() as tx:
                assert tx.organization.get() == settings

    def test_tokens_are_paged_by_owner_and_project(self, store: Store) -> None:
        """Oldest first, with their number, whatever page is asked for."""
        with store.write() as tx:
            assert tx.tokens.page(None, None, 0, 10) == ([], 0)
            shop, other = (tx.projects.add(factories.project(slug=slug)) for slug in ("shop", "other"))
            one = _token(tx, "one", 1, shop.id)
            two = _token(tx, "two", 1)
            three = _token(tx, "three", 2, shop.id, revoked_at=NOW)
            four = _token(tx, "four", None, other.id, expires_at=NOW)
        with store.read() as tx:
            assert tx.tokens.page(None, None, 0, 10) == ([one, two, three, four], 4)
            assert tx.tokens.page(None, None, 1, 2) == ([two, three], 4)
            assert tx.tokens.page(None, None, 4, 2) == tx.tokens.page(None, None, 2**31, 2) == ([], 4)
            assert tx.tokens.page(1, None, 0, 10) == ([one, two], 2)
            assert tx.tokens.page(1, None, 0, 1) == ([one], 2)
            assert tx.tokens.page(None, shop.id, 0, 10) == ([one, three], 2)
            assert tx.tokens.page(2, shop.id, 0, 10) == ([three], 1)
            assert tx.tokens.page(3, None, 0, 10) == ([], 0)

    def test_names_and_ends_of_a_persons_tokens(self, store: Store) -> None:
        """Names are told apart letter by letter, and only one's own are revoked."""
        with store.write() as tx:
            mine, old = _token(tx, "ci", 1), _token(tx, "old", 1, revoked_at=NOW)
            others, nobodys = _token(tx, "ci", 2), _token(tx, "ci", None)
        with store.write() as tx:
            assert [tx.tokens.named(1, name) for name in ("ci", "old", "CI", "c_", "")] == [
                True,
                True,
                False,
                False,
                False,
            ]
            assert [tx.tokens.named(user, "ci") for user in (2, 3)] == [True, False]
            tx.tokens.revoke_all(1, NOW + 5)
            tx.tokens.revoke_all(3, NOW + 5)
        with store.read() as tx:
            assert tx.tokens.all(None) == [replace(mine, revoked_at=NOW + 5), old, others, nobodys]

    def test_sessions_are_in_no_list(self, store: Store) -> None:
        """They are found by what they begin with, note when they were used, and go when they are over."""
        with store.write() as tx:
            token = _token(tx, "ci", 1, expires_at=NOW)
            session = _token(tx, "session", 1, kind=TokenKind.SESSION, expires_at=NOW + 10)
            over = _token(tx, "over", 1, kind=TokenKind.SESSION, expires_at=NOW - 1)
            link = _token(tx, "link", None, kind=TokenKind.LINK, revoked_at=NOW - 5)
        with store.write() as tx:
            assert tx.tokens.all(None) == [token]
            assert tx.tokens.page(1, None, 0, 9) == ([token], 1)
            assert [tx.tokens.named(1, name) for name in ("ci", "session")] == [True, False]
            assert tx.tokens.by_prefix(session.prefix) == [session]
            tx.tokens.used(session.id, NOW + 3)
            assert tx.tokens.get(session.id) == replace(session, used_at=NOW + 3)
            tx.tokens.forget(NOW)
            assert [tx.tokens.get(each.id) is None for each in (token, session, over, link)] == [
                False,
                False,
                True,
                True,
            ]
            tx.tokens.revoke_all(1, NOW + 5)
            found = tx.tokens.get(session.id)
            assert found is not None
            assert found.revoked_at == NOW + 5
