"""GET /stripe/products."""

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy import select

from payments.context import Ctx
from payments.core import errors, money, paging
from payments.core.paging import Page
from payments.core.principal import Authenticated
from payments.domains.catalog.facts import CreditType, read_facts
from payments.domains.catalog.tables import Price, Product

router = APIRouter(prefix="/stripe", tags=["catalogue"])


class PriceOut(BaseModel):
    """A price of a product; `unit_amount` in minor units."""

    id: str = Field(examples=["price_1SAbCd"])
    lookup_key: str | None = Field(examples=["menu_adult"])
    unit_amount: int | None = Field(examples=[5500])
    amount: str | None = Field(description="for people", examples=["$55.00"])
    currency: str = Field(examples=["usd"])
    type: str = Field(examples=["one_time"])
    interval: str | None = Field(description="null where it is paid once", examples=["month"])
    interval_count: int | None


class ProductOut(BaseModel):
    """A product with its active prices, and what its metadata says: the credits that one of it
    brings (null where that cannot be read), what its owner may use, and which plan it is.
    """

    object: Literal["product"] = "product"
    id: str = Field(examples=["payments_menu_adult"])
    name: str
    description: str | None
    metadata: dict[str, Any]
    credits: int | None = Field(examples=[1000])
    credit_type: CreditType
    feature_flags: list[str] = Field(examples=[["ai_generation", "image_processing"]])
    plan_tier: str | None = Field(examples=["pro"])
    plan_group: str | None = Field(
        description="of the plans of a group one has one at most", examples=["plans"]
    )
    trial_days: int = Field(description="given once to a user and plan group", examples=[14])
    default_price: str | None = Field(examples=["price_1SAbCd"])
    prices: list[PriceOut]


@router.get("/products", responses=errors.problems(errors.Unauthenticated, errors.Invalid))
async def list_products(
    ctx: Ctx,
    who: Authenticated,  # noqa: ARG001 - any principal may look, nobody else
    limit: paging.Limit = 100,
    starting_after: paging.StartingAfter = None,
) -> Page[ProductOut]:
    """What is for sale, as Stripe has it."""
    async with ctx.db.transaction() as tx:
        query = select(Product).where(Product.active.is_(True), ~Product.deleted)
        table = Product.__table__
        rows, more = await paging.page(
            tx, query, table, limit=limit, starting_after=starting_after, visible=query
        )
        active = select(Price).where(
            Price.product.in_([row.id for row in rows]), Price.active.is_(True), ~Price.deleted
        )
        prices = (await tx.execute(active.order_by(Price.lookup_key, Price.id))).all()
    return Page(
        data=[_shown(row, [price for price in prices if price.product == row.id]) for row in rows],
        has_more=more,
        url="/api/v1/stripe/products",
    )


def _shown(product: Any, prices: list[Any]) -> ProductOut:
    facts = read_facts(product.metadata)
    told = ("credits", "credit_type", "plan_tier", "plan_group", "trial_days")
    return ProductOut(
        **{name: getattr(product, name) for name in ("id", "name", "description", "metadata")},
        **{name: getattr(facts, name) for name in told},
        feature_flags=list(facts.feature_flags),
        default_price=product.default_price,
        prices=[
            PriceOut(
                **{
                    name: getattr(price, name) for name in PriceOut.model_fields if name != "amount"
                },
                amount=(
                    price.unit_amount is not None
                    and money.display(price.unit_amount, price.currency)
                )
                or None,
            )
            for price in prices
        ],
    )
