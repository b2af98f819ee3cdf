"""Runs the migrations that `alembic/` holds (in the wheel: `payments/migrations/alembic`)."""

import asyncio
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection

PACKAGE = Path(__file__).resolve().parents[1]


def scripts() -> Path:
    """Where the migrations are: shipped in the package, or at the top of a checkout."""
    shipped = PACKAGE / "migrations" / "alembic"
    return shipped if shipped.is_dir() else PACKAGE.parents[1] / "alembic"


def config(url: str) -> Config:
    made = Config()
    made.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    made.attributes["url"] = url
    return made


async def upgrade(url: str, revision: str = "head") -> None:
    """Bring a database up to a revision; several processes may try at once."""
    made = config(url)
    made.attributes["upgrade"] = True
    await asyncio.to_thread(command.upgrade, made, revision)


async def downgrade(url: str, revision: str) -> None:
    await asyncio.to_thread(command.downgrade, config(url), revision)


@cache
def revisions() -> tuple[str, ...]:
    """Every revision that this release knows, the newest first."""
    return tuple(script.revision for script in ScriptDirectory(str(scripts())).walk_revisions())


def head() -> str:
    return revisions()[0]


async def missing(connection: AsyncConnection) -> str | None:
    """The revision that the database lacks; None when it has it, or is of a later release: during
    a rolling update the old code runs on the new schema.
    """
    current = await connection.run_sync(
        lambda sync: MigrationContext.configure(sync).get_current_revision()
    )
    behind = current is None or current in revisions()[1:]
    return head() if behind else None
