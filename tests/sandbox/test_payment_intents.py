"""Payment intents: their way through the states, and what they refuse."""

import pytest
import stripe

from stripe_sandbox.testing import Bench


async def new_intent(bench: Bench, **params: object) -> stripe.PaymentIntent:
    return await bench.stripe.v1.payment_intents.create_async(
        {"amount": 10_000, "currency": "usd", **params}  # type: ignore[typeddict-item]  # by name
    )


async def test_an_intent_is_confirmed_and_its_fee_arrives_later(bench: Bench) -> None:
    intent = await new_intent(bench, confirm=True, payment_method="pm_card_visa")
    assert (intent.status, intent.amount_received) == ("succeeded", 10_000)
    charge = await bench.stripe.v1.charges.retrieve_async(str(intent.latest_charge))
    assert charge.balance_transaction is None
    await bench.settle()
    charge = await bench.stripe.v1.charges.retrieve_async(
        charge.id, {"expand": ["balance_transaction"]}
    )
    booked = charge.balance_transaction
    assert isinstance(booked, stripe.BalanceTransaction)
    assert (booked.amount, booked.fee, booked.net) == (10_000, 320, 9_680)
    assert [detail.type for detail in booked.fee_details] == ["stripe_fee"]
    assert await bench.events() == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "charge.updated",
    ]


async def test_a_synchronous_capture_has_its_fee_at_once(bench: Bench) -> None:
    intent = await new_intent(
        bench,
        confirm=True,
        payment_method="pm_card_visa",
        capture_method="automatic",
        expand=["latest_charge.balance_transaction"],
    )
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert isinstance(intent.latest_charge.balance_transaction, stripe.BalanceTransaction)


async def test_a_hold_is_captured_in_part(bench: Bench) -> None:
    intent = await new_intent(
        bench, confirm=True, payment_method="pm_card_visa", capture_method="manual"
    )
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 10_000)
    too_much = bench.stripe.v1.payment_intents.capture_async
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await too_much(intent.id, {"amount_to_capture": 10_001})
    assert refused.value.code == "amount_too_large"
    captured = await bench.stripe.v1.payment_intents.capture_async(
        intent.id, {"amount_to_capture": 4_000, "expand": ["latest_charge"]}
    )
    assert (captured.status, captured.amount_received) == ("succeeded", 4_000)
    assert captured.amount_capturable == 0
    assert isinstance(captured.latest_charge, stripe.Charge)
    charge = captured.latest_charge
    assert (charge.amount, charge.amount_captured, charge.amount_refunded) == (10_000, 4_000, 0)
    assert await bench.events() == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
    ]
    with pytest.raises(stripe.InvalidRequestError) as again:
        await bench.stripe.v1.payment_intents.capture_async(intent.id)
    assert again.value.code == "payment_intent_unexpected_state"


async def test_a_canceled_hold_is_released(bench: Bench) -> None:
    intent = await new_intent(
        bench, confirm=True, payment_method="pm_card_visa", capture_method="manual"
    )
    canceled = await bench.stripe.v1.payment_intents.cancel_async(
        intent.id, {"cancellation_reason": "abandoned"}
    )
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    assert canceled.canceled_at
    assert (await bench.events())[-2:] == ["charge.refunded", "payment_intent.canceled"]


async def test_a_succeeded_intent_is_neither_canceled_nor_confirmed_again(bench: Bench) -> None:
    intent = await new_intent(bench, confirm=True, payment_method="pm_card_visa")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await bench.stripe.v1.payment_intents.cancel_async(intent.id)
    assert refused.value.code == "payment_intent_unexpected_state"
    assert str(refused.value.user_message).startswith(
        "You cannot cancel this PaymentIntent because it has a status of succeeded."
    )
    assert refused.value.error is not None
    assert refused.value.error.payment_intent is not None
    assert refused.value.error.payment_intent.id == intent.id
    with pytest.raises(stripe.InvalidRequestError, match="already succeeded"):
        await bench.stripe.v1.payment_intents.confirm_async(intent.id)


async def test_an_intent_is_updated_without_an_event(bench: Bench) -> None:
    intent = await new_intent(bench, metadata={"a": "1", "b": "2"}, description="Room")
    updated = await bench.stripe.v1.payment_intents.update_async(
        intent.id,
        {"amount": 5_000, "metadata": {"a": "", "c": "3"}, "payment_method": "pm_card_visa"},
    )
    assert (updated.amount, updated.status) == (5_000, "requires_confirmation")
    assert updated.metadata.to_dict() == {"b": "2", "c": "3"}
    confirmed = await bench.stripe.v1.payment_intents.confirm_async(intent.id)
    assert confirmed.status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="amount could not be updated"):
        await bench.stripe.v1.payment_intents.update_async(intent.id, {"amount": 1_000})
    assert (await bench.events()).count("payment_intent.created") == 1
    assert "payment_intent.updated" not in await bench.events()


async def test_the_charge_carries_what_the_intent_says(bench: Bench) -> None:
    intent = await new_intent(
        bench,
        confirm=True,
        payment_method="pm_card_mastercard",
        description="Booking 7",
        metadata={"booking": "7"},
        receipt_email="a@example.com",
        statement_descriptor_suffix="b7",
        expand=["latest_charge"],
    )
    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert charge.description == "Booking 7"
    assert charge.metadata.to_dict() == {"booking": "7"}
    assert charge.receipt_email == "a@example.com"
    assert charge.calculated_statement_descriptor == "SANDBOX* B7"
    assert charge.payment_method_details is not None
    assert charge.payment_method_details.card is not None
    assert charge.payment_method_details.card.brand == "mastercard"


async def test_an_intent_without_a_method_cannot_be_confirmed(bench: Bench) -> None:
    intent = await new_intent(bench)
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        await bench.stripe.v1.payment_intents.confirm_async(intent.id)


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        (49, "usd", "amount_too_small"),
        (29, "gbp", "amount_too_small"),
        (49, "jpy", "amount_too_small"),
        (0, "usd", "parameter_invalid_integer"),
        (-5, "usd", "parameter_invalid_integer"),
        (100_000_000, "usd", "amount_too_large"),
    ],
)
async def test_an_amount_outside_the_limits_is_refused(
    bench: Bench, amount: int, currency: str, code: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await new_intent(bench, amount=amount, currency=currency)
    assert (refused.value.code, refused.value.param) == (code, "amount")


@pytest.mark.parametrize(
    ("amount", "currency"),
    [(50, "usd"), (30, "gbp"), (50, "jpy"), (99_999_999, "usd"), (999_999_999_999, "idr")],
)
async def test_an_amount_at_the_limit_is_taken(bench: Bench, amount: int, currency: str) -> None:
    assert (await new_intent(bench, amount=amount, currency=currency)).amount == amount


async def test_the_last_of_three_decimals_is_zero(bench: Bench) -> None:
    assert (await new_intent(bench, amount=10_010, currency="KWD")).currency == "kwd"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await new_intent(bench, amount=10_011, currency="kwd")
    assert refused.value.param == "amount"


async def test_an_unknown_currency_is_refused(bench: Bench) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Invalid currency: usx") as refused:
        await new_intent(bench, currency="usx")
    assert refused.value.param == "currency"


async def test_a_missing_customer_is_blamed(bench: Bench) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await new_intent(bench, customer="cus_none")
    assert refused.value.http_status == 404
    assert (refused.value.code, refused.value.param) == ("resource_missing", "customer")
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        await bench.stripe.v1.payment_intents.retrieve_async("pi_none")
    assert (unknown.value.param, unknown.value.user_message) == (
        "intent",
        "No such payment_intent: 'pi_none'",
    )


async def test_another_customers_card_is_refused(bench: Bench) -> None:
    owner = await bench.stripe.v1.customers.create_async({"payment_method": "pm_card_visa"})
    card = (await bench.stripe.v1.customers.payment_methods.list_async(owner.id)).data[0]
    with pytest.raises(stripe.InvalidRequestError, match="must be attached to the customer"):
        await new_intent(bench, confirm=True, payment_method=card.id)
    paid = await new_intent(bench, confirm=True, payment_method=card.id, customer=owner.id)
    assert paid.status == "succeeded"


async def test_the_balance_adds_up(bench: Bench) -> None:
    await new_intent(bench, confirm=True, payment_method="pm_card_visa")
    await new_intent(bench, confirm=True, payment_method="pm_card_bypassPending", amount=5_000)
    await bench.settle()
    balance = await bench.stripe.v1.balance.retrieve_async()
    assert [(part.amount, part.currency) for part in balance.pending] == [(9_680, "usd")]
    assert [(part.amount, part.currency) for part in balance.available] == [(4_825, "usd")]


async def test_a_type_that_is_not_allowed_is_refused(bench: Bench) -> None:
    intent = await new_intent(bench, allowed_payment_method_types=["card"])
    with pytest.raises(stripe.InvalidRequestError, match="is not allowed"):
        await bench.stripe.v1.payment_intents.confirm_async(
            intent.id, {"payment_method": "pm_usBankAccount_success"}
        )


async def test_a_method_is_described_instead_of_named(bench: Bench) -> None:
    intent = await new_intent(bench, currency="eur")
    updated = await bench.stripe.v1.payment_intents.update_async(
        intent.id,
        {
            "currency": "usd",
            "excluded_payment_method_types": ["sepa_debit"],
            "payment_method_data": {
                "type": "us_bank_account",
                "us_bank_account": {"account_number": "000123456789"},
                "billing_details": {"name": "Ann"},
            },
        },
    )
    assert updated.payment_method_types == ["card", "us_bank_account"]
    assert (updated.status, updated.currency) == ("requires_confirmation", "usd")
    confirmed = await bench.stripe.v1.payment_intents.confirm_async(intent.id)
    assert confirmed.status == "processing"
    with pytest.raises(stripe.InvalidRequestError, match="has a status of processing"):
        await bench.stripe.v1.payment_intents.confirm_async(intent.id)
    with pytest.raises(stripe.InvalidRequestError, match="has a status of processing"):
        await bench.stripe.v1.payment_intents.cancel_async(intent.id)


async def test_a_suffix_on_the_statement_is_short(bench: Bench) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await new_intent(bench, statement_descriptor_suffix="x" * 23)
    assert refused.value.param == "statement_descriptor_suffix"


async def test_a_charge_is_described_afterwards(bench: Bench) -> None:
    intent = await new_intent(bench, confirm=True, payment_method="pm_card_visa")
    charge = await bench.stripe.v1.charges.update_async(
        str(intent.latest_charge), {"description": "Room 7", "metadata": {"a": "1"}}
    )
    assert (charge.description, charge.metadata.to_dict()) == ("Room 7", {"a": "1"})
    assert (await bench.events())[-1] == "charge.updated"
    found = await bench.stripe.v1.charges.search_async(
        {"query": "payment_method_details.card.last4:'4242' AND amount>9999"}
    )
    assert [found_charge.id for found_charge in found.data] == [charge.id]


async def test_funds_become_available_after_two_days(bench: Bench) -> None:
    await new_intent(bench, confirm=True, payment_method="pm_card_visa", capture_method="automatic")
    (booked,) = (await bench.stripe.v1.balance_transactions.list_async({"type": "charge"})).data
    assert booked.status == "pending"
    with bench.app.sandbox.work() as work:
        work.change(work.find("balance_transaction", booked.id), available_on=work.now)
    released = await bench.stripe.v1.balance_transactions.retrieve_async(booked.id)
    assert released.status == "available"
