"""The outbox; disputes; what a failed attempt says, and whether a booking's payment is disputed."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

PAYMENTS = """
create or replace view payments as
select i.id,
       'stripe' as provider,
       i.id as stripe_payment_intent_id,
       i.reference,
       case when i.reference like 'booking:%' then substr(i.reference, 9) end as booking_id,
       i.payment_type,
       i.amount as amount_cents,
       i.amount_received as received_cents,
       r.refunded as refunded_cents,
       i.currency,
       i.customer,
       i.status as stripe_status,
       case when i.status = 'succeeded' and r.refunded >= i.amount_received and r.refunded > 0
                then 'refunded'
            when i.status = 'succeeded' and r.refunded > 0 then 'partially_refunded'
            when i.status = 'requires_payment_method' and i.failure_code is not null then 'failed'
            when i.status in ('requires_payment_method', 'requires_confirmation', 'requires_action')
                then 'requires_payment'
            else i.status end as status,
       {disputed} as disputed,
       i.failure_code,
       i.failure_message,
       i.created_at,
       greatest(i.updated_at, r.updated_at{touched}) as updated_at
from stripe.payment_intents i
cross join lateral (
    select coalesce(sum(f.amount) filter (where f.status = 'succeeded'), 0)::bigint as refunded,
           max(f.updated_at) as updated_at
    from stripe.refunds f
    where f.payment_intent = i.id
) r
{disputes}
"""

# What the customer's bank has taken, or may still take.
DISPUTES = """
cross join lateral (
    select coalesce(bool_or(q.status not in ('won', 'warning_closed', 'prevented')), false)
               as disputed,
           max(q.updated_at) as updated_at
    from stripe.disputes q
    where q.payment_intent = i.id
) d
"""


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=True),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("caused_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("delivered", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column(
            "received_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("not_before", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("done_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint("audience in ('customer', 'admin')", name=op.f("ck_outbox_audience")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index(op.f("ix_outbox_about"), "outbox", ["about"], unique=False)
    op.create_index(
        "ix_outbox_due",
        "outbox",
        ["not_before"],
        unique=False,
        postgresql_where=sa.text("not_before is not null"),
    )
    op.create_table(
        "disputes",
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("charge", sa.Text(), nullable=True),
        sa.Column("payment_intent", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("evidence_due_by", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("is_charge_refundable", sa.Boolean(), nullable=True),
        sa.Column("balance_effect", sa.BigInteger(), nullable=False),
        sa.Column("balance_currency", sa.Text(), nullable=True),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("phase", sa.SmallInteger(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disputes")),
        schema="stripe",
    )
    op.create_index(
        op.f("ix_disputes_payment_intent"),
        "disputes",
        ["payment_intent"],
        unique=False,
        schema="stripe",
    )
    op.add_column(
        "payment_intents", sa.Column("receipt_email", sa.Text(), nullable=True), schema="stripe"
    )
    op.add_column(
        "payment_intents", sa.Column("failed_attempt", sa.Text(), nullable=True), schema="stripe"
    )
    op.add_column(
        "bookings", sa.Column("disputed", sa.Boolean(), server_default="false", nullable=False)
    )
    op.execute(PAYMENTS.format(disputed="d.disputed", touched=", d.updated_at", disputes=DISPUTES))


def downgrade() -> None:
    op.execute(PAYMENTS.format(disputed="false", touched="", disputes=""))
    op.drop_column("bookings", "disputed")
    op.drop_column("payment_intents", "failed_attempt", schema="stripe")
    op.drop_column("payment_intents", "receipt_email", schema="stripe")
    op.drop_index(op.f("ix_disputes_payment_intent"), table_name="disputes", schema="stripe")
    op.drop_table("disputes", schema="stripe")
    op.drop_index(
        "ix_outbox_due",
        table_name="outbox",
        postgresql_where=sa.text("not_before is not null"),
    )
    op.drop_index(op.f("ix_outbox_about"), table_name="outbox")
    op.drop_table("outbox")
