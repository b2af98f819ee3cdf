"""What every request body and every id in a request has in common."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
)

NUL = "\0"

ObjectId = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00]*$")]
"""An id or a reference, as a caller sends it. Stripe's are at most 255 characters long."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
END: Final = datetime(9000, 1, 1, tzinfo=UTC)
Moment = Annotated[AwareDatetime, Field(ge=EPOCH, lt=END)]
"""A time with a zone, within what Unix seconds and PostgreSQL can both hold."""

EMAIL_PATTERN = r"^[^@\s\x00]+@[^@\s\x00]+\.[^@\s\x00]+$"
"""Looser than any standard: it keeps out what Stripe would refuse at every payment."""
Email = Annotated[str, StringConstraints(max_length=320, pattern=EMAIL_PATTERN)]


class Body(BaseModel):
    """A request body: unknown fields are refused, and so is text that PostgreSQL cannot store."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*")
    @classmethod
    def storable(cls, value: Any) -> Any:
        if isinstance(value, str) and NUL in value:
            raise ValueError("may not hold a NUL character")
        return value
