"""Resources that are only described: created, changed, deleted, and told of where Stripe tells."""

from stripe_sandbox.testing import Bench


async def test_a_tax_rate_is_kept_changed_and_told_of(bench: Bench) -> None:
    v1 = bench.stripe.v1
    made = await v1.tax_rates.create_async(
        {"display_name": "VAT", "inclusive": True, "percentage": 19.5, "metadata": {"a": "1"}}
    )
    assert (made.active, made.inclusive, made.percentage) == (True, True, 19.5)
    await v1.tax_rates.update_async(made.id, {"active": False, "metadata": {"b": "2"}})
    kept = await v1.tax_rates.retrieve_async(made.id)
    assert (kept.active, kept.metadata.to_dict() if kept.metadata else None) == (
        False,
        {"a": "1", "b": "2"},
    )
    assert [rate.id for rate in (await v1.tax_rates.list_async({"active": False})).data] == [
        made.id
    ]
    assert await bench.events() == ["tax_rate.created", "tax_rate.updated"]


async def test_what_stripe_has_no_event_for_happens_in_silence(bench: Bench) -> None:
    await bench.stripe.v1.shipping_rates.create_async(
        {"display_name": "Parcel", "fixed_amount": {"amount": 500, "currency": "usd"}}
    )
    assert await bench.events() == []
