"""Bookings, the mirrors of what pays for them, the inbox, and the view that joins them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


PAYMENTS = """
create view payments as
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
       false as disputed,
       i.failure_code,
       i.failure_message,
       i.created_at,
       greatest(i.updated_at, r.updated_at) as updated_at
from stripe.payment_intents i
cross join lateral (
    select coalesce(sum(f.amount) filter (where f.status = 'succeeded'), 0)::bigint as refunded,
           max(f.updated_at) as updated_at
    from stripe.refunds f
    where f.payment_intent = i.id
) r
"""


def upgrade() -> None:
    op.execute("create schema stripe")
    op.execute("create sequence stripe.ticket as bigint cache 1")
    op.create_table(
        "bookings",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("date", sa.Date(), nullable=True),
        sa.Column("time", sa.Time(), nullable=True),
        sa.Column("guests", sa.Integer(), nullable=True),
        sa.Column("menu", sa.Text(), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("own_price", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("total_cents", sa.BigInteger(), nullable=False),
        sa.Column("deposit_cents", sa.BigInteger(), nullable=False),
        sa.Column("addons_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("paid_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("refunded_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("processing_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "total_cents >= 0 and deposit_cents between 0 and total_cents",
            name=op.f("ck_bookings_price"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bookings")),
        sa.UniqueConstraint("reference", name=op.f("uq_bookings_reference")),
    )
    op.create_index(
        "ix_bookings_created_at",
        "bookings",
        [sa.literal_column("created_at desc"), sa.literal_column("id desc")],
        unique=False,
    )
    op.create_index(
        "ix_bookings_user_id_created_at",
        "bookings",
        ["user_id", sa.literal_column("created_at desc"), sa.literal_column("id desc")],
        unique=False,
    )
    op.create_table(
        "customer_links",
        sa.Column("key", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("stripe_customer_id", sa.Text(), nullable=True),
        sa.Column("reserved_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("replaced_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_customer_links")),
    )
    op.create_index(
        op.f("ix_customer_links_stripe_customer_id"),
        "customer_links",
        ["stripe_customer_id"],
        unique=False,
    )
    op.create_index("ix_customer_links_history", "customer_links", ["user_id"], unique=False)
    op.create_index(
        "uq_customer_links_user_id",
        "customer_links",
        ["user_id"],
        unique=True,
        postgresql_where=sa.text("replaced_at is null"),
    )
    op.create_table(
        "installation",
        sa.Column("id", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column(
            "stamped_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("id", name=op.f("ck_installation_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "open_payables",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("slot", sa.Text(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("params", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("stripe_id", sa.Text(), nullable=True),
        sa.Column("reserved_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("closed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "form in ('checkout_session', 'payment_intent')", name=op.f("ck_open_payables_form")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_open_payables")),
    )
    op.create_index(
        op.f("ix_open_payables_stripe_id"), "open_payables", ["stripe_id"], unique=False
    )
    op.create_index(
        "uq_open_payables_slot",
        "open_payables",
        ["reference", "slot"],
        unique=True,
        postgresql_where=sa.text("closed_at is null"),
    )
    op.create_table(
        "checkout_sessions",
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("payment_status", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("amount_total", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("payment_intent", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("payment_type", sa.Text(), nullable=True),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("phase", sa.SmallInteger(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkout_sessions")),
        schema="stripe",
    )
    op.create_index(
        op.f("ix_checkout_sessions_payment_intent"),
        "checkout_sessions",
        ["payment_intent"],
        unique=False,
        schema="stripe",
    )
    op.create_index(
        op.f("ix_checkout_sessions_reference"),
        "checkout_sessions",
        ["reference"],
        unique=False,
        schema="stripe",
    )
    op.create_table(
        "customers",
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("phase", sa.SmallInteger(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customers")),
        schema="stripe",
    )
    op.create_table(
        "payment_intents",
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("amount_received", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("payment_type", sa.Text(), nullable=True),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("phase", sa.SmallInteger(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_intents")),
        schema="stripe",
    )
    op.create_index(
        "ix_payment_intents_customer",
        "payment_intents",
        ["customer", sa.literal_column("created_at desc"), sa.literal_column("id desc")],
        unique=False,
        schema="stripe",
    )
    op.create_index(
        "ix_payment_intents_newest",
        "payment_intents",
        [sa.literal_column("created_at desc"), sa.literal_column("id desc")],
        unique=False,
        schema="stripe",
    )
    op.create_index(
        op.f("ix_payment_intents_reference"),
        "payment_intents",
        ["reference"],
        unique=False,
        schema="stripe",
    )
    op.create_table(
        "prices",
        sa.Column("product", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("unit_amount", sa.BigInteger(), nullable=True),
        sa.Column("lookup_key", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("interval", sa.Text(), nullable=True),
        sa.Column("interval_count", sa.BigInteger(), nullable=True),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("phase", sa.SmallInteger(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prices")),
        schema="stripe",
    )
    op.create_index(
        op.f("ix_prices_lookup_key"), "prices", ["lookup_key"], unique=False, schema="stripe"
    )
    op.create_index(op.f("ix_prices_product"), "prices", ["product"], unique=False, schema="stripe")
    op.create_table(
        "products",
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=True),
        sa.Column("default_price", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("phase", sa.SmallInteger(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_products")),
        schema="stripe",
    )
    op.create_table(
        "refunds",
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("payment_intent", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("failure_reason", sa.Text(), nullable=True),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("phase", sa.SmallInteger(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refunds")),
        schema="stripe",
    )
    op.create_index(
        op.f("ix_refunds_payment_intent"),
        "refunds",
        ["payment_intent"],
        unique=False,
        schema="stripe",
    )
    op.create_table(
        "stripe_events",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=True),
        sa.Column("object_id", sa.Text(), nullable=True),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("livemode", sa.Boolean(), nullable=True),
        sa.Column("api_version", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("lane", sa.SmallInteger(), nullable=True),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
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
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stripe_events")),
    )
    op.create_index(
        "ix_stripe_events_due",
        "stripe_events",
        ["lane", "not_before"],
        unique=False,
        postgresql_where=sa.text("not_before is not null"),
    )
    op.create_index("ix_stripe_events_object", "stripe_events", ["object_id"], unique=False)
    op.create_index("ix_stripe_events_received_at", "stripe_events", ["received_at"], unique=False)
    op.execute(PAYMENTS)


def downgrade() -> None:
    op.execute("drop view payments")
    op.drop_index("ix_stripe_events_received_at", table_name="stripe_events")
    op.drop_index("ix_stripe_events_object", table_name="stripe_events")
    op.drop_index(
        "ix_stripe_events_due",
        table_name="stripe_events",
        postgresql_where=sa.text("not_before is not null"),
    )
    op.drop_table("stripe_events")
    op.drop_index(op.f("ix_refunds_payment_intent"), table_name="refunds", schema="stripe")
    op.drop_table("refunds", schema="stripe")
    op.drop_table("products", schema="stripe")
    op.drop_index(op.f("ix_prices_product"), table_name="prices", schema="stripe")
    op.drop_index(op.f("ix_prices_lookup_key"), table_name="prices", schema="stripe")
    op.drop_table("prices", schema="stripe")
    op.drop_index(
        op.f("ix_payment_intents_reference"), table_name="payment_intents", schema="stripe"
    )
    op.drop_index("ix_payment_intents_newest", table_name="payment_intents", schema="stripe")
    op.drop_index("ix_payment_intents_customer", table_name="payment_intents", schema="stripe")
    op.drop_table("payment_intents", schema="stripe")
    op.drop_table("customers", schema="stripe")
    op.drop_index(
        op.f("ix_checkout_sessions_reference"), table_name="checkout_sessions", schema="stripe"
    )
    op.drop_index(
        op.f("ix_checkout_sessions_payment_intent"), table_name="checkout_sessions", schema="stripe"
    )
    op.drop_table("checkout_sessions", schema="stripe")
    op.drop_index(
        "uq_open_payables_slot",
        table_name="open_payables",
        postgresql_where=sa.text("closed_at is null"),
    )
    op.drop_index(op.f("ix_open_payables_stripe_id"), table_name="open_payables")
    op.drop_table("open_payables")
    op.drop_table("installation")
    op.drop_index(op.f("ix_customer_links_stripe_customer_id"), table_name="customer_links")
    op.drop_table("customer_links")
    op.drop_index("ix_bookings_user_id_created_at", table_name="bookings")
    op.drop_index("ix_bookings_created_at", table_name="bookings")
    op.drop_table("bookings")
    op.execute("drop sequence stripe.ticket")
    op.execute("drop schema stripe")
