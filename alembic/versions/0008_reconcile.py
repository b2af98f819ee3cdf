"""Reconciliations and the drift they found; mirrors are read by the time their objects were made."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SWEPT = ("refunds", "checkout_sessions", "customers")
MOMENT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "reconciliations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("received_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("not_before", MOMENT),
        sa.Column("done_at", MOMENT),
        sa.Column("outcome", sa.Text()),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("resources", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("heal", sa.Boolean(), nullable=False),
        sa.Column("began_at", MOMENT),
        sa.Column("seen_at", MOMENT),
        sa.Column("looked", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliations")),
    )
    newest = [sa.text("received_at desc"), sa.text("id desc")]
    op.create_index("ix_reconciliations_newest", "reconciliations", newest)
    op.create_table(
        "reconciliation_drift",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("reconciliation", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ours", postgresql.JSONB()),
        sa.Column("stripes", postgresql.JSONB()),
        sa.Column("healed", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("remark", sa.Text()),
        sa.Column("created_at", MOMENT, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliation_drift")),
        sa.ForeignKeyConstraint(
            ["reconciliation"], ["reconciliations.id"], ondelete="CASCADE",
            name=op.f("fk_reconciliation_drift_reconciliation_reconciliations"),
        ),
    )  # fmt: skip
    op.create_index(
        "ix_reconciliation_drift_run",
        "reconciliation_drift",
        ["reconciliation", sa.text("created_at desc"), sa.text("id desc")],
    )
    for table in SWEPT:
        op.create_index(f"ix_{table}_created_at", table, ["created_at"], schema="stripe")


def downgrade() -> None:
    for table in SWEPT:
        op.drop_index(f"ix_{table}_created_at", table, schema="stripe")
    op.drop_table("reconciliation_drift")
    op.drop_table("reconciliations")
