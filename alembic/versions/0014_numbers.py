"""What subscriptions cost, and indexes for the numbers."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    for column in (
        sa.Column("currency", sa.Text()),
        sa.Column("discounts", postgresql.JSONB(astext_type=sa.Text())),
    ):
        op.add_column("subscriptions", column, schema="stripe")
    for name in ("status", "ended_at"):
        op.create_index(f"ix_subscriptions_{name}", "subscriptions", [name], schema="stripe")
    op.create_index(
        "ix_credit_entries_created_at", "credit_entries", ["created_at"], postgresql_using="brin"
    )


def downgrade() -> None:
    op.drop_index("ix_credit_entries_created_at", "credit_entries")
    for name in ("ended_at", "status"):
        op.drop_index(f"ix_subscriptions_{name}", "subscriptions", schema="stripe")
    for column in ("discounts", "currency"):
        op.drop_column("subscriptions", column, schema="stripe")
