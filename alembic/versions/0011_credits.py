"""Credit accounts, lots, the ledger that moves them, grants that wait for their user; purchases."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

POST = """
create function credit_entry_is_posted() returns trigger language plpgsql as $$
begin
    if new.lot is not null then
        update credit_lots set remaining = remaining + new.amount
        where id = new.lot and user_id = new.user_id;
        if not found then
            raise exception 'lot % is not of account %', new.lot, new.user_id;
        end if;
    end if;
    update credit_accounts
    set balance = balance + case when new.lot is null then 0 else new.amount end,
        debt = debt - case when new.lot is null then new.amount else 0 end
    where user_id = new.user_id
    returning balance, debt into new.balance_after, new.debt_after;
    return new;
end $$
"""
POSTED = """
create trigger posted before insert on credit_entries
    for each row execute function credit_entry_is_posted()
"""

REFUSE = """
create function credits_move_by_entries_alone() returns trigger language plpgsql as $$
begin
    raise exception 'credits are moved by entries alone, and those are append-only';
end $$
"""
APPEND_ONLY = """
create trigger append_only before update or delete or truncate on credit_entries
    for each statement execute function credits_move_by_entries_alone()
"""
# Within the trigger that posts an entry the depth is 1.
BY_ENTRIES = """
create trigger by_entries_{verb} before {event} on {table}
    for each row when (pg_trigger_depth() = 0 and ({when}))
    execute function credits_move_by_entries_alone()
"""
GUARDS = (
    ("credit_accounts", "insert", "insert", "new.balance <> 0 or new.debt <> 0"),
    ("credit_accounts", "update", "update of balance, debt", "true"),
    ("credit_lots", "insert", "insert", "new.remaining <> 0"),
    ("credit_lots", "update", "update of user_id, source, remaining, basis", "true"),
)

# One may be left in the midst of a posting, not at its end.
ONE = """
create function credit_balance_or_debt() returns trigger language plpgsql as $$
begin
    if exists (select from credit_accounts
               where user_id = new.user_id and balance > 0 and debt > 0) then
        raise exception 'account % has a balance and a debt', new.user_id;
    end if;
    return null;
end $$
"""
BALANCE_OR_DEBT = """
create constraint trigger balance_or_debt after update on credit_accounts
    deferrable initially deferred for each row execute function credit_balance_or_debt()
"""

MOMENT = postgresql.TIMESTAMP(timezone=True)
KINDS = "'grant', 'spend', 'expiry', 'claw_back', 'reinstatement', 'debt', 'debt_payment'"


def upgrade() -> None:
    _accounts()
    _lots()
    _entries()
    _waiting()
    _purchases()
    op.execute(POST)
    op.execute(POSTED)
    op.execute(REFUSE)
    op.execute(APPEND_ONLY)
    for table, verb, event, when in GUARDS:
        op.execute(BY_ENTRIES.format(table=table, verb=verb, event=event, when=when))
    op.execute(ONE)
    op.execute(BALANCE_OR_DEBT)


def _accounts() -> None:
    op.create_table(
        "credit_accounts",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("balance", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("debt", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("balance >= 0", name=op.f("ck_credit_accounts_balance")),
        sa.CheckConstraint("debt >= 0", name=op.f("ck_credit_accounts_debt")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_credit_accounts")),
    )


def _lots() -> None:
    op.create_table(
        "credit_lots",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("credit_type", sa.Text(), nullable=False),
        sa.Column("granted", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("basis", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "remaining between 0 and granted", name=op.f("ck_credit_lots_remaining")
        ),
        sa.CheckConstraint("target between 0 and granted", name=op.f("ck_credit_lots_target")),
        sa.CheckConstraint(
            "credit_type in ('payg', 'subscription', 'manual')",
            name=op.f("ck_credit_lots_credit_type"),
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["credit_accounts.user_id"], name=op.f("fk_credit_lots_user_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_lots")),
        sa.UniqueConstraint("source", name=op.f("uq_credit_lots_source")),
    )
    op.create_index(
        "ix_credit_lots_left", "credit_lots", ["user_id"], postgresql_where=sa.text("remaining > 0")
    )
    op.create_index(
        "ix_credit_lots_ending",
        "credit_lots",
        ["expires_at"],
        postgresql_where=sa.text("remaining > 0 and expires_at is not null"),
    )


def _entries() -> None:
    op.create_table(
        "credit_entries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("balance_after", sa.BigInteger(), nullable=False),
        sa.Column("debt_after", sa.BigInteger(), nullable=False),
        sa.Column("lot", sa.BigInteger(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint(f"kind in ({KINDS})", name=op.f("ck_credit_entries_kind")),
        sa.CheckConstraint(
            "(kind in ('grant', 'reinstatement', 'debt_payment')) = (amount > 0) and amount <> 0",
            name=op.f("ck_credit_entries_amount"),
        ),
        sa.CheckConstraint(
            "(kind in ('debt', 'debt_payment')) = (lot is null)",
            name=op.f("ck_credit_entries_lot"),
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["credit_accounts.user_id"], name=op.f("fk_credit_entries_user_id")
        ),
        sa.ForeignKeyConstraint(["lot"], ["credit_lots.id"], name=op.f("fk_credit_entries_lot")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_entries")),
        sa.UniqueConstraint("source", "n", name=op.f("uq_credit_entries_source_n")),
    )
    op.create_index("ix_credit_entries_user_id", "credit_entries", ["user_id", sa.text("id desc")])
    op.create_index("ix_credit_entries_cause", "credit_entries", ["cause"])
    op.create_index("ix_credit_entries_lot", "credit_entries", ["lot"])
    op.create_index(
        "ix_credit_entries_debts",
        "credit_entries",
        ["user_id", "source"],
        postgresql_where=sa.text("lot is null"),
    )


def _waiting() -> None:
    op.create_table(
        "waiting_grants",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("credit_type", sa.Text(), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("basis", postgresql.JSONB(), nullable=False),
        sa.Column("metadata", postgresql.JSONB(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("alerted_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_waiting_grants")),
    )
    op.create_index(op.f("ix_waiting_grants_customer"), "waiting_grants", ["customer"])


def _purchases() -> None:
    op.create_table(
        "purchases",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("price", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("credit_type", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "quantity > 0 and unit_amount > 0 and credits >= 0", name=op.f("ck_purchases_basis")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purchases")),
    )
    op.create_index("ix_purchases_user_id", "purchases", ["user_id", sa.text("created_at desc")])


def downgrade() -> None:
    op.drop_table("purchases")
    op.drop_table("waiting_grants")
    op.drop_table("credit_entries")
    op.drop_table("credit_lots")
    op.drop_table("credit_accounts")
    op.execute("drop function credit_entry_is_posted")
    op.execute("drop function credits_move_by_entries_alone")
    op.execute("drop function credit_balance_or_debt")
