"""Plans whose time a test moves: at Stripe by a test clock, and here."""

from datetime import timedelta

from service.plans import catch_up, subscribed
from world import Json, World

DAY = 24 * 3600
SERVICE: Json = {"role": "service", "user": "shop"}
DECLINED, CHALLENGED = "pm_card_chargeCustomerFail", "pm_card_authenticationRequired"


async def new_clock(shop: World) -> str:
    """The id of a test clock that begins now."""
    now = int(shop.clock.now().timestamp())
    made = await shop.at_stripe("POST", "/v1/test_helpers/test_clocks", frozen_time=now)
    return str(made["id"])


async def on_clock(shop: World, clock: str, **more: int) -> Json:
    """A plan of u-1, who lives by the clock, given to him by the shop."""
    form: Json = {"test_clock": clock, "email": "u-1@example.com", "payment_method": "pm_card_visa"}
    form["invoice_settings[default_payment_method]"] = "pm_card_visa"
    customer = await shop.at_stripe("POST", "/v1/customers", **form)
    link = {"stripe_customer_id": customer["id"]}
    await shop.ask("PUT", "/customers/u-1", link, **SERVICE)
    return {
        **await subscribed(shop, body={"user_id": "u-1", **more}, **SERVICE),
        "customer": customer["id"],
    }


async def pass_(shop: World, clock: str, days: int) -> None:
    """Time passes, here and at Stripe; what Stripe says of it has arrived."""
    shop.clock.ahead += timedelta(days=days)
    path = f"/v1/test_helpers/test_clocks/{clock}"
    then = (await shop.at_stripe("GET", path))["frozen_time"] + days * DAY
    await shop.at_stripe("POST", f"{path}/advance", frozen_time=then)
    await shop.settle()
    await catch_up(shop)


async def change_card(shop: World, plan: Json, card: str) -> None:
    path = f"/v1/payment_methods/{card}/attach"
    method = await shop.at_stripe("POST", path, customer=plan["customer"])
    path = f"/v1/subscriptions/{plan['id']}"
    await shop.at_stripe("POST", path, default_payment_method=method["id"])
