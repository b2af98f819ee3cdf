"""What customers may do in Stripe's portal: planned and applied, the merchant's own left alone."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from payments.context import Context
from payments.domains.catalog.facts import read_facts
from payments.domains.payables import APP
from payments.settings import Settings
from payments.stripe_api.service import options

MOST_PLANS: Final = 10
"""Stripe offers so many products at most."""
PRODUCTS: Final = "features.subscription_update.products"


@dataclass(frozen=True, slots=True)
class Intention:
    """What `ensure_configuration` would do.

    Attributes:
        id: the configuration in use; None where there is none yet.
        wanted: Stripe's parameters; None where the configuration in use is the merchant's own.
        differences: what would change, in words.
        why_no_plans: why customers cannot switch plans there.
        before: what the write is a change to, so that the same change twice is one write.
    """

    id: str | None
    wanted: dict[str, Any] | None
    differences: Sequence[str] = ()
    why_no_plans: str | None = None
    before: Any = None

    @property
    def done(self) -> str:
        if self.id is None:
            return "created"
        return "updated" if self.differences else "unchanged"


def configurations(ctx: Context, **query: Any) -> Any:
    return ctx.stripe.every(
        lambda c, params: c.v1.billing_portal.configurations.list_async(params), **query
    )


def is_ours(object: Mapping[str, Any]) -> bool:
    return (object["metadata"] or {}).get("app") == APP


async def plan_configuration(ctx: Context) -> Intention:
    """What would be done; a default configuration of the merchant's own stays untouched."""
    all_ = [found async for found in configurations(ctx)]
    active = [found for found in all_ if found["active"]]
    ours = next(filter(is_ours, active), None)
    default = next((found for found in active if found["is_default"]), ours)
    if default is not None and not is_ours(default):
        return Intention(str(default["id"]), None)
    plans, why = _offered(await _plans(ctx))
    wanted = _wanted(ctx.settings, plans)
    if ours is None:
        before = sorted(found["id"] for found in all_)
        return Intention(None, wanted, why_no_plans=why, before=before)
    return Intention(str(ours["id"]), wanted, _differences(ours, wanted), why, before=ours)


async def ensure_configuration(ctx: Context) -> tuple[str, str]:
    """Make sure that the portal can be opened, and offers what it should.

    Returns:
        The configuration's id, and what was done: created, updated or unchanged.
    """
    return await carry_out(ctx, await plan_configuration(ctx))


async def carry_out(ctx: Context, intention: Intention) -> tuple[str, str]:
    id, wanted, done = intention.id, intention.wanted, intention.done
    if id is None:
        assert wanted is not None
        key = _key("create", wanted, intention.before)
        made = await ctx.stripe.call(
            lambda c: c.v1.billing_portal.configurations.create_async(wanted, key)  # type: ignore[arg-type]  # a plain dict
        )
        return str(made.object["id"]), done
    if done == "updated":
        key = _key("update", wanted, intention.before)
        await ctx.stripe.call(
            lambda c: c.v1.billing_portal.configurations.update_async(id, wanted, key)  # type: ignore[arg-type]  # the same
        )
    return id, done


async def _plans(ctx: Context) -> list[Mapping[str, Any]]:
    """Prices of the catalogue's plans on sale, as Stripe has them, with their products."""
    listed = ctx.stripe.every(
        lambda c, params: c.v1.prices.list_async(params),
        active=True, type="recurring", expand=["data.product"], limit=100,
    )  # fmt: skip
    found = [
        price
        async for price in listed
        if is_ours(price) and price["lookup_key"] and price["product"].get("active")
    ]
    return sorted(found, key=lambda price: str(price["lookup_key"]))


def _offered(
    plans: Sequence[Mapping[str, Any]],
) -> tuple[Sequence[Mapping[str, Any]], str | None]:
    """The plans that may be switched to, or none and why: the portal knows no groups, so with
    several of them customers could end up with two plans of one.
    """
    groups = {read_facts(price["product"]["metadata"]).plan_group for price in plans}
    if len(groups) > 1:
        return [], f"the catalogue has {len(groups)} plan groups, and the portal knows none"
    if len(plans) > MOST_PLANS:
        return [], f"the catalogue has {len(plans)} plans, and the portal takes {MOST_PLANS}"
    return plans, None if plans else "the catalogue has no plans"


def _wanted(settings: Settings, plans: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    shown = {
        "headline": settings.portal_headline,
        "privacy_policy_url": settings.privacy_policy_url,
        "terms_of_service_url": settings.terms_of_service_url,
    }
    switching = {
        "enabled": True,
        "default_allowed_updates": ["price"],
        "proration_behavior": "create_prorations",
        "products": [{"product": p["product"]["id"], "prices": [p["id"]]} for p in plans],
    }
    return {
        "business_profile": {name: value for name, value in shown.items() if value},
        "default_return_url": settings.frontends[0],
        "features": {
            "customer_update": {
                "enabled": True,
                "allowed_updates": ["address", "email", "name", "phone", "tax_id"],
            },
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": True},
            "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
            "subscription_update": switching if plans else {"enabled": False},
        },
        # Stripe need not show the products; this remembers them.
        "metadata": {"app": APP, "plans": ",".join(price["id"] for price in plans)},
    }


def _differences(found: Any, wanted: Any, path: str = "") -> list[str]:
    """What an object does not say as we want it; what else stands in it is not ours."""
    if isinstance(wanted, Mapping):
        has = found or {}
        inner = ((f"{path}.{name}".lstrip("."), name) for name in wanted)
        return [
            words for at, name in inner for words in _differences(has.get(name), wanted[name], at)
        ]
    if path == PRODUCTS:
        found, wanted = (None if found is None else _prices(found)), _prices(wanted)
        same = found in (None, wanted)
    elif isinstance(wanted, list):
        same = sorted(found or ()) == sorted(wanted)
    else:
        same = (found or "") == (wanted or "")
    return [] if same else [f"{path}: {_said(found)} → {_said(wanted)}"]


def _prices(products: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted(price for product in products for price in product["prices"])


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in (None, "") else str(value)


def _key(what: str, wanted: Any, before: Any) -> Any:
    """The same change to the same state is the same write; a configuration has no row of ours."""
    digest = hashlib.sha256(repr((wanted, before)).encode()).hexdigest()[:32]
    return options(f"portal:{what}:{digest}")
