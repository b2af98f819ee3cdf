"""What the credit endpoints take and give. Credits are whole numbers."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints
from sqlalchemy import Row

from payments.core.paging import Page
from payments.core.schemas import Body
from payments.domains.credits.tables import CreditType, Kind

MOST: Final = 1_000_000_000

Reference = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class CreditsMove(Body):
    """How many credits, and why. The same `reference` again is carried out once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"amount": 10, "reason": "an image", "reference": "job-4711"}]
        },
    )

    amount: StrictInt = Field(gt=0, le=MOST, description="a whole number", examples=[10])
    reason: str | None = Field(None, min_length=1, max_length=500, examples=["an image"])
    reference: Reference | None = Field(
        None, description="your own id of this; unique for a user and an endpoint"
    )


class EntryOut(BaseModel):
    """A line of the ledger; `amount` is negative for what was spent, ended or taken back."""

    object: Literal["credit_entry"] = "credit_entry"
    id: str = Field(examples=["ce_42"])
    kind: Kind | str = Field(examples=["spend"])
    amount: int = Field(examples=[-10])
    balance_after: int = Field(examples=[90])
    debt_after: int = Field(examples=[0])
    lot: str | None = Field(description="null where the debt moved", examples=["cl_7"])
    source: str = Field(description="whose credits", examples=["payment:pi_3SAbCd"])
    reference: str | None
    reason: str | None
    metadata: dict[str, Any]
    created_at: datetime


class LotOut(BaseModel):
    """Credits of one cause that can still be spent."""

    object: Literal["credit_lot"] = "credit_lot"
    id: str = Field(examples=["cl_7"])
    source: str = Field(examples=["payment:pi_3SAbCd"])
    credit_type: CreditType | str = Field(examples=["payg"])
    granted: int = Field(examples=[100])
    remaining: int = Field(examples=[90])
    expires_at: datetime | None
    created_at: datetime


class Moved(BaseModel):
    """What an act has written, and what was left after it."""

    balance: int = Field(examples=[90])
    debt: int = Field(examples=[0])
    entry: EntryOut = Field(description="the last of `entries`")
    entries: list[EntryOut] = Field(description="one a lot")


class Statement(Page[EntryOut]):
    """What a user has, in lots as they will be used, and how it came about, newest first."""

    user_id: str = Field(examples=["u-1"])
    balance: int = Field(examples=[90])
    debt: int = Field(description="taken back and not found; new credits pay it", examples=[0])
    lots: list[LotOut] = Field(description="the first hundred with something left")


def shown_entry(row: Row[Any]) -> EntryOut:
    names = EntryOut.model_fields.keys() - {"object", "id", "lot"}
    lot = f"cl_{row.lot}" if row.lot is not None else None
    return EntryOut(id=f"ce_{row.id}", lot=lot, **{name: getattr(row, name) for name in names})


def shown_lot(row: Row[Any]) -> LotOut:
    names = LotOut.model_fields.keys() - {"object", "id"}
    return LotOut(id=f"cl_{row.id}", **{name: getattr(row, name) for name in names})


def shown_act(rows: list[Row[Any]], source: str) -> Moved:
    """An act as it was answered first, from the entries that it caused, in their order."""
    entries = [shown_entry(row) for row in rows if row.source == source]
    last = rows[-1]
    return Moved(
        balance=last.balance_after, debt=last.debt_after, entry=entries[-1], entries=entries
    )
