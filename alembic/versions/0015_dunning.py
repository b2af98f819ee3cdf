"""How often an invoice was tried and when it is next; why a subscription was canceled."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# What was mirrored before stands without them until the next event, sweep or reconciliation.
COLUMNS = (
    ("invoices", sa.Column("attempt_count", sa.BigInteger())),
    ("invoices", sa.Column("next_payment_attempt", postgresql.TIMESTAMP(timezone=True))),
    ("subscriptions", sa.Column("cancellation_reason", sa.Text())),
)


def upgrade() -> None:
    for table, column in COLUMNS:
        op.add_column(table, column, schema="stripe")


def downgrade() -> None:
    for table, column in reversed(COLUMNS):
        op.drop_column(table, column.name, schema="stripe")
