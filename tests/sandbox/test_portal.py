"""The customer portal: its configurations, its sessions, and its page by forms alone."""

import httpx2
import pytest
import stripe

from stripe_sandbox.engine.work import NOTE
from stripe_sandbox.testing import Bench

FEATURES: stripe.params.billing_portal.ConfigurationCreateParamsFeatures = {
    "customer_update": {"enabled": True, "allowed_updates": ["email", "name"]},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
    "subscription_cancel": {"enabled": True},
}


async def configure(bench: Bench, **features: object) -> str:
    made = await bench.stripe.v1.billing_portal.configurations.create_async(
        {"features": {**FEATURES, **features}}  # type: ignore[typeddict-item]  # by name
    )
    return made.id


async def open_portal(
    bench: Bench, configuration: str | None = None, **params: object
) -> stripe.billing_portal.Session:
    customer = await bench.stripe.v1.customers.create_async(
        {"email": "jenny@example.com", "name": "Jenny <Rosen>"}
    )
    return await bench.stripe.v1.billing_portal.sessions.create_async(
        {  # type: ignore[arg-type]  # by name
            "customer": customer.id,
            "configuration": configuration or await configure(bench),
            "return_url": "http://shop.test/account?a=1&b=2",
            **params,
        }
    )


async def press(
    bench: Bench, session: stripe.billing_portal.Session, action: str, **form: str
) -> httpx2.Response:
    return await bench.http.post(session.url, data={"action": action, **form})


async def methods_of(bench: Bench, customer: str) -> list[str]:
    page = await bench.stripe.v1.customers.payment_methods.list_async(customer)
    return [method.id for method in page.data]


async def default_of(bench: Bench, customer: str) -> object:
    body = await bench.stripe.v1.customers.retrieve_async(customer)
    assert body.invoice_settings is not None
    return body.invoice_settings.default_payment_method


async def test_a_session_needs_a_configuration(bench: Bench) -> None:
    await configure(bench)
    customer = await bench.stripe.v1.customers.create_async()
    sessions = bench.stripe.v1.billing_portal.sessions
    with pytest.raises(stripe.InvalidRequestError, match="No configuration provided and your test"):
        await sessions.create_async({"customer": customer.id})
    with pytest.raises(stripe.InvalidRequestError, match="No such configuration: 'bpc_none'"):
        await sessions.create_async({"customer": customer.id, "configuration": "bpc_none"})
    with pytest.raises(stripe.InvalidRequestError, match="No such customer: 'cus_none'"):
        await sessions.create_async({"customer": "cus_none"})


async def test_the_default_configuration_is_taken(bench: Bench) -> None:
    configuration = await configure(bench)
    with bench.app.sandbox.work() as work:  # as saving the settings in Stripe's dashboard does
        work.change(work.find("billing_portal.configuration", configuration), is_default=True)
    customer = await bench.stripe.v1.customers.create_async()
    session = await bench.stripe.v1.billing_portal.sessions.create_async({"customer": customer.id})
    assert session.configuration == configuration
    assert (session.return_url, session.flow) == (None, None)


async def test_a_configuration_is_changed_in_parts(bench: Bench) -> None:
    configurations = bench.stripe.v1.billing_portal.configurations
    made = await configurations.create_async(
        {"features": FEATURES, "default_return_url": "http://shop.test/", "metadata": {"a": "1"}}
    )
    assert (made.active, made.is_default) == (True, False)
    assert made.features.subscription_cancel.mode == "at_period_end"
    changed = await configurations.update_async(
        made.id,
        {
            "business_profile": {"headline": "Your dinners"},
            "features": {"customer_update": {"allowed_updates": ["name"]}},
        },
    )
    assert changed.features.customer_update.to_dict() == {
        "enabled": True,
        "allowed_updates": ["name"],
    }
    assert changed.features.invoice_history.enabled
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"a": "1"}
    await configurations.update_async(made.id, {"active": False})
    assert (await configurations.list_async({"active": True})).data == []
    assert [c.id for c in (await configurations.list_async({"is_default": False})).data] == [
        made.id
    ]
    with pytest.raises(stripe.InvalidRequestError, match="is inactive"):
        await open_portal(bench, made.id)
    assert "billing_portal.configuration.created" in await bench.events()
    (last,) = (
        await bench.stripe.v1.events.list_async(
            {"limit": 1, "type": "billing_portal.configuration.updated"}
        )
    ).data
    assert last.data.to_dict()["previous_attributes"]["active"] is True


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"return_url": "shop.test"}, "Invalid URL"),
        ({"flow_data": {"type": "subscription_pause"}}, "the portal's flow subscription_pause"),
        (
            {
                "flow_data": {
                    "type": "customer_update",
                    "after_completion": {"type": "hosted_confirmation"},
                }
            },
            "the portal's hosted_confirmation",
        ),
        (
            {
                "flow_data": {
                    "type": "customer_update",
                    "after_completion": {"type": "redirect"},
                }
            },
            "Invalid URL",
        ),
    ],
)
async def test_what_a_session_cannot_do_is_said(
    bench: Bench, form: dict[str, object], said: str
) -> None:
    with pytest.raises(stripe.StripeError, match=said):
        await open_portal(bench, None, **form)


async def test_the_page_shows_what_the_configuration_allows(bench: Bench) -> None:
    session = await open_portal(bench)
    page = (await bench.http.get(session.url, auth=None)).text
    for text in (
        "jenny@example.com",
        'value="Jenny &lt;Rosen&gt;"',
        "No payment method is saved.",
        "You have no subscriptions.",
        "You have no invoices.",
        'href="http://shop.test/account?a=1&amp;b=2"',
    ):
        assert text in page
    assert "disabled" not in page
    narrow = await configure(
        bench,
        customer_update={"enabled": True, "allowed_updates": []},
        payment_method_update={"enabled": False},
        invoice_history={"enabled": False},
    )
    session = await open_portal(bench, narrow)
    page = (await bench.http.get(session.url, auth=None)).text
    assert page.count("disabled") == 2
    for text in ("Save", "Payment methods", "Billing"):
        assert text not in page
    refused = await press(bench, session, "add", number="4242424242424242")
    assert "do not allow this" in refused.text
    assert await methods_of(bench, session.customer) == []


async def test_a_customer_changes_the_details(bench: Bench) -> None:
    session = await open_portal(bench)
    assert (
        "Invalid email address: nobody"
        in (await press(bench, session, "details", email="nobody", name="J")).text
    )
    changed = await press(bench, session, "details", email="j@example.com", name="J")
    assert (changed.status_code, changed.headers["location"]) == (303, f"/p/session/{session.id}")
    customer = await bench.stripe.v1.customers.retrieve_async(session.customer)
    assert (customer.email, customer.name) == ("j@example.com", "J")
    assert (await bench.events())[-1] == "customer.updated"


async def test_cards_come_change_places_and_go(bench: Bench) -> None:
    session = await open_portal(bench)
    declined = await press(bench, session, "add", number="4000000000000002", holder="J")
    assert "Your card was declined." in declined.text
    assert 'value="4000000000000002"' in declined.text
    await press(bench, session, "add", number="4242 4242 4242 4242")
    await press(bench, session, "add", number="5555555555554444", holder="J")
    second, first = await methods_of(bench, session.customer)
    assert await default_of(bench, session.customer) == second
    page = (await bench.http.get(session.url, auth=None)).text
    assert "Visa ending in 4242" in page
    assert "Mastercard ending in 4444" in page
    await press(bench, session, "default", method=first)
    assert await default_of(bench, session.customer) == first
    await press(bench, session, "remove", method=first)
    assert await methods_of(bench, session.customer) == [second]
    assert await default_of(bench, session.customer) is None
    assert (await bench.events())[-2:] == ["customer.updated", "payment_method.detached"]


async def test_nobody_touches_another_customers_card(bench: Bench) -> None:
    mine, theirs = await open_portal(bench), await open_portal(bench)
    await press(bench, theirs, "add", number="4242424242424242")
    (method,) = await methods_of(bench, theirs.customer)
    for action in ("remove", "default"):
        assert "No such PaymentMethod" in (await press(bench, mine, action, method=method)).text
    assert await methods_of(bench, theirs.customer) == [method]


async def test_a_flow_is_about_one_thing_and_leads_on(bench: Bench) -> None:
    done = {"type": "redirect", "redirect": {"return_url": "http://shop.test/done"}}
    session = await open_portal(
        bench, flow_data={"type": "payment_method_update", "after_completion": done}
    )
    page = (await bench.http.get(session.url, auth=None)).text
    assert "Payment methods" in page
    assert "Your details" not in page
    added = await press(bench, session, "add", number="4242424242424242")
    assert added.headers["location"] == "http://shop.test/done"
    off = await configure(bench, payment_method_update={"enabled": False})
    with pytest.raises(stripe.InvalidRequestError, match="does not enable payment_method_update"):
        await open_portal(bench, off, flow_data={"type": "payment_method_update"})


async def test_a_link_lasts_a_short_time(bench: Bench) -> None:
    session = await open_portal(bench)
    await bench.http.get(session.url, auth=None)
    note = bench.app.sandbox.state.get(NOTE, session.id)
    assert note is not None
    assert note["ends"] > session.created + 5 * 60
    with bench.app.sandbox.work() as work:
        work.remember(session.id, ends=work.now - 1)
    for response in (
        await bench.http.get(session.url, auth=None),
        await press(bench, session, "add", number="4242424242424242"),
    ):
        assert response.status_code == 410
        assert "This link has expired" in response.text
    assert await methods_of(bench, session.customer) == []
    assert (await bench.http.get("/p/session/bps_none")).status_code == 404
