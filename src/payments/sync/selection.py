"""Which rows of the inbox are meant: by id, object, type, state, error or time."""

from typing import Annotated, Final, Literal

from pydantic import Field
from sqlalchemy import ColumnElement, Subquery, TextClause, case, or_, select, text

from payments.core.schemas import Body, Moment, ObjectId
from payments.sync.inbox import StripeEvent

State = Literal["pending", "postponed", "applied", "ignored", "dead"]
STATE: Final[ColumnElement[str]] = case(
    (StripeEvent.outcome.is_not(None), StripeEvent.outcome),
    (StripeEvent.error.is_not(None), "postponed"),
    else_="pending",
)

Names = Annotated[list[ObjectId], Field(max_length=100)]


# Most events were applied. What else there may be is found by small indexes, whose conditions
# these are; only such rows have an error.
_DUE: Final = text("not_before is not null")
RARE: Final[dict[str, TextClause]] = {
    "pending": _DUE,
    "postponed": _DUE,
    "dead": text("outcome = 'dead'"),
}


class Selection(Body):
    """Rows of the inbox that match every field given; in a field, any of its values."""

    id: Names = Field([], description="of the event, `evt_…`")
    object_id: Names = Field([], description="of what the event is about, `pi_…`")
    type: Names = Field([], description="`refund.updated`; a `*` at its end stands for any rest")
    state: list[State] = Field([], max_length=5)
    error: ObjectId | None = Field(None, description="a part of the error's text")
    since: Moment | None = Field(None, description="received at this time or later")
    until: Moment | None = Field(None, description="received before this time")

    @property
    def empty(self) -> bool:
        return not any(getattr(self, name) for name in Selection.model_fields)

    def conditions(self) -> list[ColumnElement[bool]]:
        event = StripeEvent
        found: list[ColumnElement[bool]] = [
            column.in_(values)
            for column, values in (
                (event.id, self.id), (event.object_id, self.object_id), (STATE, self.state),
            )
            if values
        ]  # fmt: skip
        rare = RARE if self.error is not None else self.state
        if rare and RARE.keys() >= set(rare):
            found.append(or_(*(RARE[state] for state in rare)))
        if self.type:
            found.append(or_(*map(_of_type, self.type)))
        if self.error is not None:
            found.append(event.error.icontains(self.error, autoescape=True))
        if self.since is not None:
            found.append(event.received_at >= self.since)
        if self.until is not None:
            found.append(event.received_at < self.until)
        return found


def _of_type(pattern: str) -> ColumnElement[bool]:
    if pattern.endswith("*"):
        return StripeEvent.type.startswith(pattern[:-1], autoescape=True)
    return StripeEvent.type == pattern


def listed(selection: Selection) -> Subquery:
    """Rows of the inbox in the shape that lists have; their place is when they were received."""
    event = StripeEvent
    columns = (
        event.id, event.type, event.object_id, STATE.label("state"), event.attempts, event.error,
        event.received_at, event.done_at, event.received_at.label("created_at"),
    )  # fmt: skip
    return select(*columns).where(*selection.conditions()).subquery()
