"""Migrations, and how the service talks to PostgreSQL."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from alembic import command
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from payments.core import migrations
from payments.core.db import Database, in_transaction, is_outage, plain_url
from payments.dev.postgres import EmbeddedPostgres
from world import open_world

PAYMENTS = Path(sys.executable).with_name("payments")


@pytest_asyncio.fixture
async def empty(server: EmbeddedPostgres, worker_id: str) -> AsyncIterator[str]:
    name = f"empty_{worker_id}"
    await server.drop_database(name)
    await server.ensure_database(name)
    yield server.url(name)
    await server.drop_database(name)


async def relations(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "select n.nspname || '.' || c.relname as name from pg_class c join pg_namespace n "
        "on n.oid = c.relnamespace where n.nspname in ('public', 'stripe')"
    )
    await connection.close()
    return {row["name"] for row in rows}


async def test_migrations_lead_up_and_down_and_up_again(empty: str) -> None:
    await migrations.upgrade(empty)
    first = await relations(empty)
    assert {"public.bookings", "stripe.payment_intents", "public.payments"} <= first
    await migrations.downgrade(empty, "base")
    assert await relations(empty) <= {"public.alembic_version", "public.alembic_version_pkc"}
    await migrations.upgrade(empty)
    assert await relations(empty) == first
    await migrations.upgrade(empty)


async def test_the_tables_of_the_code_are_those_of_the_migrations(empty: str) -> None:
    await migrations.upgrade(empty)
    await asyncio.to_thread(command.check, migrations.config(empty))


async def test_what_is_missing_is_named_until_it_is_there(empty: str) -> None:
    db = Database(empty)
    async with db.transaction() as tx:
        assert await migrations.missing(tx) == migrations.head()
    await migrations.upgrade(empty)
    async with db.transaction() as tx:
        assert await migrations.missing(tx) is None
    await db.aclose()


async def test_an_instance_one_release_behind_the_schema_still_serves(empty: str) -> None:
    """During a rolling update the old code runs on the new schema."""
    await migrations.upgrade(empty)
    async with open_world(empty, catalogue=False) as world:
        await world.db.execute("update alembic_version set version_num = 'of_a_later_release'")
        answer = await world.api.get("/readyz")
        assert answer.status_code == 200, answer.text


async def migrate(url: str) -> tuple[int, str]:
    environment = {**os.environ, "DATABASE_URL": url}
    ran = await asyncio.create_subprocess_exec(
        PAYMENTS,
        "migrate",
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd="/",
    )
    said, _ = await ran.communicate()
    return ran.returncode or 0, said.decode()


async def test_several_machines_may_migrate_at_once(empty: str) -> None:
    outcomes = await asyncio.gather(migrate(empty), migrate(empty))
    assert [code for code, _ in outcomes] == [0, 0], outcomes
    assert all(migrations.head() in said for _, said in outcomes)
    await asyncio.to_thread(command.check, migrations.config(empty))


async def test_a_pooler_in_transaction_mode_finds_nothing_of_a_session(empty: str) -> None:
    db = Database(empty, pooler="transaction")
    async with db.transaction() as tx:
        for number in range(3):
            assert await tx.scalar(text("select :n + 1"), {"n": number}) == number + 1
        prepared = await tx.scalar(text("select count(*) from pg_prepared_statements"))
        assert prepared == 0
        name = await tx.scalar(text("show application_name"))
        assert name == ""
        assert await tx.scalar(text("show transaction_isolation")) == "read committed"
    await db.check()
    await db.aclose()


async def test_a_direct_connection_names_itself_and_counts_in_utc(empty: str) -> None:
    db = Database(empty)
    async with db.transaction() as tx:
        assert await tx.scalar(text("show timezone")) == "UTC"
        assert await tx.scalar(text("show application_name")) == "payments"
    await db.aclose()


@pytest.mark.parametrize("extra", ["sslmode=disable", "sslmode=prefer", "application_name=mine"])
async def test_what_the_address_of_a_managed_server_says_is_understood(
    empty: str, extra: str
) -> None:
    address = f"{empty}&{extra}"
    await migrations.upgrade(address)
    db = Database(address)
    await db.check()
    await db.aclose()


async def test_another_isolation_level_of_the_server_does_not_matter(empty: str) -> None:
    connection = await asyncpg.connect(empty)
    name = await connection.fetchval("select current_database()")
    await connection.execute(
        f"alter database {name} set default_transaction_isolation = 'serializable'"
    )
    await connection.close()
    db = Database(empty)
    await db.check()
    async with db.transaction() as tx:
        assert await tx.scalar(text("show transaction_isolation")) == "read committed"
    await db.aclose()


async def test_a_transaction_is_committed_at_its_end_and_undone_by_an_error(empty: str) -> None:
    db = Database(empty)
    async with db.transaction() as tx:
        await tx.execute(text("create table t (n int)"))
        assert in_transaction()
    assert not in_transaction()
    with pytest.raises(ZeroDivisionError):
        await insert_and_fail(db)
    assert not in_transaction()
    async with db.transaction() as tx:
        assert await tx.scalar(text("select count(*) from t")) == 0
    await db.aclose()


async def insert_and_fail(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute(text("insert into t values (1)"))
        raise ZeroDivisionError


async def test_stripe_is_never_called_inside_a_transaction(empty: str) -> None:
    await migrations.upgrade(empty)
    async with open_world(empty, catalogue=False) as world, world.ctx.db.transaction():
        with pytest.raises(RuntimeError, match="transaction"):
            await world.ctx.stripe.call(lambda c: c.v1.accounts.retrieve_current_async())


@pytest.mark.parametrize(
    "spelled",
    [
        "postgres://u:p@h:6/d",
        "postgresql://u:p@h:6/d",
        "postgresql+asyncpg://u:p@h:6/d",
        "postgresql+psycopg2://u:p@h:6/d",
    ],
)
def test_an_address_may_be_spelled_as_tools_spell_it(spelled: str) -> None:
    assert plain_url(spelled) == "postgresql://u:p@h:6/d"


async def test_a_wrong_statement_is_no_outage_and_a_lost_server_is(empty: str) -> None:
    db = Database(empty)
    for statement, outage in (
        ("select wrong", False),
        ("select 1/0", False),
        ("select pg_terminate_backend(pg_backend_pid())", True),
    ):
        with pytest.raises(DBAPIError) as caught:
            async with db.transaction() as tx:
                await tx.execute(text(statement))
        assert is_outage(caught.value) is outage, statement
    await db.aclose()
    for error, outage in (
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (ValueError(), False),
    ):
        assert is_outage(error) is outage


async def test_a_server_that_cannot_be_reached_is_an_outage() -> None:
    db = Database("postgresql://u@127.0.0.1:1/d")
    with pytest.raises((OSError, DBAPIError)) as caught:
        await db.check()
    assert is_outage(caught.value)
    await db.aclose()
