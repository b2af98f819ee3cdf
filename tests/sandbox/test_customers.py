"""Customers and their payment methods; what every object does with metadata."""

import pytest
import stripe

from stripe_sandbox.testing import Bench


async def test_a_customer_is_created_whole(bench: Bench) -> None:
    customer = await bench.stripe.v1.customers.create_async(
        {
            "email": "a@example.com",
            "name": "Ann",
            "address": {"line1": "Way 1"},
            "metadata": {"u": "1"},
        }
    )
    assert customer.id.startswith("cus_")
    assert customer.address is not None
    assert (customer.address.line1, customer.address.city) == ("Way 1", None)
    assert customer.invoice_settings is not None
    assert customer.invoice_settings.default_payment_method is None
    assert "subscriptions" not in customer
    assert await bench.events() == ["customer.created"]


async def test_an_empty_string_unsets(bench: Bench) -> None:
    customer = await bench.stripe.v1.customers.create_async(
        {"email": "a@example.com", "metadata": {"a": "1", "b": "2"}, "address": {"city": "Rom"}}
    )
    updated = await bench.stripe.v1.customers.update_async(
        customer.id, {"email": "", "address": "", "metadata": {"a": "", "c": "3"}}
    )
    assert (updated.email, updated.address) == (None, None)
    assert updated.metadata is not None
    assert updated.metadata.to_dict() == {"b": "2", "c": "3"}
    cleared = await bench.stripe.v1.customers.update_async(customer.id, {"metadata": ""})
    assert cleared.metadata is not None
    assert cleared.metadata.to_dict() == {}


async def test_an_update_that_changes_nothing_is_no_event(bench: Bench) -> None:
    customer = await bench.stripe.v1.customers.create_async({"email": "a@example.com"})
    await bench.stripe.v1.customers.update_async(customer.id, {"email": "a@example.com"})
    assert await bench.events() == ["customer.created"]


async def test_a_deleted_customer_leaves_a_trace(bench: Bench) -> None:
    customer = await bench.stripe.v1.customers.create_async({"email": "a@example.com"})
    deleted = await bench.stripe.v1.customers.delete_async(customer.id)
    assert deleted.deleted
    trace = await bench.stripe.v1.customers.retrieve_async(customer.id)
    assert trace.to_dict() == {"id": customer.id, "object": "customer", "deleted": True}
    assert (await bench.stripe.v1.customers.list_async()).data == []
    with pytest.raises(stripe.InvalidRequestError, match=f"No such customer: '{customer.id}'"):
        await bench.stripe.v1.customers.update_async(customer.id, {"name": "x"})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await bench.stripe.v1.payment_intents.create_async(
            {"amount": 100, "currency": "usd", "customer": customer.id}
        )
    assert refused.value.code == "resource_missing"


@pytest.mark.parametrize(
    "metadata",
    [{str(n): "x" for n in range(51)}, {"k" * 41: "x"}, {"k": "x" * 501}],
    ids=["keys", "key", "value"],
)
async def test_metadata_has_limits(bench: Bench, metadata: dict[str, str]) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await bench.stripe.v1.customers.create_async({"metadata": metadata})
    assert str(refused.value.param).startswith("metadata")


async def test_metadata_is_taken_up_to_its_limits(bench: Bench) -> None:
    full = {f"{n:040d}": "x" * 500 for n in range(50)}
    customer = await bench.stripe.v1.customers.create_async({"metadata": full})
    assert customer.metadata is not None
    assert customer.metadata.to_dict() == full


async def test_methods_are_attached_listed_and_detached(bench: Bench) -> None:
    customer = await bench.stripe.v1.customers.create_async({"payment_method": "pm_card_visa"})
    second = await bench.stripe.v1.payment_methods.attach_async(
        "pm_card_mastercard", {"customer": customer.id}
    )
    debit = await bench.stripe.v1.payment_methods.attach_async(
        "pm_usBankAccount_success", {"customer": customer.id}
    )
    methods = bench.stripe.v1.customers.payment_methods
    mine = await methods.list_async(customer.id, {"type": "card"})
    assert [method.card.brand for method in mine.data if method.card] == ["mastercard", "visa"]
    assert (await methods.retrieve_async(customer.id, debit.id)).type == "us_bank_account"
    detached = await bench.stripe.v1.payment_methods.detach_async(second.id)
    assert detached.customer is None
    assert len((await methods.list_async(customer.id)).data) == 2
    with pytest.raises(stripe.InvalidRequestError, match="is not attached"):
        await bench.stripe.v1.payment_methods.detach_async(second.id)
    assert (await bench.events())[-1] == "payment_method.detached"


async def test_a_method_belongs_to_one_customer(bench: Bench) -> None:
    one = await bench.stripe.v1.customers.create_async({"payment_method": "pm_card_visa"})
    two = await bench.stripe.v1.customers.create_async()
    method = (await bench.stripe.v1.customers.payment_methods.list_async(one.id)).data[0]
    with pytest.raises(stripe.InvalidRequestError, match="already been attached"):
        await bench.stripe.v1.payment_methods.attach_async(method.id, {"customer": two.id})
    with pytest.raises(stripe.InvalidRequestError):
        await bench.stripe.v1.customers.payment_methods.retrieve_async(two.id, method.id)


async def test_a_method_is_updated(bench: Bench) -> None:
    method = await bench.stripe.v1.payment_methods.create_async(
        {"type": "card", "card": {"token": "tok_visa"}, "billing_details": {"name": "Ann"}}
    )
    updated = await bench.stripe.v1.payment_methods.update_async(
        method.id, {"card": {"exp_year": 2050}, "billing_details": {"email": "a@example.com"}}
    )
    assert updated.card is not None
    assert updated.card.exp_year == 2050
    assert (updated.billing_details.name, updated.billing_details.email) == (
        "Ann",
        "a@example.com",
    )


async def test_the_account_is_the_sandboxs(bench: Bench) -> None:
    account = await bench.stripe.v1.accounts.retrieve_current_async()
    assert (account.id, account.default_currency) == ("acct_sandbox", "usd")


async def test_a_default_method_is_set_and_unset(bench: Bench) -> None:
    customer = await bench.stripe.v1.customers.create_async(
        {"payment_method": "pm_card_visa", "invoice_settings": {"footer": "Bye"}}
    )
    method = (await bench.stripe.v1.customers.payment_methods.list_async(customer.id)).data[0]
    update = bench.stripe.v1.customers.update_async
    updated = await update(customer.id, {"invoice_settings": {"default_payment_method": method.id}})
    assert updated.invoice_settings is not None
    settings = updated.invoice_settings
    assert (settings.default_payment_method, settings.footer) == (method.id, "Bye")
    cleared = await update(customer.id, {"invoice_settings": {"default_payment_method": ""}})
    assert cleared.invoice_settings is not None
    assert cleared.invoice_settings.default_payment_method is None


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({}, "type"),
        ({"type": "card"}, "card[number]"),
        ({"type": "sepa_debit", "sepa_debit[iban]": "DE00"}, "sepa_debit"),
        ({"type": "us_bank_account"}, "us_bank_account[account_number]"),
    ],
)
async def test_a_method_without_a_test_number_is_refused(
    bench: Bench, form: dict[str, str], param: str
) -> None:
    response = await bench.http.post("/v1/payment_methods", data=form)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


async def test_a_method_is_attached_to_somebody(bench: Bench) -> None:
    response = await bench.http.post("/v1/payment_methods/pm_card_visa/attach")
    assert (response.status_code, response.json()["error"]["param"]) == (400, "customer")
