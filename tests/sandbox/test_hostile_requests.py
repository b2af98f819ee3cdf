"""Bytes that no SDK sends: each is refused in Stripe's shape, and the next call is answered."""

import pytest

from stripe_sandbox.testing import Bench

FORM = {"content-type": "application/x-www-form-urlencoded"}
PARTS = {"content-type": "multipart/form-data; boundary=b"}
DEEP = b"metadata" + b"[a]" * 600 + b"=1"
DIGITS = "9" * 5_000
BODIES = {
    "text that is not UTF-8": ("/v1/customers", b"name=\xff\xfe", FORM),
    "a hash in a hash, far too deep": ("/v1/customers", DEEP, {**FORM, "Idempotency-Key": "deep"}),
    "a part whose head is not UTF-8": ("/v1/files", b"--b\r\n\xff\xff\r\n\r\nz\r\n--b--", PARTS),
    "a part whose value is not UTF-8": (
        "/v1/files",
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n\xff\r\n--b--',
        PARTS,
    ),
}
QUERIES = {
    "a page with more digits than Python reads": ("amount>1", f"page_{DIGITS}"),
    "a page with digits that are no numbers": ("amount>1", "page_²"),
    "a number with more digits than Python reads": (f"amount>{DIGITS}", "page_0"),
}
SWITCHES = {
    "bytes that are no JSON": ("faults", b"\xff"),
    "an endless delay": ("faults", b'{"delay_seconds": 1e999}'),
    "an infinite rate": ("chaos", b'{"drop": 1e999}'),
}


async def still_answers(bench: Bench) -> bool:
    return (await bench.http.get("/v1/account")).status_code == 200


@pytest.mark.parametrize("case", BODIES)
async def test_a_broken_body_is_refused(bench: Bench, case: str) -> None:
    path, body, headers = BODIES[case]
    response = await bench.http.post(path, content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert await still_answers(bench)


async def test_the_dashboard_shows_a_call_whatever_was_sent(bench: Bench) -> None:
    await bench.http.post("/v1/customers", content=DEEP, headers=FORM)
    (call,) = bench.app.sandbox.requests
    assert (await bench.http.get(f"/dashboard/requests/{call.id}")).status_code == 200


@pytest.mark.parametrize("case", QUERIES)
async def test_a_search_beyond_all_numbers_is_refused(bench: Bench, case: str) -> None:
    query, page = QUERIES[case]
    params = {"query": query, "page": page}
    await bench.stripe.v1.payment_intents.create_async(
        {"amount": 100, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa"}
    )
    response = await bench.http.get("/v1/charges/search", params=params)
    assert response.status_code == 400
    assert response.json()["error"]["param"] in {"page", "query"}


@pytest.mark.parametrize("case", SWITCHES)
async def test_a_switch_takes_no_nonsense(bench: Bench, case: str) -> None:
    switch, body = SWITCHES[case]
    response = await bench.http.post(f"/_sandbox/{switch}", content=body)
    assert response.status_code == 400
    await bench.http.delete(f"/_sandbox/{switch}")
    assert await still_answers(bench)


@pytest.mark.parametrize("switch", ["reset", "settle", "webhooks/pause", "keys", "faults", "chaos"])
async def test_another_site_cannot_press_a_switch(bench: Bench, switch: str) -> None:
    headers = {"origin": "https://evil.test", "sec-fetch-site": "cross-site"}
    body = b'{"key": "sk_test_1"}' if switch == "keys" else b"{}"
    response = await bench.http.post(f"/_sandbox/{switch}", content=body, headers=headers)
    assert response.status_code == 403


async def test_a_missing_file_of_the_pages_is_a_404(bench: Bench) -> None:
    assert (await bench.http.get("/_sandbox/static/none.js")).status_code == 404
