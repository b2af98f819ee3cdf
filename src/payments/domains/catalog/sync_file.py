"""`payments catalog apply`: makes Stripe's products and prices agree with a TOML file."""

import hashlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

from payments.context import Context
from payments.domains.catalog.file import SHIPPED, CatalogFileInvalid, Catalogue, Entry, read
from payments.domains.catalog.planning import Change, holds, plan
from payments.domains.catalog.tables import PRICE, PRODUCT
from payments.domains.payables import APP
from payments.sync import observe
from payments.sync.apply import Observation, apply

__all__ = [
    "SHIPPED", "CatalogFileInvalid", "Catalogue", "Entry", "archive", "carry_out", "push", "read",
]  # fmt: skip


async def push(ctx: Context, entries: Iterable[Entry]) -> AsyncIterator[tuple[Entry, str]]:
    """Apply entries one by one; yields each with what was done: created, updated or unchanged."""
    for change in await plan(ctx, list(entries)):
        await carry_out(ctx, change)
        yield change.entry, change.done


async def carry_out(ctx: Context, change: Change) -> None:
    """Make one entry true. What Stripe has of it is mirrored even if nothing changes."""
    await apply(ctx.sync, [seen for seen in (change.product, change.price) if seen])
    product = await _ensure_product(ctx, change)
    price = await _ensure_price(ctx, change)
    if product.get("default_price") != price:
        await _update(ctx, change.id, {"default_price": price})
    if change.price and not change.keeps_price and change.price.object["product"] == change.id:
        await _archive_price(ctx, change.price.id)


async def archive(ctx: Context, seen: Observation) -> None:
    """Take a product or a price off sale. It is never deleted: what was sold goes on naming it."""
    if seen.resource is PRICE:
        await _archive_price(ctx, seen.id)
    else:
        await _update(ctx, seen.id, {"active": False})


async def _ensure_product(ctx: Context, change: Change) -> dict[str, Any]:
    wanted = change.attributes
    if change.product is None:
        given = {name: value for name, value in wanted.items() if value != ""}
        given["metadata"] = {name: value for name, value in wanted["metadata"].items() if value}
        return await observe.converge(
            ctx.sync,
            PRODUCT,
            lambda c, options: c.v1.products.create_async({"id": change.id, **given}, options),
            key=_key("create", change.id, wanted),
            holds=lambda product: not product.get("deleted"),
        )
    found = dict(change.product.object)
    if all(holds(found, name, value) for name, value in wanted.items()):
        return found
    return await _update(ctx, change.id, wanted)


async def _update(ctx: Context, id: str, wanted: dict[str, Any]) -> dict[str, Any]:
    return await observe.converge(
        ctx.sync,
        PRODUCT,
        lambda c, options: c.v1.products.update_async(id, wanted, options),
        key=_key("update", id, wanted),
        holds=lambda found: all(holds(found, name, value) for name, value in wanted.items()),
    )


async def _ensure_price(ctx: Context, change: Change) -> str:
    """The id of the active price that holds the entry's key: the one there is, else a new one,
    which takes the key over.
    """
    if change.price is None or not change.keeps_price:
        return await _make_price(ctx, change)
    id = change.price.id
    if not change.price.object["active"]:
        await observe.converge(
            ctx.sync,
            PRICE,
            lambda c, options: c.v1.prices.update_async(id, {"active": True}, options),
            key=_key("offer", id, None),
            holds=lambda price: bool(price["active"]),
        )
    return id


async def _make_price(ctx: Context, change: Change) -> str:
    entry, old = change.entry, change.price.id if change.price else None
    params: dict[str, Any] = {
        "product": change.id,
        "unit_amount": entry.unit_amount,
        "currency": entry.currency,
        "lookup_key": entry.key,
        "transfer_lookup_key": True,
        "metadata": {"app": APP},
    }
    if entry.recurring:
        params["recurring"] = {"interval": entry.interval, "interval_count": entry.interval_count}
    made = await observe.converge(
        ctx.sync,
        PRICE,
        lambda c, options: c.v1.prices.create_async(params, options),
        key=_key("price", entry.key, {**params, "old": old}),
        holds=lambda price: price["active"] and price["lookup_key"] == entry.key,
    )
    return str(made["id"])


async def _archive_price(ctx: Context, id: str) -> None:
    await observe.converge(
        ctx.sync,
        PRICE,
        lambda c, options: c.v1.prices.update_async(id, {"active": False}, options),
        key=_key("archive", id, None),
        holds=lambda price: not price["active"],
    )


def _key(what: str, id: str, content: Any) -> str:
    """The same content under the same name is the same write; a catalogue has no rows of ours."""
    digest = hashlib.sha256(repr(content).encode()).hexdigest()[:32]
    return f"catalog:{what}:{id}:{digest}"
