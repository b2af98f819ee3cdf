"""The customer portal's plans and bills: switched, cancelled and kept as the settings allow."""

from dataclasses import dataclass

import pytest
import stripe

from stripe_sandbox.testing import Bench


@dataclass(frozen=True)
class Plans:
    """A customer with one subscription to the first of two prices, and the portal's settings."""

    customer: str
    subscription: str
    small: str
    large: str
    configuration: str


async def _price(bench: Bench, name: str, amount: int) -> stripe.Price:
    return await bench.stripe.v1.prices.create_async(
        {
            "currency": "usd",
            "unit_amount": amount,
            "recurring": {"interval": "month"},
            "product_data": {"name": name},
        }
    )


@pytest.fixture
async def plans(bench: Bench) -> Plans:
    v1 = bench.stripe.v1
    small, large = await _price(bench, "Small", 1000), await _price(bench, "Large", 3000)
    customer = await v1.customers.create_async(
        {
            "payment_method": "pm_card_visa",
            "invoice_settings": {"default_payment_method": "pm_card_visa"},
        }
    )
    subscription = await v1.subscriptions.create_async(
        {"customer": customer.id, "items": [{"price": small.id}]}
    )
    configuration = await v1.billing_portal.configurations.create_async(
        {
            "features": {
                "invoice_history": {"enabled": True},
                "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
                "subscription_update": {
                    "enabled": True,
                    "default_allowed_updates": ["price"],
                    "products": [{"product": str(large.product), "prices": [large.id]}],
                    "proration_behavior": "always_invoice",
                },
            }
        }
    )
    return Plans(customer.id, subscription.id, small.id, large.id, configuration.id)


async def _open(bench: Bench, plans: Plans, **form: object) -> str:
    session = await bench.stripe.v1.billing_portal.sessions.create_async(
        {"customer": plans.customer, "configuration": plans.configuration, **form}  # type: ignore[arg-type]  # by name
    )
    return session.url


async def _press(bench: Bench, url: str, action: str, **values: str) -> str:
    """What the page says afterwards."""
    answer = await bench.http.post(url, data={"action": action, **values})
    if answer.is_redirect:
        answer = await bench.http.get(answer.headers["location"])
    return answer.text


async def test_a_plan_is_cancelled_at_its_end_and_kept_again(bench: Bench, plans: Plans) -> None:
    url, subscriptions = await _open(bench, plans), bench.stripe.v1.subscriptions
    page = (await bench.http.get(url)).text
    assert "$10.00 every month" in page
    assert "Renews on" in page
    page = await _press(bench, url, "cancel", subscription=plans.subscription)
    assert "Ends on" in page
    assert "Switch to" not in page
    body = await subscriptions.retrieve_async(plans.subscription)
    assert (body.status, body.cancel_at_period_end) == ("active", True)
    assert "Renews on" in await _press(bench, url, "keep", subscription=plans.subscription)
    body = await subscriptions.retrieve_async(plans.subscription)
    assert (body.status, body.cancel_at_period_end) == ("active", False)


async def test_a_plan_is_switched_to_one_that_is_offered(bench: Bench, plans: Plans) -> None:
    url = await _open(bench, plans)
    refused = await _press(bench, url, "switch", subscription=plans.subscription, price=plans.small)
    assert "do not offer this plan" in refused
    page = await _press(bench, url, "switch", subscription=plans.subscription, price=plans.large)
    assert "$30.00 every month" in page
    body = await bench.stripe.v1.subscriptions.retrieve_async(plans.subscription)
    assert [item.price.id for item in body.items.data] == [plans.large]
    invoices = await bench.stripe.v1.invoices.list_async({"customer": plans.customer})
    assert [invoice.billing_reason for invoice in invoices.data] == [
        "subscription_update",
        "subscription_create",
    ]
    assert all(invoice.number in page for invoice in invoices.data if invoice.number)


async def test_nobody_ends_another_customers_plan(bench: Bench, plans: Plans) -> None:
    other = await bench.stripe.v1.customers.create_async({"email": "other@example.com"})
    session = await bench.stripe.v1.billing_portal.sessions.create_async(
        {"customer": other.id, "configuration": plans.configuration}
    )
    said = await _press(bench, session.url, "cancel", subscription=plans.subscription)
    assert "not a subscription of yours" in said
    body = await bench.stripe.v1.subscriptions.retrieve_async(plans.subscription)
    assert body.cancel_at_period_end is False


async def test_a_flow_to_cancel_is_about_one_subscription_and_leads_on(
    bench: Bench, plans: Plans
) -> None:
    done = {"type": "redirect", "redirect": {"return_url": "https://shop.test/bye"}}
    about = {"subscription": plans.subscription}
    flow = {"type": "subscription_cancel", "subscription_cancel": about, "after_completion": done}
    url = await _open(bench, plans, flow_data=flow)
    page = (await bench.http.get(url)).text
    assert "Invoices" not in page
    answer = await bench.http.post(
        url, data={"action": "cancel", "subscription": plans.subscription}
    )
    assert answer.headers["location"] == "https://shop.test/bye"
    with pytest.raises(stripe.InvalidRequestError, match="Missing required param"):
        await _open(bench, plans, flow_data={"type": "subscription_cancel"})
