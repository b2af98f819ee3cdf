"""`payments catalog apply`: makes Stripe's products and prices agree with a TOML file."""

import hashlib
import tomllib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from payments.context import Context
from payments.core.errors import explain
from payments.core.money import Money, ensure_chargeable
from payments.domains.catalog.tables import PRICE, PRODUCT
from payments.domains.payables import APP
from payments.sync import observe
from payments.sync.apply import Observation, apply

SHIPPED: Final = Path(__file__).with_name("catalog.toml")

Currency = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[A-Za-z]{3}$")]
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")]


class CatalogFileInvalid(Exception):
    """The catalogue file cannot be used; the message says why."""


class Entry(BaseModel):
    """One product with one price. `key` is the price's lookup_key and part of the product's id."""

    model_config = ConfigDict(extra="forbid", strict=True)

    key: Key
    name: str
    description: str | None = None
    unit_amount: int
    currency: Currency | None = None
    metadata: dict[str, str] = {}


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
        CatalogFileInvalid: no file, no TOML, an unknown field, an amount that cannot be charged.
    """
    try:
        found = Catalogue.model_validate(tomllib.loads(path.read_text()))
        entries = [
            entry.model_copy(update={"currency": entry.currency or found.currency or currency})
            for entry in found.product
        ]
        for entry in entries:
            ensure_chargeable(entry.unit_amount, str(entry.currency))
    except ValidationError as exc:
        raise CatalogFileInvalid(f"{path}: {explain([dict(e) for e in exc.errors()])}") from None
    except Exception as exc:
        raise CatalogFileInvalid(f"{path}: {exc}") from exc
    return entries


async def push(ctx: Context, entries: Iterable[Entry]) -> AsyncIterator[tuple[Entry, str]]:
    """Apply entries one by one; yields each with what was done: created, updated or unchanged."""
    for entry in entries:
        yield entry, await _push(ctx, entry)


async def _push(ctx: Context, entry: Entry) -> str:
    product = f"{APP}_{entry.key}"
    wanted = {
        "name": entry.name,
        "description": entry.description or "",
        "metadata": {"app": APP, "key": entry.key, **entry.metadata},
        "active": True,
    }
    done = await _push_product(ctx, product, wanted)
    money = Money(entry.unit_amount, str(entry.currency))
    current = await _current_price(ctx, entry.key)
    if current and current["active"] and _says(current, product, money):
        return done
    await _replace_price(ctx, entry.key, product, money, current["id"] if current else None)
    return "updated" if done == "unchanged" else done


async def _push_product(ctx: Context, id: str, wanted: dict[str, Any]) -> str:
    found = await observe.refresh(ctx.sync, PRODUCT, id)
    if found.get("deleted"):
        given = {name: value for name, value in wanted.items() if value != ""}
        await observe.converge(
            ctx.sync,
            PRODUCT,
            lambda c, options: c.v1.products.create_async({"id": id, **given}, options),
            key=_key("create", id, wanted),
            holds=lambda product: not product.get("deleted"),
        )
        return "created"
    if _is(found, wanted):
        return "unchanged"
    await observe.converge(
        ctx.sync,
        PRODUCT,
        lambda c, options: c.v1.products.update_async(id, wanted, options),
        key=_key("update", id, wanted),
        holds=lambda product: _is(product, wanted),
    )
    return "updated"


def _is(product: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(_holds(product, name, value) for name, value in wanted.items())


def _holds(found: dict[str, Any], name: str, value: Any) -> bool:
    """Whether an object says what we want; what else stands in its metadata is not ours."""
    has = found.get(name)
    if isinstance(value, dict):
        return value.items() <= dict(has or {}).items()
    return bool((has or "") == value)


async def _current_price(ctx: Context, lookup_key: str) -> dict[str, Any] | None:
    """The price that holds a lookup key now; Stripe lets only one hold it."""
    number = await observe.ticket(ctx.db)
    listed = await ctx.stripe.call(lambda c: c.v1.prices.list_async({"lookup_keys": [lookup_key]}))
    found = listed.object["data"]
    await apply(ctx.sync, [Observation(PRICE, price, number) for price in found])
    return found[0] if found else None


def _says(price: dict[str, Any], product: str, money: Money) -> bool:
    return (price["product"], price["unit_amount"], price["currency"]) == (product, *money)


async def _replace_price(
    ctx: Context, lookup_key: str, product: str, money: Money, old: str | None
) -> None:
    """An amount never changes: a new price takes over the lookup key, the old one is archived."""
    await observe.converge(
        ctx.sync,
        PRICE,
        lambda c, options: c.v1.prices.create_async(
            {
                "product": product,
                "unit_amount": money.amount,
                "currency": money.currency,
                "lookup_key": lookup_key,
                "transfer_lookup_key": True,
                "metadata": {"app": APP},
            },
            options,
        ),
        key=_key("price", lookup_key, {"product": product, "money": money, "old": old}),
        holds=lambda price: price["active"] and price["lookup_key"] == lookup_key,
    )
    if old is not None:
        await observe.converge(
            ctx.sync,
            PRICE,
            lambda c, options: c.v1.prices.update_async(old, {"active": False}, options),
            key=_key("archive", old, None),
            holds=lambda price: not price["active"],
        )


def _key(what: str, id: str, content: Any) -> str:
    """The same content under the same name is the same write; a catalogue has no rows of ours."""
    digest = hashlib.sha256(repr(content).encode()).hexdigest()[:32]
    return f"catalog:{what}:{id}:{digest}"
