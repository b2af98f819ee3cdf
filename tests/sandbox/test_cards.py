"""Every test card, under each of its names."""

import pytest
import stripe

from stripe_sandbox.flows.cards import INSTRUMENTS, Decline, recognise
from stripe_sandbox.testing import Bench

DECLINES = {
    "4000000000000002": ("card_declined", "generic_decline"),
    "4000000000009995": ("card_declined", "insufficient_funds"),
    "4000000000009987": ("card_declined", "lost_card"),
    "4000000000009979": ("card_declined", "stolen_card"),
    "4000000000000069": ("expired_card", None),
    "4000000000000127": ("incorrect_cvc", None),
    "4000000000000119": ("processing_error", None),
    "4000000000006975": ("card_declined", "card_velocity_exceeded"),
    "4000000000000341": ("card_declined", "generic_decline"),
    "4100000000000019": ("card_declined", "fraudulent"),
}
NAMES = {
    "pm_card_visa": "4242424242424242",
    "pm_card_mastercard": "5555555555554444",
    "pm_card_amex": "378282246310005",
    "pm_card_visa_chargeDeclined": "4000000000000002",
    "pm_card_chargeDeclined": "4000000000000002",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_visa_chargeDeclinedLostCard": "4000000000009987",
    "pm_card_visa_chargeDeclinedStolenCard": "4000000000009979",
    "pm_card_chargeDeclinedExpiredCard": "4000000000000069",
    "pm_card_chargeDeclinedIncorrectCvc": "4000000000000127",
    "pm_card_chargeDeclinedProcessingError": "4000000000000119",
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": "4000000000006975",
    "pm_card_chargeCustomerFail": "4000000000000341",
    "pm_card_authenticationRequired": "4000002760003184",
    "pm_card_authenticationRequiredOnSetup": "4000002500003155",
    "pm_card_authenticationRequiredSetupForOffSession": "4000003800000446",
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": "4000008260003178",
    "pm_card_pendingRefund": "4000000000007726",
    "pm_card_refundFail": "4000000000005126",
    "pm_card_createDispute": "4000000000000259",
    "pm_card_createDisputeProductNotReceived": "4000000000002685",
    "pm_card_createDisputeInquiry": "4000000000001976",
    "pm_card_createMultipleDisputes": "4000000404000079",
    "pm_card_createIssuerFraudRecord": "4000000000005423",
    "pm_card_bypassPending": "4000000000000077",
    "pm_card_radarBlock": "4100000000000019",
    "pm_card_riskLevelElevated": "4000000000009235",
    "pm_usBankAccount_success": "000123456789",
    "pm_usBankAccount_insufficientFunds": "000222222227",
}


async def pay(bench: Bench, method: str, **params: object) -> stripe.PaymentIntent:
    form = {"amount": 2_000, "currency": "usd", "confirm": True, "payment_method": method, **params}
    return await bench.stripe.v1.payment_intents.create_async(form)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(("name", "number"), NAMES.items())
def test_a_test_method_a_token_and_a_number_are_one_instrument(name: str, number: str) -> None:
    instrument = recognise(name)
    assert instrument is not None
    assert instrument is recognise(number)
    if instrument.type == "card":
        assert instrument is recognise(name.replace("pm_card_", "tok_"))
        spaced = " ".join(number[i : i + 4] for i in range(0, len(number), 4))
        assert instrument is recognise(spaced)


@pytest.mark.parametrize(("number", "expected"), DECLINES.items())
async def test_a_declined_card_keeps_its_failed_charge(
    bench: Bench, number: str, expected: tuple[str, str | None]
) -> None:
    code, decline_code = expected
    with pytest.raises(stripe.CardError) as declined:
        await pay(bench, number)
    error = declined.value.error
    assert error is not None
    assert declined.value.http_status == 402
    assert (error.code, getattr(error, "decline_code", None)) == (code, decline_code)
    assert error.payment_intent is not None
    intent = await bench.stripe.v1.payment_intents.retrieve_async(error.payment_intent.id)
    assert (intent.status, intent.payment_method) == ("requires_payment_method", None)
    assert intent.last_payment_error is not None
    assert intent.last_payment_error.code == code
    assert intent.last_payment_error.payment_method is not None
    charge = await bench.stripe.v1.charges.retrieve_async(str(intent.latest_charge))
    assert (charge.id, charge.status, charge.paid) == (error.charge, "failed", False)
    assert (charge.failure_code, charge.amount_captured) == (code, 0)
    assert charge.outcome is not None
    assert charge.outcome.type == ("blocked" if decline_code == "fraudulent" else "issuer_declined")
    assert await bench.events() == [
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
    ]


async def test_another_card_pays_after_a_decline(bench: Bench) -> None:
    with pytest.raises(stripe.CardError) as declined:
        await pay(bench, "tok_chargeDeclined")
    assert declined.value.error is not None
    assert declined.value.error.payment_intent is not None
    intent = await bench.stripe.v1.payment_intents.confirm_async(
        declined.value.error.payment_intent.id, {"payment_method": "tok_visa"}
    )
    assert (intent.status, intent.last_payment_error) == ("succeeded", None)


@pytest.mark.parametrize(
    "instrument",
    [i for i in INSTRUMENTS if i.type == "card" and not i.decline and i.authentication == "never"],
    ids=lambda instrument: instrument.number,
)
async def test_every_other_card_pays(bench: Bench, instrument: object) -> None:
    number = getattr(instrument, "number", "")
    intent = await pay(bench, number, expand=["latest_charge"])
    assert intent.status == "succeeded"
    assert isinstance(intent.latest_charge, stripe.Charge)
    details = intent.latest_charge.payment_method_details
    assert details is not None
    assert details.card is not None
    assert details.card.last4 == number[-4:]


@pytest.mark.parametrize(
    ("number", "code", "decline_code"),
    [
        ("4242424242424241", "incorrect_number", None),
        ("4111111111111111", "card_declined", "test_mode_live_card"),
    ],
)
async def test_a_number_of_no_test_card_is_refused(
    bench: Bench, number: str, code: str, decline_code: str | None
) -> None:
    with pytest.raises(stripe.CardError) as declined:
        await pay(bench, number)
    assert (declined.value.code, declined.value.http_status) == (code, 402)
    assert declined.value.error is not None
    assert getattr(declined.value.error, "decline_code", None) == decline_code
    with pytest.raises(stripe.CardError):
        await bench.stripe.v1.payment_methods.create_async(
            {"type": "card", "card": {"number": number, "exp_month": 1, "exp_year": 2040}}
        )


@pytest.mark.parametrize(
    "number", ["4000002760003184", "4000002500003155", "4000003800000446", "4000008260003178"]
)
async def test_a_card_asks_for_authentication(bench: Bench, number: str) -> None:
    intent = await pay(bench, number, return_url="http://shop.test/back")
    assert (intent.status, intent.latest_charge) == ("requires_action", None)
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    assert (await bench.events())[-1] == "payment_intent.requires_action"
    page = await bench.http.get(str(intent.next_action.redirect_to_url.url))
    assert "Complete authentication" in page.text


async def answer(bench: Bench, intent: stripe.PaymentIntent, outcome: str) -> str:
    form = {"client_secret": str(intent.client_secret), "outcome": outcome}
    response = await bench.http.post(f"/3ds/{intent.id}", data=form)
    return response.headers.get("location", "")


async def test_authentication_completes_the_payment(bench: Bench) -> None:
    intent = await pay(bench, "pm_card_authenticationRequired", return_url="http://shop.test/?a=1")
    location = await answer(bench, intent, "complete")
    assert location.startswith(f"http://shop.test/?a=1&payment_intent={intent.id}&")
    assert location.endswith("redirect_status=succeeded")
    paid = await bench.stripe.v1.payment_intents.retrieve_async(intent.id)
    assert (paid.status, paid.next_action) == ("succeeded", None)


async def test_failed_authentication_wants_another_card(bench: Bench) -> None:
    intent = await pay(bench, "pm_card_authenticationRequired", return_url="http://shop.test/")
    assert (await answer(bench, intent, "fail")).endswith("redirect_status=failed")
    failed = await bench.stripe.v1.payment_intents.retrieve_async(intent.id)
    assert (failed.status, failed.payment_method) == ("requires_payment_method", None)
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.code == "payment_intent_authentication_failure"
    assert (await bench.events())[-1] == "payment_intent.payment_failed"


@pytest.mark.parametrize("number", ["4000008260003178", "4000008400001629"])
async def test_a_card_is_declined_after_authentication(bench: Bench, number: str) -> None:
    intent = await pay(bench, number, return_url="http://shop.test/")
    await answer(bench, intent, "complete")
    failed = await bench.stripe.v1.payment_intents.retrieve_async(intent.id)
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.code == "card_declined"


async def test_a_stranger_cannot_answer_the_challenge(bench: Bench) -> None:
    intent = await pay(bench, "pm_card_authenticationRequired")
    form = {"client_secret": "guess", "outcome": "complete"}
    assert (await bench.http.post(f"/3ds/{intent.id}", data=form)).status_code == 404
    unchanged = await bench.stripe.v1.payment_intents.retrieve_async(intent.id)
    assert unchanged.status == "requires_action"


@pytest.mark.parametrize("name", ["authenticationRequired", "authenticationRequiredOnSetup"])
async def test_nobody_is_there_to_authenticate_off_session(bench: Bench, name: str) -> None:
    with pytest.raises(stripe.CardError) as declined:
        await pay(bench, f"pm_card_{name}", off_session=True)
    assert declined.value.code == "authentication_required"


async def test_a_card_made_for_it_pays_off_session(bench: Bench) -> None:
    intent = await pay(bench, "pm_card_authenticationRequiredSetupForOffSession", off_session=True)
    assert intent.status == "succeeded"


async def test_a_card_that_was_set_up_pays_off_session(bench: Bench) -> None:
    customer = await bench.stripe.v1.customers.create_async()
    first = await pay(
        bench,
        "pm_card_authenticationRequiredOnSetup",
        customer=customer.id,
        setup_future_usage="off_session",
    )
    await answer(bench, first, "complete")
    saved = (await bench.stripe.v1.customers.payment_methods.list_async(customer.id)).data[0]
    again = await pay(bench, saved.id, customer=customer.id, off_session=True)
    assert again.status == "succeeded"


async def test_a_declining_card_cannot_be_attached_save_one(bench: Bench) -> None:
    customer = await bench.stripe.v1.customers.create_async()
    for instrument in INSTRUMENTS:
        method = await bench.stripe.v1.payment_methods.create_async(data(instrument.number))
        attaching = bench.stripe.v1.payment_methods.attach_async(
            method.id, {"customer": customer.id}
        )
        if isinstance(instrument.decline, Decline) and not instrument.attachable:
            with pytest.raises(stripe.CardError):
                await attaching
        else:
            assert (await attaching).customer == customer.id


def data(number: str) -> stripe.params.PaymentMethodCreateParams:
    instrument = recognise(number)
    assert instrument is not None
    if instrument.type == "sepa_debit":
        return {"type": "sepa_debit", "sepa_debit": {"iban": number}}
    if instrument.type == "us_bank_account":
        return {"type": "us_bank_account", "us_bank_account": {"account_number": number}}
    return {"type": "card", "card": {"number": number, "exp_month": 1, "exp_year": 2040}}


@pytest.mark.parametrize("account", ["pm_usBankAccount_success", "AT611904300234573201"])
async def test_a_debit_is_processing_before_it_succeeds(bench: Bench, account: str) -> None:
    intent = await pay(bench, account)
    assert (intent.status, intent.amount_received) == ("processing", 0)
    assert str(intent.latest_charge).startswith("py_")
    await bench.settle()
    settled = await bench.stripe.v1.payment_intents.retrieve_async(
        intent.id, {"expand": ["latest_charge.balance_transaction"]}
    )
    assert (settled.status, settled.amount_received) == ("succeeded", 2_000)
    assert await bench.events() == [
        "payment_intent.created",
        "charge.pending",
        "payment_intent.processing",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


@pytest.mark.parametrize(
    "account", ["pm_usBankAccount_insufficientFunds", "IT60X0542811101000000123456"]
)
async def test_a_debit_comes_back(bench: Bench, account: str) -> None:
    intent = await pay(bench, account)
    await bench.settle()
    failed = await bench.stripe.v1.payment_intents.retrieve_async(
        intent.id, {"expand": ["latest_charge"]}
    )
    assert failed.status == "requires_payment_method"
    assert failed.last_payment_error is not None
    assert isinstance(failed.latest_charge, stripe.Charge)
    assert (failed.latest_charge.status, failed.latest_charge.paid) == ("failed", False)
    assert (await bench.events())[-2:] == ["charge.failed", "payment_intent.payment_failed"]


async def test_the_challenge_of_a_sdk_is_at_its_url_too(bench: Bench) -> None:
    intent = await pay(bench, "pm_card_authenticationRequired")
    assert intent.next_action is not None
    url = intent.next_action.to_dict()["use_stripe_sdk"]["stripe_js"]
    assert (await bench.http.get(url)).status_code == 200
    assert await answer(bench, intent, "complete") == ""
    again = await bench.http.get(url)
    assert "The payment is now succeeded." in again.text


async def test_an_action_can_be_an_error(bench: Bench) -> None:
    with pytest.raises(stripe.CardError) as declined:
        await pay(bench, "pm_card_authenticationRequired", error_on_requires_action=True)
    assert declined.value.code == "authentication_required"
