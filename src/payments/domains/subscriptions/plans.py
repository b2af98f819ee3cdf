"""Plans: prices of the catalogue that recur, with what their product promises."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.errors import Invalid
from payments.domains.catalog import tables as catalog
from payments.domains.catalog.facts import Facts, read_facts


@dataclass(frozen=True, slots=True)
class Plan:
    """A price to subscribe to."""

    price: str
    product: str
    name: str
    facts: Facts


async def find_plan(tx: AsyncConnection, named: str) -> Plan:
    """The plan that a caller names by a price's id or lookup key, or by a product's id.

    Raises:
        Invalid: nothing on sale is called that, it has several prices, or it is bought only once.
    """
    rows = await catalog.found(tx, named)
    if not rows:
        raise Invalid(
            f"product_id: nothing on sale is called {named!r}; send a price's id or lookup key, or "
            "a product's id, as GET /stripe/products has them"
        )
    recurring = [row for row in rows if row.type == "recurring"]
    if not recurring:
        raise Invalid(f"product_id: {named!r} is bought once, and not subscribed to")
    return _plan(named, recurring)


def _plan(named: str, rows: list[Row[Any]]) -> Plan:
    row = rows[0]
    if len(rows) > 1 and row.id != row.default_price:
        known = ", ".join(row.lookup_key or row.id for row in rows)
        raise Invalid(f"product_id: {named!r} has several prices; send one of {known}")
    return Plan(row.id, str(row.product), str(row.name), read_facts(row.facts))
