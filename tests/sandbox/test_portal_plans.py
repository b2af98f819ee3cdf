"""Plans and bills in the customer portal: cancel, keep, switch, and what the settings forbid."""

from sandbox.subscribers import price, visit
from stripe_sandbox.testing import Bench


async def test_the_plan_and_its_bills_are_shown(bench: Bench) -> None:
    visited = await visit(bench)
    page = await visited.page()
    for text in ("Tea & cake, $15.00 per month", "Renews on", "Tea & cake, $120.00 per year"):
        assert text in page
    assert "You have no" not in page
    (bill,) = (await bench.stripe.v1.invoices.list_async()).data
    assert f'<a href="{bill.hosted_invoice_url}">{bill.number}</a>' in page
    assert "$15.00</span>" in page


async def test_a_plan_is_cancelled_and_kept_after_all(bench: Bench) -> None:
    visited = await visit(bench)
    assert (await visited.press("cancel")).status_code == 303
    assert (await visited.now()).cancel_at_period_end
    assert "Ends on" in await visited.page()
    await visited.press("keep")
    assert not (await visited.now()).cancel_at_period_end
    assert "Renews on" in await visited.page()


async def test_a_plan_is_cancelled_at_once_where_the_settings_say_so(bench: Bench) -> None:
    visited = await visit(bench, subscription_cancel={"enabled": True, "mode": "immediately"})
    assert (await visited.press("cancel")).status_code == 303
    assert (await visited.now()).status == "canceled"
    assert "You have no subscriptions." in await visited.page()


async def test_a_plan_is_switched(bench: Bench) -> None:
    visited = await visit(bench)
    await visited.press("switch", price=visited.yearly)
    assert (await visited.now())["items"]["data"][0]["price"]["id"] == visited.yearly
    assert "customer.subscription.updated" in await bench.events()
    assert "Tea & cake, $120.00 per year</p>" in await visited.page()


async def test_only_offered_plans_and_own_subscriptions_are_touched(bench: Bench) -> None:
    visited, stranger = await visit(bench), await visit(bench)
    product = await bench.stripe.v1.products.create_async({"name": "Odd"})
    odd = await price(bench, product.id, 100, "month")
    refused = await visited.press("switch", price=odd)
    assert "do not offer this plan" in refused.text
    missing = await visited.press("cancel", subscription=stranger.subscription)
    assert "No such subscription" in missing.text
    assert not (await stranger.now()).cancel_at_period_end


async def test_what_the_settings_forbid_is_neither_shown_nor_done(bench: Bench) -> None:
    visited = await visit(
        bench, subscription_cancel={"enabled": False}, subscription_update={"enabled": False}
    )
    page = await visited.page()
    assert "Cancel plan" not in page
    assert "Switch plan" not in page
    for action in ("cancel", "switch"):
        assert "do not allow this" in (await visited.press(action)).text
    assert (await visited.now()).status == "active"
