"""Refund requests, idempotency keys, the audit log, and the view of all refunds."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

REFUNDS = """
create view refunds as
select r.id,
       q.id::text as request_id,
       r.payment_intent as payment_id,
       i.reference,
       case when i.reference like 'booking:%' then substr(i.reference, 9) end as booking_id,
       i.customer,
       r.amount as amount_cents,
       r.currency,
       r.status,
       r.reason,
       q.reason as comment,
       r.failure_reason,
       q.requested_by,
       r.created_at,
       r.updated_at
from stripe.refunds r
left join stripe.payment_intents i on i.id = r.payment_intent
left join refund_requests q on q.stripe_id = r.id
union all
select q.id::text, q.id::text, q.payment_intent, i.reference,
       case when i.reference like 'booking:%' then substr(i.reference, 9) end,
       i.customer, q.amount, q.currency, q.state, q.params ->> 'reason', q.reason,
       q.problem ->> 'detail', q.requested_by, q.requested_at, q.updated_at
from refund_requests q
left join stripe.payment_intents i on i.id = q.payment_intent
where q.stripe_id is null
"""

REFUSE = """
create function audit_log_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is append-only';
end $$
"""
APPEND_ONLY = """
create trigger append_only before update or delete or truncate on audit_log
    for each statement execute function audit_log_is_append_only()
"""


def upgrade() -> None:
    now = sa.text("clock_timestamp()")
    moment = postgresql.TIMESTAMP(timezone=True)
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", moment, server_default=now, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("details", postgresql.JSONB(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index("ix_audit_log_subject", "audit_log", ["subject", "id"])
    op.execute(REFUSE)
    op.execute(APPEND_ONLY)
    op.create_table(
        "idempotency_keys",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("leased_until", moment, nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("principal", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"])
    op.add_column("refunds", sa.Column("request", sa.Text(), nullable=True), schema="stripe")
    op.create_table(
        "refund_requests",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("payment_intent", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("params", postgresql.JSONB(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", moment, nullable=False),
        sa.Column("updated_at", moment, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("stripe_id", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default="1", nullable=False),
        sa.Column("problem", postgresql.JSONB(), nullable=True),
        sa.CheckConstraint("amount > 0", name=op.f("ck_refund_requests_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund_requests")),
        sa.UniqueConstraint("stripe_id", name=op.f("uq_refund_requests_stripe_id")),
    )
    op.create_index("ix_refund_requests_payment_intent", "refund_requests", ["payment_intent"])
    op.create_index("ix_refund_requests_newest", "refund_requests", [sa.text("requested_at desc")])
    op.execute(REFUNDS)


def downgrade() -> None:
    op.execute("drop view refunds")
    op.drop_table("refund_requests")
    op.drop_column("refunds", "request", schema="stripe")
    op.drop_table("idempotency_keys")
    op.drop_table("audit_log")
    op.execute("drop function audit_log_is_append_only")
