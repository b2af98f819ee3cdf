"""How far a rebuild has come; and one cursor for whoever reads Stripe's events."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "rebuilds",
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("listing", sa.Integer(), server_default="0", nullable=False),
        sa.Column("after", sa.Text()),
        sa.Column("listed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("done", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("begun_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("resource", name=op.f("pk_rebuilds")),
    )
    op.execute("update event_cursors set name = 'events' where name = 'polling'")


def downgrade() -> None:
    op.execute("update event_cursors set name = 'polling' where name = 'events'")
    op.drop_table("rebuilds")
