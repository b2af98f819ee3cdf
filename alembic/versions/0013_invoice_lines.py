"""Lines of paid invoices, mirrored; and what each of them brings in credits, frozen."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

MIRRORED = (
    ("paid_at", postgresql.TIMESTAMP(timezone=True)),
    ("lines", postgresql.JSONB(astext_type=sa.Text())),
)


def moment(name: str) -> sa.Column[object]:
    return sa.Column(name, postgresql.TIMESTAMP(timezone=True), nullable=False)


def upgrade() -> None:
    for name, kind in MIRRORED:
        op.add_column("invoices", sa.Column(name, kind), schema="stripe")
    op.create_table(
        "billed_lines",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("invoice", sa.Text(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("item", sa.Text()),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("price", sa.Text()),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("unit_amount", sa.BigInteger()),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        moment("period_start"),
        moment("period_end"),
        moment("paid_at"),
        sa.Column("credits", sa.BigInteger()),
        sa.Column("credit_type", sa.Text()),
        moment("created_at"),
        sa.CheckConstraint("credits >= 0", name=op.f("ck_billed_lines_credits")),
        sa.CheckConstraint(
            "(credits is null) = (credit_type is null)", name=op.f("ck_billed_lines_sized")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billed_lines")),
    )
    op.create_index("ix_billed_lines_customer", "billed_lines", ["customer"])
    op.create_index(
        "ix_billed_lines_unsized",
        "billed_lines",
        ["product"],
        postgresql_where=sa.text("credits is null"),
    )


def downgrade() -> None:
    op.drop_table("billed_lines")
    for name, _ in reversed(MIRRORED):
        op.drop_column("invoices", name, schema="stripe")
