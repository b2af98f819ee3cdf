"""Payments of one status are found without looking at all the others."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_index(
        "ix_payment_intents_status",
        "payment_intents",
        ["status", sa.text("created_at desc"), sa.text("id desc")],
        schema="stripe",
    )


def downgrade() -> None:
    op.drop_index("ix_payment_intents_status", "payment_intents", schema="stripe")
