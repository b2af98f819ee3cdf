"""Invoices, their payments and subscriptions, mirrored; places in plan groups, and changes."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

MIRRORS = ("invoices", "invoice_payments", "subscriptions")
NEWEST = ["customer", sa.text("created_at desc"), sa.text("id desc")]


def moment(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, postgresql.TIMESTAMP(timezone=True), nullable=nullable)


def mirror(name: str, *columns: sa.Column[object], indexed: Sequence[str]) -> None:
    op.create_table(
        name,
        *columns,
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("phase", sa.SmallInteger(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default="false", nullable=False),
        moment("created_at", nullable=False),
        moment("updated_at", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
        schema="stripe",
    )
    for column in (*indexed, "created_at"):
        op.create_index(f"ix_{name}_{column}", name, [column], schema="stripe")


def upgrade() -> None:
    mirror(
        "invoices",
        sa.Column("status", sa.Text()),
        sa.Column("customer", sa.Text()),
        sa.Column("subscription", sa.Text()),
        sa.Column("billing_reason", sa.Text()),
        sa.Column("currency", sa.Text()),
        sa.Column("total", sa.BigInteger()),
        sa.Column("amount_due", sa.BigInteger()),
        sa.Column("amount_paid", sa.BigInteger()),
        sa.Column("reference", sa.Text()),
        indexed=("subscription", "reference"),
    )
    mirror(
        "invoice_payments",
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("invoice", sa.Text(), nullable=False),
        sa.Column("payment_intent", sa.Text()),
        sa.Column("amount_paid", sa.BigInteger()),
        sa.Column("currency", sa.Text(), nullable=False),
        indexed=("invoice", "payment_intent"),
    )
    mirror(
        "subscriptions",
        sa.Column("status", sa.Text()),
        sa.Column("customer", sa.Text()),
        sa.Column("items", postgresql.JSONB(astext_type=sa.Text())),
        moment("current_period_start"),
        moment("current_period_end"),
        moment("trial_end"),
        sa.Column("cancel_at_period_end", sa.Boolean()),
        moment("cancel_at"),
        moment("canceled_at"),
        moment("ended_at"),
        sa.Column("pause_collection", sa.Text()),
        sa.Column("latest_invoice", sa.Text()),
        sa.Column("reference", sa.Text()),
        indexed=("reference",),
    )
    for name in ("invoices", "subscriptions"):
        op.create_index(f"ix_{name}_customer", name, NEWEST, schema="stripe")
    _requests()
    _changes()


def _requests() -> None:
    op.create_table(
        "subscription_requests",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("plan_group", sa.Text(), nullable=False),
        sa.Column("price", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("trial_days", sa.Integer(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("params", postgresql.JSONB(astext_type=sa.Text())),
        sa.Column("stripe_id", sa.Text()),
        sa.Column("requested_by", sa.Text(), nullable=False),
        moment("reserved_at", nullable=False),
        moment("closed_at"),
        sa.CheckConstraint(
            "quantity > 0 and trial_days >= 0", name=op.f("ck_subscription_requests_wish")
        ),
        sa.CheckConstraint(
            "form in ('subscription', 'checkout_session')",
            name=op.f("ck_subscription_requests_form"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription_requests")),
        sa.UniqueConstraint("stripe_id", name=op.f("uq_subscription_requests_stripe_id")),
    )
    op.create_index(
        "uq_subscription_requests_plan_group",
        "subscription_requests",
        ["user_id", "plan_group"],
        unique=True,
        postgresql_where=sa.text("closed_at is null"),
    )


def _changes() -> None:
    op.create_table(
        "subscription_changes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("params", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        moment("requested_at", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription_changes")),
    )
    op.create_index(
        "ix_subscription_changes_subscription", "subscription_changes", ["subscription"]
    )


def downgrade() -> None:
    op.drop_table("subscription_changes")
    op.drop_table("subscription_requests")
    for name in reversed(MIRRORS):
        op.drop_table(name, schema="stripe")
