"""What applying a catalogue would change at Stripe, in words; nothing is changed here."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from payments.context import Context
from payments.core.money import Money, display
from payments.domains.catalog.facts import read_facts
from payments.domains.catalog.file import Entry
from payments.domains.catalog.tables import PRICE, PRODUCT
from payments.domains.payables import APP
from payments.sync import observe
from payments.sync.apply import Observation
from payments.sync.resources import Resource, StripeObject

LOOKUP_KEYS: Final = 10
"""How many Stripe looks up at once."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry, and what Stripe has of it.

    Attributes:
        product: None where there is none, or it was deleted.
        price: the one that holds the entry's lookup key now; Stripe lets only one hold it.
    """

    entry: Entry
    product: Observation | None
    price: Observation | None

    @property
    def id(self) -> str:
        return product_id(self.entry.key)

    @property
    def attributes(self) -> dict[str, Any]:
        """What the product shall say."""
        return {
            "name": self.entry.name,
            "description": self.entry.description or "",
            "metadata": {**self.entry.metadata, "app": APP, "key": self.entry.key},
            "active": True,
        }

    @property
    def keeps_price(self) -> bool:
        """Whether the price costs what the entry does; no amount and no interval ever changes."""
        return self.price is not None and _terms(self.price.object) == (
            self.id, self.entry.money, self.entry.recurring,
        )  # fmt: skip

    @property
    def differences(self) -> list[str]:
        if self.product is None:
            return _of_lookup_key(self) if self.price else []
        words = [*_of_product(self.product.object, self.attributes), *_of_price(self)]
        default = self.product.object.get("default_price")
        if self.keeps_price and self.price is not None and default != self.price.id:
            words.append(f"default price: {default or 'none'} → {self.price.id}")
        return words

    @property
    def done(self) -> str:
        """What carrying it out does."""
        if self.product is None:
            return "created"
        return "updated" if self.differences else "unchanged"

    @property
    def cost(self) -> str:
        return _cost(self.entry.money, self.entry.recurring)


@dataclass(frozen=True, slots=True)
class Survey:
    """A whole file against a whole account.

    Attributes:
        strays: products on sale that an earlier file made, and this one does not name.
        leftovers: prices without a key, of an apply that ended before it had archived them.
        malformed: what the metadata of products on sale garbles, by product.
    """

    changes: Sequence[Change]
    strays: Sequence[Observation]
    leftovers: Sequence[Observation]
    malformed: Mapping[str, Sequence[str]]

    @property
    def agrees(self) -> bool:
        changed = any(change.done != "unchanged" for change in self.changes)
        return not (changed or self.strays or self.leftovers)


def product_id(key: str) -> str:
    return f"{APP}_{key}"


async def plan(ctx: Context, entries: Sequence[Entry]) -> list[Change]:
    """What each entry would change."""
    changes: list[Change] = []
    for start in range(0, len(entries), LOOKUP_KEYS):
        some = entries[start : start + LOOKUP_KEYS]
        ids, keys = [product_id(entry.key) for entry in some], [entry.key for entry in some]
        products = {seen.id: seen async for seen in _listed(ctx, PRODUCT, ids=ids)}
        prices = {
            seen.object["lookup_key"]: seen async for seen in _listed(ctx, PRICE, lookup_keys=keys)
        }
        changes += [
            Change(entry, products.get(product_id(entry.key)), prices.get(entry.key))
            for entry in some
        ]
    return changes


async def survey(ctx: Context, entries: Sequence[Entry]) -> Survey:
    """What applying the file would change, and what is odd at products that it does not name."""
    keys = {entry.key for entry in entries}
    ids = {product_id(key) for key in keys}
    on_sale = [seen async for seen in _listed(ctx, PRODUCT, active=True)]
    prices = [seen async for seen in _listed(ctx, PRICE, active=True)]
    garbled = {seen.id: read_facts(seen.object.get("metadata")).problems for seen in on_sale}
    return Survey(
        changes=await plan(ctx, entries),
        strays=[seen for seen in on_sale if (key := _key_of(seen)) and key not in keys],
        leftovers=[
            seen
            for seen in prices
            if _is_ours(seen) and seen.object["product"] in ids and not seen.object["lookup_key"]
        ],
        malformed={id: problems for id, problems in garbled.items() if problems},
    )


async def _listed(ctx: Context, resource: Resource, **query: Any) -> AsyncIterator[Observation]:
    async for page in observe.pages(ctx.sync, resource, limit=100, **query):
        for seen in page:
            yield seen


def _key_of(product: Observation) -> str | None:
    """The key of an entry that made this product; None for what others made."""
    key = (product.object.get("metadata") or {}).get("key")
    return str(key) if _is_ours(product) and key and product.id == product_id(key) else None


def _is_ours(seen: Observation) -> bool:
    return (seen.object.get("metadata") or {}).get("app") == APP


def holds(found: StripeObject, name: str, value: Any) -> bool:
    """Whether an object says what we want; what else stands in its metadata is not ours."""
    if isinstance(value, dict):
        return not _unlike(found.get(name), value)
    return bool((found.get(name) or "") == value)


def _unlike(metadata: Mapping[str, str] | None, wanted: Mapping[str, str]) -> dict[str, str]:
    """What is wanted and not there; an empty value is none, as at Stripe."""
    has = metadata or {}
    return {key: value for key, value in wanted.items() if has.get(key, "") != value}


def _terms(price: StripeObject) -> tuple[str, Money, tuple[str, int] | None]:
    every = price.get("recurring")
    return (
        price["product"],
        Money(price["unit_amount"], price["currency"]),
        (every["interval"], every["interval_count"]) if every else None,
    )


def _of_product(found: StripeObject, wanted: Mapping[str, Any]) -> list[str]:
    words = []
    for name in (name for name, value in wanted.items() if not holds(found, name, value)):
        if name == "active":
            words.append("archived → on sale")
        elif name == "metadata":
            has = found.get("metadata") or {}
            different = _unlike(has, wanted[name])
            words += [f"{k}: {has.get(k, 'none')} → {v or 'none'}" for k, v in different.items()]
        else:
            words.append(f"{name}: {found.get(name) or 'none'} → {wanted[name] or 'none'}")
    return words


def _of_price(change: Change) -> list[str]:
    if change.price is None:
        return [f"price: none → {change.cost}"]
    if not change.keeps_price:
        return _of_lookup_key(change)
    return [] if change.price.object["active"] else [f"{change.price.id}: archived → on sale"]


def _of_lookup_key(change: Change) -> list[str]:
    """The lookup key moves to a new price; its holder is archived, unless another product's."""
    assert change.price is not None
    product, money, recurring = _terms(change.price.object)
    end = "is archived" if product == change.id else f"of {product} goes on without its key"
    return [f"price: {_cost(money, recurring)} → {change.cost}; {change.price.id} {end}"]


def _cost(money: Money, recurring: tuple[str, int] | None) -> str:
    """`$29.99 / month`, `$9.00 / 2 weeks`."""
    if money.amount is None:
        return "an amount by tiers"
    if recurring is None:
        return display(*money)
    interval, count = recurring
    return f"{display(*money)} / {interval if count == 1 else f'{count} {interval}s'}"
