"""Credit accounts, lots and the ledger. The database keeps the sums: an entry moves the lot or the
debt that it names, and the account; nothing else may.
"""

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Base

CreditType = Literal["payg", "subscription", "manual"]
Kind = Literal[
    "grant", "spend", "expiry", "claw_back", "reinstatement", "debt", "debt_payment",
]  # fmt: skip


class CreditAccount(Base):
    """What a user may spend, or owes; one of the two is nothing. Its row is the account's lock."""

    __tablename__ = "credit_accounts"
    __table_args__ = (
        CheckConstraint("balance >= 0", name="balance"),
        CheckConstraint("debt >= 0", name="debt"),
    )

    user_id: Mapped[str] = mapped_column(primary_key=True)
    balance: Mapped[int] = mapped_column(server_default="0")
    debt: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime]


class CreditLot(Base):
    """What one cause has granted, and what is left of it.

    `source` names the cause: `payment:pi_…`, `invoice:in_…:il_…`, `manual:<uuid>`. `target` is what
    it is worth now: `granted`, less what was given back of its money. `basis` says what was bought
    and for how much; it is never changed.
    """

    __tablename__ = "credit_lots"
    __table_args__ = (
        CheckConstraint("remaining between 0 and granted", name="remaining"),
        CheckConstraint("target between 0 and granted", name="target"),
        CheckConstraint("credit_type in ('payg', 'subscription', 'manual')", name="credit_type"),
        Index("ix_credit_lots_left", "user_id", postgresql_where=text("remaining > 0")),
        Index(
            "ix_credit_lots_ending",
            "expires_at",
            postgresql_where=text("remaining > 0 and expires_at is not null"),
        ),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("credit_accounts.user_id"))
    source: Mapped[str] = mapped_column(unique=True)
    credit_type: Mapped[str]
    granted: Mapped[int]
    target: Mapped[int]
    remaining: Mapped[int] = mapped_column(server_default="0")
    expires_at: Mapped[datetime | None]
    basis: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class CreditEntry(Base):
    """A line of the ledger. Triggers post it and fill in what was left after it, and refuse to
    change or remove it.

    `source` is whose credits or debt it books, `cause` what led to it now: a grant may let an older
    refund take what it found nothing of then. Without a `lot` it moves the debt.
    """

    __tablename__ = "credit_entries"
    __table_args__ = (
        UniqueConstraint("source", "n"),
        CheckConstraint(
            "kind in ('grant', 'spend', 'expiry', 'claw_back', 'reinstatement', 'debt', "
            "'debt_payment')",
            name="kind",
        ),
        CheckConstraint(
            "(kind in ('grant', 'reinstatement', 'debt_payment')) = (amount > 0) and amount <> 0",
            name="amount",
        ),
        CheckConstraint("(kind in ('debt', 'debt_payment')) = (lot is null)", name="lot"),
        Index("ix_credit_entries_user_id", "user_id", text("id desc")),
        Index("ix_credit_entries_cause", "cause"),
        Index("ix_credit_entries_lot", "lot"),
        Index("ix_credit_entries_created_at", "created_at", postgresql_using="brin"),
        Index("ix_credit_entries_debts", "user_id", "source", postgresql_where=text("lot is null")),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("credit_accounts.user_id"))
    source: Mapped[str]
    n: Mapped[int] = mapped_column(Integer)
    cause: Mapped[str]
    kind: Mapped[str]
    amount: Mapped[int]
    balance_after: Mapped[int]
    debt_after: Mapped[int]
    lot: Mapped[int | None] = mapped_column(ForeignKey("credit_lots.id"))
    reference: Mapped[str | None]
    reason: Mapped[str | None]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata")
    principal: Mapped[str]
    created_at: Mapped[datetime]


class WaitingGrant(Base):
    """Credits of a Stripe customer that no user is yet; granted as soon as one is."""

    __tablename__ = "waiting_grants"

    source: Mapped[str] = mapped_column(primary_key=True)
    customer: Mapped[str] = mapped_column(index=True)
    credits: Mapped[int]
    credit_type: Mapped[str]
    expires_at: Mapped[datetime | None]
    basis: Mapped[dict[str, Any]]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata")
    since: Mapped[datetime]
    alerted_at: Mapped[datetime | None]


def root_of(user: str) -> str:
    """What orders everything that moves one account. Whoever grants or takes credits names it among
    his roots, and recomputes on it.
    """
    return f"credit_account:{user}"
