"""Setup intents: a card made ready for later, with its declines and its authentication."""

import pytest
import stripe

from stripe_sandbox.testing import Bench


async def set_up(bench: Bench, **params: object) -> stripe.SetupIntent:
    return await bench.stripe.v1.setup_intents.create_async(params)  # type: ignore[arg-type]  # by name


async def answer_challenge(bench: Bench, intent: stripe.SetupIntent, outcome: str) -> str:
    form = {"client_secret": str(intent.client_secret), "outcome": outcome}
    page = await bench.http.post(f"/3ds/{intent.id}", data=form)
    return page.headers.get("location", page.text)


async def test_an_intent_waits_for_a_method_and_then_for_its_confirmation(bench: Bench) -> None:
    intent = await set_up(bench, description="a card", metadata={"a": "1"})
    assert intent.id.startswith("seti_")
    assert intent.client_secret
    assert (intent.status, intent.usage) == ("requires_payment_method", "off_session")
    intents = bench.stripe.v1.setup_intents
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        await intents.confirm_async(intent.id)
    updated = await intents.update_async(intent.id, {"payment_method": "pm_card_visa"})
    assert updated.status == "requires_confirmation"
    confirmed = await intents.confirm_async(intent.id)
    assert (confirmed.status, confirmed.payment_method) == ("succeeded", updated.payment_method)
    assert await bench.events() == ["setup_intent.created", "setup_intent.succeeded"]
    with pytest.raises(stripe.InvalidRequestError, match="status of succeeded"):
        await intents.confirm_async(intent.id)


async def test_the_method_becomes_the_customers(bench: Bench) -> None:
    customer = await bench.stripe.v1.customers.create_async()
    intent = await set_up(bench, customer=customer.id, payment_method="pm_card_visa", confirm=True)
    methods = await bench.stripe.v1.customers.payment_methods.list_async(customer.id)
    assert [method.id for method in methods.data] == [intent.payment_method]
    assert (await bench.events())[-2:] == ["payment_method.attached", "setup_intent.succeeded"]
    mine = await bench.stripe.v1.setup_intents.list_async({"customer": customer.id})
    assert [found.id for found in mine.data] == [intent.id]


async def test_a_declined_card_leaves_its_error_on_the_intent(bench: Bench) -> None:
    with pytest.raises(stripe.CardError) as declined:
        await set_up(bench, payment_method="pm_card_chargeDeclined", confirm=True)
    assert declined.value.code == "card_declined"
    assert declined.value.error is not None
    (intent,) = (await bench.stripe.v1.setup_intents.list_async()).data
    assert (intent.status, intent.payment_method) == ("requires_payment_method", None)
    assert intent.last_setup_error is not None
    assert intent.last_setup_error.decline_code == "generic_decline"
    assert declined.value.error.setup_intent.id == intent.id  # type: ignore[union-attr]  # the SDK's own gap
    assert await bench.events() == ["setup_intent.created", "setup_intent.setup_failed"]


async def test_an_authenticated_card_pays_off_session_without_asking(bench: Bench) -> None:
    customer = await bench.stripe.v1.customers.create_async()
    intent = await set_up(
        bench,
        customer=customer.id,
        payment_method="pm_card_authenticationRequiredOnSetup",
        confirm=True,
        return_url="http://shop.test/cards",
    )
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    back = await answer_challenge(bench, intent, "complete")
    assert back.startswith(f"http://shop.test/cards?setup_intent={intent.id}&setup_intent_client")
    done = await bench.stripe.v1.setup_intents.retrieve_async(intent.id)
    assert (done.status, done.next_action) == ("succeeded", None)
    payment = await bench.stripe.v1.payment_intents.create_async(
        {
            "amount": 1000,
            "currency": "usd",
            "customer": customer.id,
            "payment_method": str(done.payment_method),
            "off_session": True,
            "confirm": True,
        }
    )
    assert payment.status == "succeeded"


async def test_a_customer_who_fails_the_challenge_may_try_again(bench: Bench) -> None:
    intent = await set_up(bench, payment_method="pm_card_authenticationRequired", confirm=True)
    assert "requires_payment_method" in await answer_challenge(bench, intent, "fail")
    failed = await bench.stripe.v1.setup_intents.retrieve_async(intent.id)
    assert failed.last_setup_error is not None
    assert failed.last_setup_error.code == "setup_intent_authentication_failure"
    assert (await bench.events())[-2:] == [
        "setup_intent.requires_action",
        "setup_intent.setup_failed",
    ]
    again = {"payment_method": "pm_card_visa"}
    done = await bench.stripe.v1.setup_intents.confirm_async(intent.id, again)  # type: ignore[arg-type]  # a literal
    assert (done.status, done.last_setup_error) == ("succeeded", None)


async def test_a_canceled_intent_is_at_its_end(bench: Bench) -> None:
    intent = await set_up(bench)
    intents = bench.stripe.v1.setup_intents
    canceled = await intents.cancel_async(intent.id, {"cancellation_reason": "abandoned"})
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    assert (await bench.events())[-1] == "setup_intent.canceled"
    for refused in (
        intents.cancel_async(intent.id),
        intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"}),
        intents.update_async(intent.id, {"payment_method": "pm_card_visa"}),
    ):
        with pytest.raises(stripe.InvalidRequestError, match="status of canceled"):
            await refused
    renamed = await intents.update_async(intent.id, {"description": "kept"})
    assert renamed.description == "kept"
