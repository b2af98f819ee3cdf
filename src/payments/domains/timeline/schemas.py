"""What a timeline says."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

Kind = Literal[
    "payment", "page", "call", "event", "effect", "message", "act", "refund", "dispute",
    "subscription", "invoice", "credits",
]  # fmt: skip


class Entry(BaseModel):
    """One thing that happened. What is told of an event, a message or a refund is its state now."""

    at: datetime
    kind: Kind = Field(
        description="payment, page, refund, dispute, subscription, invoice: what there is; "
        "credits: how they moved; call: what Stripe was asked, "
        "with Stripe's request id; event: what Stripe sent; effect: what followed; message: who "
        "was told; act: what a person or the service did"
    )
    id: str | None = Field(description="of the thing itself", examples=["evt_1SAbCd"])
    text: str = Field(examples=["payment_intent.succeeded arrived; it was processed 0.103 s later"])
    facts: dict[str, Any] = Field(description="its particulars; empty for users")


class Explained(BaseModel):
    """A payment, and why it is in its state."""

    id: str = Field(examples=["pi_3SAbCd"])
    status: str = Field(examples=["failed"])
    explanation: str


class Timeline(BaseModel):
    """What happened, oldest first."""

    object: Literal["timeline"] = "timeline"
    id: str = Field(description="what was asked for")
    explanation: str = Field(description="one sentence", examples=["$100.00 were received."])
    payments: list[Explained] = Field(description="those that it is about, newest first")
    data: list[Entry]
    has_more: bool = Field(description="there was more before; ask with a larger limit")
