"""The catalogue as a file: TOML, checked before anything is done with it."""

import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from payments.core.errors import explain
from payments.core.money import Money, ensure_chargeable
from payments.domains.catalog.facts import read_facts

SHIPPED: Final = Path(__file__).with_name("catalog.toml")

LONGEST: Final = {"day": 1095, "week": 156, "month": 36, "year": 3}
"""Stripe bills every three years at least."""

Currency = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[A-Za-z]{3}$")]
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
Name = Annotated[str, Field(pattern=r"\S")]
Fact = Annotated[str, Field(pattern=r"^[^\[\]]{1,40}$")]
OURS: Final = {"app", "key"}
"""What every product's metadata says beside the file's, by which it is known again."""
MOST_FACTS: Final = 50 - len(OURS)
"""Stripe keeps 50 of them, with names of 40 characters and values of 500."""


class CatalogFileInvalid(Exception):
    """The catalogue file cannot be used; the message says why."""


class Entry(BaseModel):
    """One product with one price. `key` is the price's lookup_key and part of the product's id;
    with an `interval` it is a subscription's.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    key: Key
    name: Name
    description: str | None = None
    unit_amount: int
    currency: Currency | None = None
    interval: Literal["day", "week", "month", "year"] | None = None
    interval_count: int = Field(1, ge=1)
    metadata: dict[Fact, Annotated[str, Field(max_length=500)]] = Field({}, max_length=MOST_FACTS)

    @model_validator(mode="after")
    def consistent(self) -> "Entry":
        most = LONGEST[self.interval] if self.interval else 1
        if self.interval_count > most:
            raise ValueError(f"{self.key}: interval_count is {most} at most, with this interval")
        if taken := sorted(OURS & self.metadata.keys()):
            raise ValueError(
                f"{self.key}: metadata {', '.join(taken)} is ours to say; leave it out"
            )
        if problems := read_facts(self.metadata).problems:
            raise ValueError(f"{self.key}: {'; '.join(problems)}")
        return self

    @property
    def money(self) -> Money:
        return Money(self.unit_amount, str(self.currency))

    @property
    def recurring(self) -> tuple[str, int] | None:
        return (self.interval, self.interval_count) if self.interval else None


class Catalogue(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    currency: Currency | None = None
    product: list[Entry]

    @model_validator(mode="after")
    def consistent(self) -> "Catalogue":
        keys = [entry.key for entry in self.product]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise ValueError(f"each key once: {', '.join(sorted(twice))}")
        return self


def read(path: Path, *, currency: str = "usd") -> list[Entry]:
    """Read and check a catalogue; `currency` is of the prices that name none.

    Raises:
        CatalogFileInvalid: no file, no TOML, an unknown field, an amount that cannot be charged,
            metadata that cannot be read.
    """
    try:
        found = Catalogue.model_validate(tomllib.loads(path.read_text()))
        entries = [
            entry.model_copy(update={"currency": entry.currency or found.currency or currency})
            for entry in found.product
        ]
        for entry in entries:
            ensure_chargeable(*entry.money)
    except ValidationError as exc:
        raise CatalogFileInvalid(f"{path}: {explain([dict(e) for e in exc.errors()])}") from None
    except Exception as exc:
        raise CatalogFileInvalid(f"{path}: {exc}") from exc
    return entries
