"""Payments of one status, and dead events, are found without looking at all the others."""

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
    op.create_index(
        "ix_stripe_events_dead",
        "stripe_events",
        ["received_at"],
        postgresql_where=sa.text("outcome = 'dead'"),
    )


def downgrade() -> None:
    op.drop_index("ix_stripe_events_dead", "stripe_events")
    op.drop_index("ix_payment_intents_status", "payment_intents", schema="stripe")
