"""What was asked of Stripe; and what was opened for a reference, closed or not."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "stripe_calls",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=True),
        sa.Column("payment_intent", sa.Text(), nullable=True),
        sa.Column("reservation", sa.Text(), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("replayed", sa.Boolean(), nullable=False),
        sa.Column("stripe_request_id", sa.Text(), nullable=True),
        sa.Column("original_request_id", sa.Text(), nullable=True),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stripe_calls")),
    )
    for name in ("object_id", "payment_intent", "reservation"):
        op.create_index(
            f"ix_stripe_calls_{name}",
            "stripe_calls",
            [name],
            postgresql_where=sa.text(f"{name} is not null"),
        )
    op.create_index("ix_stripe_calls_at", "stripe_calls", ["at"])
    op.create_index(op.f("ix_open_payables_reference"), "open_payables", ["reference"])


def downgrade() -> None:
    op.drop_index(op.f("ix_open_payables_reference"), table_name="open_payables")
    op.drop_table("stripe_calls")
