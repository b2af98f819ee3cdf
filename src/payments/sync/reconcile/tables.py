"""Reconciliations, kept; and the drift that each has found."""

from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    ForeignKey,
    Index,
    Subquery,
    Text,
    case,
    func,
    select,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Base
from payments.sync.queue import LEASE_SECONDS, Work

Kind = Literal["differs", "missing_here", "missing_at_stripe"]
State = Literal["requested", "running", "broken_off", "failed", "dead", "done"]


class Reconciliation(Work):
    """One run. A worker begins again what another has broken off; a run of the command line has no
    `not_before`: it ends with its process.

    `looked` counts what was compared, by resource; no `resources` are all of them.
    """

    __tablename__ = "reconciliations"
    __table_args__ = (
        Index("ix_reconciliations_newest", text("received_at desc"), text("id desc")),
    )

    requested_by: Mapped[str]
    since: Mapped[datetime]
    resources: Mapped[list[str]] = mapped_column(ARRAY(Text))
    heal: Mapped[bool]
    began_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]
    looked: Mapped[dict[str, Any]] = mapped_column(server_default="{}")


class Drift(Base):
    """A row that differs from Stripe. `ours` and `stripes` have the columns that differ; null where
    there is no such row, or no such object.
    """

    __tablename__ = "reconciliation_drift"
    __table_args__ = (
        Index(
            "ix_reconciliation_drift_run",
            "reconciliation",
            text("created_at desc"),
            text("id desc"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    reconciliation: Mapped[str] = mapped_column(ForeignKey(Reconciliation.id, ondelete="CASCADE"))
    resource: Mapped[str]
    object_id: Mapped[str]
    kind: Mapped[str]
    ours: Mapped[dict[str, Any] | None]
    stripes: Mapped[dict[str, Any] | None]
    healed: Mapped[bool] = mapped_column(server_default="false")
    remark: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


ALIVE: Final = func.now() - text(f"interval '{LEASE_SECONDS} s'")
"""A run that lives has been seen since."""

STATE: Final[ColumnElement[str]] = case(
    (Reconciliation.outcome.is_not(None), Reconciliation.outcome),
    (Reconciliation.error.is_not(None), "failed"),
    (Reconciliation.began_at.is_(None), "requested"),
    (Reconciliation.seen_at < ALIVE, "broken_off"),
    else_="running",
)


def listed() -> Subquery:
    """Runs in the shape that lists have; their place is when they were requested."""
    run = Reconciliation
    columns = (
        run.id, run.requested_by, run.since, run.resources, run.heal, run.looked, run.attempts,
        run.error, run.began_at, run.done_at, STATE.label("state"),
        run.received_at.label("created_at"),
    )  # fmt: skip
    found = select(func.count()).where(Drift.reconciliation == run.id)
    return select(
        *columns,
        found.scalar_subquery().label("drift"),
        found.where(~Drift.healed).scalar_subquery().label("left"),
    ).subquery()
