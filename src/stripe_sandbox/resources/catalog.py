"""Products and prices."""

from decimal import Decimal

from stripe_sandbox.contract.errors import invalid, not_simulated, refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.money import known_currency


def _recurring_matches(price: Body, wanted: object) -> bool:
    recurring = price["recurring"] or {}
    return isinstance(wanted, dict) and all(recurring.get(k) == v for k, v in wanted.items())


def _is_among(name: str, body: Body, wanted: object) -> bool:
    return isinstance(wanted, list) and body[name] in wanted


products = Resource(
    "product",
    id_prefix="prod",
    search="active description metadata name shippable url",
    narrow={"ids": lambda wanted: ("id", wanted)},
    filters={"ids": lambda product, wanted: _is_among("id", product, wanted)},
)
prices = Resource(
    "price",
    id_prefix="price",
    param="price",
    search="active currency lookup_key metadata product type",
    narrow={"lookup_keys": lambda wanted: ("lookup_key", wanted)},
    filters={
        "lookup_keys": lambda price, wanted: _is_among("lookup_key", price, wanted),
        "recurring": _recurring_matches,
    },
)

_PRODUCT = (
    "active description images marketing_features metadata name package_dimensions shippable"
    " statement_descriptor tax_code unit_label url"
)
_HIGHEST = 999_999_999_999
_LONGEST = {"day": 1095, "week": 156, "month": 36, "year": 3}
_PRICE = "active lookup_key metadata nickname tax_behavior"


@products.on("post", "/v1/products", takes=f"{_PRODUCT} id type default_price_data")
def create_product(work: Work, params: Body) -> Body:
    if work.get("product", params.get("id")):
        raise refused("Product already exists.", code="resource_already_exists", param="id")
    product = new_product(work, params)
    if "default_price_data" in params:
        price = new_price(work, {**params["default_price_data"], "product": product["id"]})
        work.change(product, default_price=price["id"])
    return product


@products.acts("/v1/products/{id}", takes=f"{_PRODUCT} default_price")
def update_product(work: Work, product: Body, params: Body) -> None:
    if params.get("default_price"):
        price = work.find("price", params["default_price"], param="default_price")
        if price["product"] != product["id"]:
            text = f"The price {price['id']} does not belong to the product {product['id']}."
            raise refused(text, param="default_price")
    new = changes(product, params, f"{_PRODUCT} default_price")
    for name in ("images", "marketing_features"):
        if name in new:
            new[name] = new[name] or []
    work.announce("product.updated", product, **new, updated=work.now)


@products.on("delete", "/v1/products/{id}")
def delete_product(work: Work, id: str) -> Body:
    product = work.find("product", id)
    if any(work.every("price", product=id)):
        raise refused(
            "This product cannot be deleted because it has one or more user-created prices.",
            param="id",
        )
    work.emit("product.deleted", product)
    return work.delete(product, leave_trace=False)


@prices.on(
    "post",
    "/v1/prices",
    takes=f"{_PRICE} billing_scheme currency product product_data recurring transfer_lookup_key"
    " unit_amount unit_amount_decimal",
)
def create_price(work: Work, params: Body) -> Body:
    return new_price(work, params)


@prices.acts("/v1/prices/{price}", takes=f"{_PRICE} transfer_lookup_key")
def update_price(work: Work, price: Body, params: Body) -> None:
    if params.get("active") is False and _is_default(work, price):
        raise refused(
            "This price cannot be archived because it is the default price of its product."
        )
    _claim_lookup_key(work, params, besides=price)
    work.announce("price.updated", price, **changes(price, params, _PRICE))


def _is_default(work: Work, price: Body) -> bool:
    product = work.get("product", price["product"])
    return product is not None and product.get("default_price") == price["id"]


def new_product(work: Work, params: Body) -> Body:
    defaults = {"active": True, "type": "service", "images": [], "marketing_features": []}
    chosen = given(params, f"{_PRODUCT} type")
    product = work.create("product", id=params.get("id"), **{**defaults, **chosen})
    work.emit("product.created", product)
    return product


def new_price(work: Work, params: Body, *, at: str = "") -> Body:
    """A price, with its product where the product is described instead of named.

    The parameters are those of `POST /v1/prices`; `at` is where they stand in the request, such as
    `line_items[0][price_data]`.
    """
    param = f"{at}[{{}}]" if at else "{}"
    currency = known_currency(params["currency"], param=param.format("currency"))
    amount = _unit_amount(params, param=param.format("unit_amount"))
    _claim_lookup_key(work, params, besides=None)
    recurring = params.get("recurring")
    _require_interval(recurring, param=param.format("recurring"))
    defaults = {
        "active": True,
        "billing_scheme": "per_unit",
        "tax_behavior": "unspecified",
        "type": "recurring" if recurring else "one_time",
    }
    price = work.create(
        "price",
        **{**defaults, **given(params, f"{_PRICE} billing_scheme")},
        currency=currency,
        product=_product(work, params, param=param)["id"],
        recurring={"interval_count": 1, "usage_type": "licensed", **recurring}
        if recurring
        else None,
        unit_amount=int(amount) if amount == int(amount) else None,
        unit_amount_decimal=f"{amount.normalize():f}",
    )
    work.emit("price.created", price)
    return price


def _require_interval(recurring: Body | None, *, param: str) -> None:
    """At the longest three years."""
    count = (recurring or {}).get("interval_count", 1)
    if recurring and not 0 < count <= _LONGEST[recurring["interval"]]:
        text = "The price's billing period must be at least one interval and at most three years."
        raise invalid(text, param=f"{param}[interval_count]")


def _product(work: Work, params: Body, *, param: str) -> Body:
    if ("product" in params) == ("product_data" in params):
        text = "You must specify either `product` or `product_data` when creating a price."
        raise invalid(text, code="parameter_missing", param=param.format("product"))
    if "product" in params:
        return work.find("product", params["product"], param=param.format("product"))
    return new_product(work, {"active": params.get("active", True), **params["product_data"]})


def _unit_amount(params: Body, *, param: str) -> Decimal:
    if params.get("billing_scheme") == "tiered":
        raise not_simulated("tiered prices")
    if ("unit_amount" in params) == ("unit_amount_decimal" in params):
        text = "You must specify exactly one of `unit_amount` and `unit_amount_decimal`."
        raise invalid(text, code="parameter_missing", param=param)
    amount = Decimal(params["unit_amount" if "unit_amount" in params else "unit_amount_decimal"])
    if amount < 0:
        text = "This value must be greater than or equal to 0."
        raise invalid(text, code="parameter_invalid_integer", param=param)
    if amount > _HIGHEST:
        text = f"This value must be less than or equal to {_HIGHEST}."
        raise invalid(text, code="parameter_invalid_integer", param=param)
    return amount


def _claim_lookup_key(work: Work, params: Body, *, besides: Body | None) -> None:
    """A lookup key belongs to one price; it moves only when that is asked for."""
    key = params.get("lookup_key")
    holder = next(work.every("price", lookup_key=key), None) if key else None
    if holder is None or holder is besides:
        return
    if not params.get("transfer_lookup_key"):
        raise refused(
            f"A price (`{holder['id']}`) already uses that lookup key.",
            code="resource_already_exists",
            param="lookup_key",
        )
    work.announce("price.updated", holder, lookup_key=None)


def require_active(price: Body, *, param: str) -> None:
    if not price["active"]:
        text = "The price specified is inactive. This field only accepts active prices."
        raise invalid(text, param=param)
