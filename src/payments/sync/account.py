"""The database is stamped with the one Stripe account that it mirrors."""

from datetime import datetime

import structlog
from sqlalchemy import Boolean, CheckConstraint, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Base, Database
from payments.core.errors import Problem, StripeMisconfigured
from payments.stripe_api.refusals import PATIENCE
from payments.stripe_api.service import StripeService

log = structlog.get_logger(__name__)


class Installation(Base):
    """One row: whose payments these are."""

    __tablename__ = "installation"
    __table_args__ = (CheckConstraint("id", name="single"),)

    id: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default="true")
    account: Mapped[str]
    livemode: Mapped[bool]
    stamped_at: Mapped[datetime] = mapped_column(server_default=func.now())


class WrongAccount(StripeMisconfigured):
    """The key belongs to another Stripe account than the database."""


async def identify(stripe: StripeService) -> str:
    """The id of the account that the key belongs to."""
    return str((await stripe.call(lambda c: c.v1.accounts.retrieve_current_async())).object["id"])


async def stamp(db: Database, stripe: StripeService, *, livemode: bool) -> str | None:
    """Return the account's id, stamping a new database; None while Stripe cannot be asked.

    Raises:
        WrongAccount: this database mirrors another account or mode.
    """
    try:
        account = await identify(stripe)
    except Problem as exc:
        log.warning("Stripe cannot be asked for the account", reason=exc.detail)
        return None
    await claim(db, account, livemode=livemode)
    return account


async def claim(db: Database, account: str, *, livemode: bool) -> None:
    """Stamp a new database with an account.

    Raises:
        WrongAccount: it mirrors another account or mode.
    """
    async with db.transaction() as tx:
        await tx.execute(
            insert(Installation).values(account=account, livemode=livemode).on_conflict_do_nothing()
        )
    await compare(db, account, livemode=livemode)


async def confirm(db: Database, stripe: StripeService, *, livemode: bool) -> None:
    """Ask whose key this is, before it is believed that something is not there.

    Raises:
        WrongAccount: this database mirrors another account or mode.
        Problem: Stripe cannot be asked.
    """
    try:
        await compare(db, await identify(stripe), livemode=livemode)
    except WrongAccount as exc:
        stripe.refusals.tell(exc)
        raise


async def compare(db: Database, account: str, *, livemode: bool) -> None:
    """Look at the stamp without leaving one.

    Raises:
        WrongAccount: this database mirrors another account or mode.
    """
    async with db.transaction() as tx:
        row = (await tx.execute(select(Installation.account, Installation.livemode))).first()
    if row is not None and tuple(row) != (account, livemode):
        raise WrongAccount(
            f"this database mirrors {row.account} ({_mode(live=row.livemode)}), the key belongs to "
            f"{account} ({_mode(live=livemode)}): use the key of {row.account}, "
            "or another DATABASE_URL",
            retry_after=PATIENCE,
        )


async def stamped(db: Database) -> bool:
    """Whether this database knows whose it is."""
    async with db.transaction() as tx:
        return (await tx.execute(select(Installation.account))).first() is not None


def _mode(*, live: bool) -> str:
    return "live" if live else "test mode"
