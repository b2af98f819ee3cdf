"""The items of S2, a kit for products on credits; docs/ITEMS.md lists them all."""

from items.credits import bought
from world import World


async def test_2_8_a_payment_brings_the_products_credits_with_what_they_came_from(
    shop: World,
) -> None:
    pack = await bought(shop)
    [entry] = pack.account["data"]
    intent = await shop.at_stripe("GET", f"/v1/payment_intents/{pack.payment}")
    assert entry["metadata"] == {
        "payment_intent_id": pack.payment,
        "stripe_customer_id": intent["customer"],
        "amount_paid": 1000,
    }
    assert intent["metadata"]["credit_amount"] == "100"
