"""PostgreSQL as an operator gives it: how it is named, reached and lost; what it holds in which order."""

import datetime
import ipaddress
import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pg8000.exceptions import DatabaseError
from sqlalchemy import Engine, event, make_url, text
from sqlalchemy.exc import DBAPIError

from resit.domain.errors import Conflict, InvalidInput, Unavailable
from resit.domain.plan import PlannedTest
from resit.domain.status import RunStatus
from resit.storage import migrate, tables
from resit.storage.connect import connect, transaction
from resit.storage.link import Link
from resit.storage.postgres import address
from resit.storage.unit_of_work import SqlStore
from resit.testing import factories
from resit.testing.postgres import PostgresFailed, PostgresServer
from resit.testing.world import World

Connecting = Callable[..., Engine]


@pytest.fixture
def connecting() -> Iterator[Connecting]:
    """``connect``, with engines that are let go of in the end."""
    made: list[Engine] = []

    def do(url: str) -> Engine:
        made.append(connect(url))
        return made[-1]

    yield do
    for engine in made:
        engine.dispose()


@pytest.fixture
def fresh(postgres: PostgresServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database that nobody has used."""
    name = f"fresh-{abs(hash(request.node.nodeid))}"
    yield postgres.create(name)
    postgres.drop(name)


@pytest.fixture(scope="module")
def own() -> Iterator[PostgresServer]:
    """A server to be stopped and killed."""
    with PostgresServer() as server:
        yield server


def one(engine: Engine, statement: str, **options: Any) -> Any:
    """The only value of the only row."""
    with transaction(engine, **{"write": False, **options}) as db:
        return db.execute(text(statement)).scalar_one()


def do(engine: Engine, *steps: str | Callable[[], object]) -> None:
    """Statements and deeds, one after the other in one transaction that writes."""
    with transaction(engine, write=True) as db:
        for step in steps:
            if isinstance(step, str):
                db.execute(text(step))
            else:
                step()


# ------------------------------------------------------------ its name


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://me:pw@db.example/shop", {"host": "db.example", "port": 5432, "user": "me", "database": "shop"}),
        ("postgres://me@[::1]:5433/shop", {"host": "::1", "port": 5433}),
        ("postgresql+pg8000://me@db/shop", {"host": "db"}),
        ("postgresql:///shop?host=/run/postgresql&user=me&port=5433", {"unix_sock": "/run/postgresql/.s.PGSQL.5433"}),
        ("postgresql://me@/shop?host=db", {"host": "db", "ssl_context": None}),
        ("postgresql://me@db", {"database": "me", "application_name": "resit"}),
        (
            "postgresql://me@db/x?application_name=blue&sslmode=disable",
            {"application_name": "blue", "ssl_context": False},
        ),
        ("postgresql://me:p%40w%2F@db/x", {"password": "p@w/"}),
        ("postgresql://me@db/x?password=pw", {"password": "pw"}),
    ],
)
def test_what_a_url_says(url: str, words: dict[str, object]) -> None:
    if url.startswith("postgres://"):
        url = url.replace("postgres://", "postgresql://")
    found = address(make_url(url)).words()
    assert {name: found[name] for name in words} == words


@pytest.mark.parametrize(
    ("mode", "verify", "hostname"),
    [
        ("require", ssl.CERT_NONE, False),
        ("verify-ca", ssl.CERT_REQUIRED, False),
        ("verify-full", ssl.CERT_REQUIRED, True),
    ],
)
def test_what_a_url_says_of_tls(mode: str, verify: ssl.VerifyMode, hostname: bool) -> None:
    found = address(make_url(f"postgresql://me@db/x?sslmode={mode}")).security
    assert isinstance(found, ssl.SSLContext)
    assert (found.verify_mode, found.check_hostname) == (verify, hostname)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://me:secret@db/x", "begins with postgresql://"),
        ("postgresql+psycopg2://me:secret@db/x", "begins with postgresql://"),
        ("postgresql://me:secret@db:port/x", "can't be read"),
        ("secret", "can't be read"),
        ("postgresql://me:secret@db/x?colour=red", "says 'colour'"),
        ("postgresql://me:secret@db/x?sslmode=maybe", "sslmode=maybe"),
        ("postgresql://me:secret@db/x?sslmode=verify-full&sslrootcert=/nowhere", "no such file"),
        ("postgresql://me:secret@db/x?connect_timeout=soon", "whole number"),
        ("postgresql://me:secret@db/x?connect_timeout=0", "whole number"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused_without_its_password(url: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        connect(url)
    assert said in refused.value.message
    assert "secret" not in refused.value.message


def test_a_password_is_never_told(
    postgres: PostgresServer, connecting: Connecting, caplog: pytest.LogCaptureFixture
) -> None:
    postgres.execute("DROP ROLE IF EXISTS locked")
    postgres.execute("CREATE ROLE locked LOGIN PASSWORD 'sesame-1'")
    assert one(connecting(postgres.url(user="locked", password="sesame-1")), "SELECT current_user") == "locked"
    caplog.set_level(logging.DEBUG)
    wrong = connecting(postgres.url(user="locked", password="sesame-2"))
    with pytest.raises(Unavailable, match="password authentication failed") as refused:
        one(wrong, "SELECT 1")
    with pytest.raises(Unavailable, match="password authentication failed"):
        one(connecting(postgres.url(user="locked")), "SELECT 1")
    error: BaseException | None = refused.value
    while error is not None:
        assert "sesame" not in f"{error!r} {error}"
        error = error.__cause__ or error.__context__
    assert "sesame" not in caplog.text + repr(wrong) + repr(wrong.url)


# ------------------------------------------------------------ reaching it


def test_a_connection_is_set_up(postgres: PostgresServer, connecting: Connecting) -> None:
    engine = connecting(postgres.url())
    said = {
        name: one(engine, f"SELECT current_setting('{name}')")
        for name in (
            "TimeZone", "application_name", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
            "tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout",
        )
    }  # fmt: skip
    assert said == {
        "TimeZone": "UTC", "application_name": "resit", "statement_timeout": "1min", "lock_timeout": "20s",
        "idle_in_transaction_session_timeout": "30s", "tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2",
        "tcp_keepalives_count": "3", "tcp_user_timeout": "11000",
    }  # fmt: skip


def test_what_lasts_and_what_is_read(postgres: PostgresServer, connecting: Connecting) -> None:
    engine = connecting(postgres.url())
    postgres.execute("ALTER ROLE resit SET synchronous_commit TO on")
    try:
        level, commit = (
            "SELECT current_setting('transaction_isolation')",
            "SELECT current_setting('synchronous_commit')",
        )
        assert one(engine, level) == "repeatable read"
        assert one(engine, level, write=True) == "read committed"
        assert one(engine, commit, write=True) == "on"
        assert one(engine, commit, write=True, lasting=False) == "off"
        assert one(engine, commit, write=True) == "on"
        with pytest.raises(Unavailable, match="takes no changes"):
            one(engine, "CREATE TABLE nobody_writes_here (id int)")
    finally:
        postgres.execute("ALTER ROLE resit RESET synchronous_commit")


def test_by_a_socket(postgres: PostgresServer, connecting: Connecting) -> None:
    url = f"postgresql://resit@/postgres?host={postgres.folder}&port={postgres.port}"
    assert one(connecting(url), "SELECT inet_client_addr() IS NULL")


def test_a_server_that_is_not_there(postgres: PostgresServer, connecting: Connecting, tmp_path: Path) -> None:
    for url, said in (
        (f"postgresql://resit@/postgres?host={tmp_path}", "No such file"),
        ("postgresql://resit@127.0.0.1:1/postgres", "refused"),
        (postgres.url("nothing"), 'database "nothing" does not exist'),
        (postgres.url(user="nobody-here"), 'role "nobody-here" does not exist'),
        ("postgresql://resit@host.invalid/postgres?connect_timeout=2", "host.invalid"),
    ):
        with pytest.raises(Unavailable, match=said):
            one(connecting(url), "SELECT 1")
        with pytest.raises(Unavailable, match=said):
            migrate.upgrade(connecting(url))


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "db")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(1))
        .not_valid_after(now + datetime.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    found = folder / "server.crt", folder / "server.key"
    found[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.TraditionalOpenSSL
    found[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return found


def test_over_tls(own: PostgresServer, connecting: Connecting, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="offers no TLS"):
        one(connecting(own.url() + "?sslmode=require"), "SELECT 1")
    own.secure(*certificate(tmp_path))
    secret = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    root = tmp_path / "server.crt"
    full = f"?sslmode=verify-full&sslrootcert={root}"
    assert one(connecting(own.url() + "?sslmode=disable"), secret) is False
    for words in ("", "?sslmode=prefer", "?sslmode=require", f"?sslmode=verify-ca&sslrootcert={root}", full):
        assert one(connecting(own.url() + words), secret) is True, words
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        one(connecting(own.url() + "?sslmode=verify-ca"), "SELECT 1")
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        one(connecting(own.url().replace("127.0.0.1", "localhost") + full), "SELECT 1")


# ------------------------------------------------------------ losing it


def test_a_restart_between_two_requests_is_not_noticed(own: PostgresServer, connecting: Connecting) -> None:
    engine = connecting(own.url())
    together = threading.Barrier(5)

    def ask(_number: int) -> Any:
        with transaction(engine, write=False) as db:
            together.wait(30)
            return db.execute(text("SELECT 1")).scalar_one()

    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(ask, range(5))) == [1] * 5
        own.restart()
        assert list(pool.map(ask, range(5))) == [1] * 5


def test_a_burst_makes_its_connections_once(postgres: PostgresServer, connecting: Connecting) -> None:
    engine = connecting(postgres.url())
    made: list[object] = []
    event.listen(engine, "connect", lambda link, _record: made.append(link))
    together = threading.Barrier(20)

    def ask(_number: int) -> Any:
        with transaction(engine, write=False) as db:
            together.wait(30)
            return db.execute(text("SELECT 1")).scalar_one()

    with ThreadPoolExecutor(20) as pool:
        for _ in range(3):
            assert list(pool.map(ask, range(20))) == [1] * 20
    assert len(made) == 20


def test_what_comes_often_stays_with_the_server(postgres: PostgresServer, connecting: Connecting) -> None:
    engine = connecting(postgres.url())
    often = text("SELECT CAST(:number AS int) + 1, 'text', NULL, true")
    for number in range(20):
        with transaction(engine, write=False) as db:
            assert db.execute(often, {"number": number}).one() == (number + 1, "text", None, True)
    kept = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT CAST($1 AS int) + 1%'"
    assert one(engine, kept) == 1
    # What fails while it is kept does no harm, then and later.
    broken = text("SELECT 1 / CAST(:number AS int)")
    for number in (1, 1, 1, 1, 0, 1, 0, 1):
        with transaction(engine, write=False) as db:
            if number:
                assert db.execute(broken, {"number": number}).scalar_one() == 1
            else:
                with pytest.raises(DBAPIError, match="division by zero"):
                    db.execute(broken, {"number": number})


def test_a_table_that_changes_under_a_kept_statement(fresh: str, connecting: Connecting) -> None:
    engine = connecting(fresh)
    do(engine, "CREATE TABLE thing (id int)", "INSERT INTO thing VALUES (1)")
    query = text("SELECT * FROM thing WHERE id = :id")

    def found() -> list[Any]:
        with transaction(engine, write=False) as db:
            return [tuple(row) for row in db.execute(query, {"id": 1})]

    for _ in range(10):
        assert found() == [(1,)]
    do(engine, "ALTER TABLE thing ADD COLUMN name text DEFAULT 'new'")
    with pytest.raises(Unavailable, match="the tables have changed"):
        found()
    assert found() == [(1, "new")]


def test_nothing_is_done_in_a_transaction_that_could_not_begin(fresh: str, connecting: Connecting) -> None:
    engine = connecting(fresh)
    do(engine, "CREATE TABLE thing (id int)")
    with engine.connect() as connection:
        link = cast("Link", connection.connection.driver_connection)
        for statement, values in (("INSERT INTO thing VALUES ($1::int)", (1,)), ("INSERT INTO thing VALUES (2)", ())):
            link.begin("BEGIN", "SET LOCAL nothing_of_this_name TO off", only_reads=False)
            with pytest.raises(DatabaseError, match="nothing_of_this_name"):
                link.ask(statement, values)
            link.rollback()
        link.begin("BEGIN", only_reads=False)
        link.commit()
        assert link.ask("SELECT count(*)::int FROM thing").rows == [[0]]


def test_a_server_that_goes_away_in_the_middle(own: PostgresServer, connecting: Connecting) -> None:
    engine = connecting(own.url())
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    for end in (own.stop, own.kill, lambda: own.execute(others)):
        with pytest.raises(Unavailable, match="does not answer"):
            do(engine, "SELECT 1", end, "SELECT 1")
        if end in (own.stop, own.kill):
            with pytest.raises(Unavailable, match="refused"):
                one(engine, "SELECT 1")
            own.start()
        assert one(engine, "SELECT 1") == 1


def test_a_server_that_goes_away_before_the_end(own: PostgresServer, connecting: Connecting) -> None:
    """Nobody hears that their work was kept."""
    engine = connecting(own.url())
    with pytest.raises(Unavailable):
        do(engine, "CREATE TABLE lost (id int)", own.kill)
    own.start()
    assert one(engine, "SELECT to_regclass('lost') IS NULL")


def test_a_server_that_says_nothing(postgres: PostgresServer, connecting: Connecting) -> None:
    engine = connecting(postgres.url())
    with engine.connect() as connection:
        cast("Link", connection.connection.driver_connection).wait_at_most(0.1)
        with pytest.raises(DBAPIError, match="network error: timed out"):
            connection.execute(text("SELECT pg_sleep(20)"))
        assert connection.invalidated
    assert one(engine, "SELECT 1") == 1


@pytest.mark.parametrize("code", ["53100", "53200", "53300", "57014", "58030", "40001", "40P01", "55P03", "08006"])
def test_what_is_over_soon(postgres: PostgresServer, connecting: Connecting, code: str) -> None:
    with pytest.raises(Unavailable):
        do(connecting(postgres.url()), f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$")


def test_a_transaction_that_pauses_for_too_long(postgres: PostgresServer, connecting: Connecting) -> None:
    engine = connecting(postgres.url())
    with pytest.raises(Unavailable, match="idle-in-transaction"):
        do(
            engine,
            "SET LOCAL idle_in_transaction_session_timeout TO '10ms'",
            lambda: threading.Event().wait(0.2),
            "SELECT 1",
        )
    assert one(engine, "SELECT 1") == 1


def test_more_than_there_are_connections(postgres: PostgresServer, connecting: Connecting) -> None:
    engine = connecting(postgres.url())
    engine.pool._timeout = 0.1  # type: ignore[attr-defined]
    held = [engine.connect() for _ in range(20)]
    with pytest.raises(Unavailable, match="in use"):
        one(engine, "SELECT 1")
    for connection in held:
        connection.close()


# ------------------------------------------------------------ what it holds


def test_what_no_database_can_hold(fresh: str, connecting: Connecting) -> None:
    engine = connecting(fresh)
    migrate.upgrade(engine)
    store = SqlStore(engine)
    with store.write() as tx:
        project = tx.projects.add(factories.project())
    for bad in ("half \ud800", "a NUL \0"):
        with pytest.raises(InvalidInput, match=r"half|NUL"), store.write() as tx:
            tx.projects.add(factories.project(slug="other", name=bad))
        with pytest.raises(InvalidInput, match=r"half|NUL"), store.write() as tx:
            # Among many.
            tx.cases.sync(factories.run(project.id), [PlannedTest(bad, "f", (bad,))])
    for number in (2**31, 2**63, 2**70):
        with pytest.raises(InvalidInput, match="number"), store.write() as tx:
            tx.projects.add(factories.project(slug="other", shards=number))
    with store.read() as tx:
        assert tx.projects.by_slug("a NUL \0") is None
        assert not tx.cases.active(1)


def test_a_name_that_no_index_holds(fresh: str, connecting: Connecting) -> None:
    engine = connecting(fresh)
    migrate.upgrade(engine)
    with pytest.raises(InvalidInput, match="too long"), SqlStore(engine).write() as tx:
        tx.projects.add(factories.project(slug="".join(chr(0x4E00 + n * 7 % 20000) for n in range(5000))))


def test_a_suite_with_an_id_that_no_index_holds(fresh: str, connecting: Connecting, tmp_path: Path) -> None:
    """Its run ends with words; a long one that can be shortened inside is taken."""
    engine = connecting(fresh)
    migrate.upgrade(engine)
    world = World(tmp_path, engine)
    world.project()
    good, long = "ü" * 3970, "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(3970))
    run = world.plan(world.trigger(), [factories.planned(good), factories.planned(long)])
    assert (run.status, run.problems[0].code) == (RunStatus.FINISHED, "id_too_long")
    assert "too long to be looked up" in run.problems[0].message
    assert f"{long[:200]!r} ... has 3970 characters" in run.problems[0].message
    assert world.plan(world.trigger(), [factories.planned(good)], claim="again").status is RunStatus.RUNNING


ODDLY = ["a", "B", "_", "é", "z", "Z", "-", "ß", "😀", "e", "É", " ", "1", "10", "9"]


def test_texts_are_in_binary_order_whatever_the_database_speaks(
    postgres: PostgresServer, connecting: Connecting
) -> None:
    postgres.drop("english")
    try:
        postgres.execute("CREATE DATABASE english TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'")
    except Exception as error:
        pytest.skip(f"this server speaks no language: {error}")
    engine = connecting(postgres.url("english"))
    assert one(engine, "SELECT 'a' < 'B'"), "the database itself would have them otherwise"
    migrate.upgrade(engine)
    store = SqlStore(engine)
    with store.write() as tx:
        for name in ODDLY:
            tx.projects.add(factories.project(slug=name))
    with transaction(engine, write=False) as db:
        found = list(db.execute(text("SELECT slug FROM projects ORDER BY slug")).scalars())
        count = db.execute(text("SELECT count(*) FROM projects WHERE slug > 'Z'")).scalar_one()
    assert found == sorted(ODDLY)
    assert count == len([name for name in ODDLY if name > "Z"])
    engine.dispose()
    postgres.drop("english")


def test_every_text_is_in_binary_order(fresh: str, connecting: Connecting) -> None:
    engine = connecting(fresh)
    migrate.upgrade(engine)
    query = (
        "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'"
        " AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'"
    )
    with transaction(engine, write=False) as db:
        assert list(db.execute(text(query)).scalars()) == []


def test_numbers_never_come_again(fresh: str, connecting: Connecting) -> None:
    engine = connecting(fresh)
    migrate.upgrade(engine)
    store = SqlStore(engine)
    seen: list[int] = []
    for number in range(3):
        with store.write() as tx:
            seen.append(tx.projects.add(factories.project(slug=f"s{number}")).id)
        with transaction(engine, write=True) as db:
            db.execute(text("DELETE FROM projects"))
    assert seen == sorted(set(seen))


# ------------------------------------------------------------ migrations


def test_migrations_equal_the_tables(fresh: str, connecting: Connecting) -> None:
    engine = connecting(fresh)
    assert migrate.current(engine) == ""
    assert migrate.upgrade(engine)
    assert migrate.current(engine) == migrate.newest()
    assert not migrate.upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, tables.metadata) == []


def test_several_control_planes_start_at_once(fresh: str, connecting: Connecting) -> None:
    engines = [connecting(fresh) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(migrate.upgrade, engines))
    assert sorted(done) == [False, False, False, True]
    assert {migrate.current(engine) for engine in engines} == {migrate.newest()}


def test_a_migration_that_fails_leaves_nothing(fresh: str, connecting: Connecting) -> None:
    engine = connecting(fresh)
    with transaction(engine, write=True) as db:
        db.execute(text("CREATE TABLE voices (id int)"))
    with pytest.raises(Exception, match="voices"):
        migrate.upgrade(engine)
    assert migrate.current(engine) == ""
    with transaction(engine, write=False) as db:
        assert db.execute(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")).scalar_one() == 1


def test_a_newer_database_is_refused_and_left_alone(fresh: str, connecting: Connecting) -> None:
    engine = connecting(fresh)
    migrate.upgrade(engine)
    with transaction(engine, write=True) as db:
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Conflict, match="written by a newer Resit"):
        migrate.upgrade(engine)
    assert migrate.current(engine) == "9999"


def test_a_database_in_another_alphabet_is_refused(postgres: PostgresServer, connecting: Connecting) -> None:
    postgres.drop("latin")
    postgres.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    with pytest.raises(Conflict, match="not in UTF8"):
        migrate.upgrade(connecting(postgres.url("latin")))


# ------------------------------------------------------------ the server of the tests


def test_no_server_without_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RESIT_TEST_POSTGRES", str(tmp_path))
    with pytest.raises(PostgresFailed, match="RESIT_TEST_POSTGRES"), PostgresServer():
        pass
