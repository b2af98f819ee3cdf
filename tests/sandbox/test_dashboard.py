"""The dashboard by its pages and buttons alone: what it shows, does and keeps quiet."""

import re
from html import unescape

import httpx2
import pytest
import stripe

from stripe_sandbox.testing import SECRET, Bench

PAGES = ("/", *(f"/dashboard/{name}" for name in ("webhooks", "requests", "clocks", "switches")))


async def show(bench: Bench, path: str, status: int = 200) -> str:
    answer = await bench.http.get(path, auth=None)
    assert answer.status_code == status, answer.text
    return unescape(re.sub(r"<[^>]+>", "", answer.text))


async def press(bench: Bench, action: str, **values: str) -> httpx2.Response:
    return await bench.http.post(f"/dashboard/do/{action}", data=values)


async def paid(bench: Bench) -> stripe.PaymentIntent:
    customer = await bench.stripe.v1.customers.create_async({"email": "jenny@example.com"})
    return await bench.stripe.v1.payment_intents.create_async(
        {
            "amount": 155_000,
            "currency": "usd",
            "confirm": True,
            "customer": customer.id,
            "payment_method": "pm_card_visa",
            "description": "Tea <& cake>",
        }
    )


async def last_event(bench: Bench) -> stripe.Event:
    return (await bench.stripe.v1.events.list_async({"limit": 1})).data[0]


async def test_an_empty_sandbox_says_how_to_begin(bench: Bench) -> None:
    page = await show(bench, "/")
    assert 'base_addresses={"api": "http://sandbox.test"}' in page
    assert "--api-base http://sandbox.test" in page


async def test_the_overview_counts_and_tells_what_happened_last(bench: Bench) -> None:
    await paid(bench)
    page = await show(bench, "/")
    assert re.search(r"payment intent\s*1\b", page)
    assert "payment_intent.succeeded" in page
    assert "POST /v1/payment_intents" in page
    assert "Nothing has happened yet" not in page


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("", 3), ("status=succeeded", 1), ("tea", 1), ("status=succeeded tea", 1), ("coffee", 0)],
)
async def test_a_list_is_filtered_by_words_and_fields(
    bench: Bench, wanted: str, found: int
) -> None:
    await paid(bench)
    for _ in range(2):
        await bench.stripe.v1.payment_intents.create_async({"amount": 100, "currency": "usd"})
    url = f"/dashboard/objects/payment_intent?wanted={wanted}"
    page = (await bench.http.get(url)).text
    assert page.count('href="/dashboard/objects/id/pi_') == found
    assert ("Tea &lt;&amp; cake&gt;" in page) is (found > 0)


async def test_a_long_list_goes_on(bench: Bench) -> None:
    for _ in range(60):
        await bench.stripe.v1.customers.create_async()
    seen: set[str] = set()
    url = "/dashboard/objects/customer"
    for expected in (50, 10):
        page = (await bench.http.get(url)).text
        ids = set(re.findall(r'href="/dashboard/objects/id/(cus_\w+)"', page))
        assert len(ids - seen) == expected
        seen |= ids
        onward = re.search(r'rel="next" href="([^"]+)"', page)
        url = "/dashboard/objects/customer" + unescape(onward.group(1)) if onward else ""
    assert not url


async def test_an_object_is_shown_with_links_and_events(bench: Bench) -> None:
    intent = await paid(bench)
    page = (await bench.http.get(f"/dashboard/objects/id/{intent.id}")).text
    assert f'&#34;<a href="/dashboard/objects/id/{intent.customer}">' in page
    assert "Tea &lt;&amp; cake&gt;" in page
    assert "payment_intent.succeeded</a>" in page
    charge = (await bench.http.get(f"/dashboard/objects/id/{intent.latest_charge}")).text
    assert f'<a href="http://sandbox.test/receipts/{intent.latest_charge}">' in charge
    found = await bench.http.get("/dashboard/find", params={"id": f" {intent.id} "})
    assert found.headers["location"] == f"/dashboard/objects/id/{intent.id}"
    for unknown in ("objects/id/pi_none", "objects/unicorn"):
        await show(bench, f"/dashboard/{unknown}", 404)


async def test_an_event_shows_its_attempts_and_is_sent_again(bench: Bench) -> None:
    bench.shop.answers.extend([500, RuntimeError("broken"), 500, 500])
    await bench.stripe.v1.customers.create_async()
    await bench.deliver()
    event = await last_event(bench)
    url = f"/dashboard/objects/id/{event.id}"
    page = await show(bench, url)
    assert "given up" in page
    assert "RuntimeError('broken')" in page
    answer = await press(bench, "resend", event=event.id, endpoint="we_configured")
    assert (answer.status_code, answer.headers["location"]) == (303, url)
    await bench.deliver()
    assert "delivered" in await show(bench, url)
    assert bench.shop.types == ["customer.created"]


async def test_a_request_is_shown_without_secrets(bench: Bench) -> None:
    form = {"type": "card", "card[number]": "4242424242424242"}
    await bench.http.post("/v1/payment_methods", data=form, headers={"Idempotency-Key": "key-1"})
    call = bench.app.sandbox.requests[-1]
    assert "key-1" in await show(bench, "/dashboard/requests")
    page = await show(bench, f"/dashboard/requests/{call.id}")
    assert '"object": "payment_method"' in page
    assert "4242424242424242" not in page
    await show(bench, "/dashboard/requests/req_none", 404)


async def test_endpoints_are_added_rolled_paused_and_disabled(bench: Bench) -> None:
    await press(bench, "add", url="http://two.test", types="invoice.paid, charge.refunded")
    page = await show(bench, "/dashboard/webhooks")
    assert "http://two.test" in page
    assert "charge.refunded" in page
    assert SECRET in page
    await press(bench, "roll", endpoint="we_configured", hours="0")
    assert SECRET not in await show(bench, "/dashboard/webhooks")
    await press(bench, "disable", endpoint="we_configured")
    endpoint = await bench.stripe.v1.webhook_endpoints.retrieve_async("we_configured")
    assert endpoint.status == "disabled"
    await press(bench, "enable", endpoint="we_configured")
    await press(bench, "pause")
    await bench.stripe.v1.customers.create_async()
    assert "paused" in await show(bench, "/dashboard/webhooks")
    await press(bench, "resume")
    await bench.deliver()
    assert bench.shop.types == ["customer.created"]


async def test_a_clock_is_advanced(bench: Bench) -> None:
    clock = await bench.stripe.v1.test_helpers.test_clocks.create_async(
        {"frozen_time": 1_577_836_800, "name": "Renewals"}
    )
    for values, time in (
        ({"days": "31"}, "2020-02-01"),
        ({"to": "2020-03-01T12:30"}, "2020-03-01"),
    ):
        await press(bench, "advance", clock=clock.id, **values)
        await bench.settle()
        page = await show(bench, "/dashboard/clocks")
        assert "Renewals" in page
        assert time in page
    back = await press(bench, "advance", clock=clock.id, to="2019-01-01T00:00")
    assert back.status_code == 400
    assert "must be after" in back.text


async def test_switches_bring_chaos_and_settle_and_empty(bench: Bench) -> None:
    await press(bench, "chaos", rates="429=1", seed="7")
    assert (await bench.http.get("/v1/account")).status_code == 429
    assert "429 1.0; seed 7" in await show(bench, "/dashboard/switches")
    await press(bench, "chaos", rates="0")
    intent = await paid(bench)
    await press(bench, "settle")
    assert "charge.updated" in await bench.events()
    assert "Delete everything" in await show(bench, "/dashboard/reset")
    assert (await press(bench, "reset")).headers["location"] == "/"
    await show(bench, f"/dashboard/objects/id/{intent.id}", 404)


@pytest.mark.parametrize(
    ("action", "values"),
    [("fly", {}), ("chaos", {"rates": "often"}), ("resend", {}), ("add", {"url": "ftp://x"})],
)
async def test_a_wrong_wish_is_refused_in_words(
    bench: Bench, action: str, values: dict[str, str]
) -> None:
    answer = await press(bench, action, **values)
    assert answer.status_code in {400, 404}
    assert "<h1" in answer.text


async def test_another_site_presses_no_button(bench: Bench) -> None:
    await bench.stripe.v1.customers.create_async()
    headers = {"Sec-Fetch-Site": "cross-site"}
    answer = await bench.http.post("/dashboard/do/reset", headers=headers)
    assert answer.status_code == 403
    assert len((await bench.stripe.v1.customers.list_async()).data) == 1


async def test_the_pages_need_nothing_from_elsewhere_and_no_script(bench: Bench) -> None:
    await paid(bench)
    for path in PAGES:
        answer = await bench.http.get(path)
        assert "<script" not in answer.text
        assert "style=" not in answer.text
        assert "unsafe" not in answer.headers["content-security-policy"]
        sources = re.findall(r'<link [^>]*href="(/[^"]+)"', answer.text)
        assert sources
        for source in sources:
            assert (await bench.http.get(source)).status_code == 200
