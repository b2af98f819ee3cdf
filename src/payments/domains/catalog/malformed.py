"""An alert whenever Stripe shows a product on sale whose metadata cannot be read."""

from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.telemetry import alert
from payments.domains.catalog.facts import read_facts
from payments.domains.catalog.tables import PRODUCT, Product
from payments.sync.resources import Observed

ROOT: Final = f"{PRODUCT.name}:"


async def roots(_: AsyncConnection, observed: Observed) -> set[str]:
    """A product concerns itself."""
    return {f"{ROOT}{product['id']}" for product in observed.get(PRODUCT.name, ())}


async def settle(tx: AsyncConnection, roots: frozenset[str], _: datetime) -> None:
    ids = sorted(root.removeprefix(ROOT) for root in roots if root.startswith(ROOT))
    if not ids:
        return
    on_sale = Product.active.is_(True) & ~Product.deleted
    query = select(Product.id, Product.metadata_).where(Product.id.in_(ids), on_sale)
    for id, metadata in await tx.execute(query):
        for problem in read_facts(metadata).problems:
            alert("product_metadata", "A product's metadata cannot be read", id=id, problem=problem)
