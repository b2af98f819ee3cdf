"""Lists, searches and expansions, which every resource shares."""

import pytest
import stripe

from stripe_sandbox.contract.errors import StripeError
from stripe_sandbox.engine.listing import matching
from stripe_sandbox.engine.registry import catalogue
from stripe_sandbox.testing import Bench


async def customers(bench: Bench, count: int) -> list[str]:
    """Newest first."""
    made = [
        (await bench.stripe.v1.customers.create_async({"email": f"c{n}@example.com"})).id
        for n in range(count)
    ]
    return made[::-1]


async def test_a_list_is_newest_first_and_ten_long(bench: Bench) -> None:
    made = await customers(bench, 12)
    page = await bench.stripe.v1.customers.list_async()
    assert [customer.id for customer in page.data] == made[:10]
    assert (page.has_more, page.url) == (True, "/v1/customers")


async def test_the_sdk_pages_through_everything(bench: Bench) -> None:
    made = await customers(bench, 7)
    page = await bench.stripe.v1.customers.list_async({"limit": 3})
    assert [customer.id async for customer in page.auto_paging_iter()] == made


async def test_a_page_before_an_object_ends_at_it(bench: Bench) -> None:
    made = await customers(bench, 6)
    page = await bench.stripe.v1.customers.list_async({"limit": 2, "ending_before": made[4]})
    assert ([customer.id for customer in page.data], page.has_more) == (made[2:4], True)
    first = await bench.stripe.v1.customers.list_async({"limit": 9, "ending_before": made[2]})
    assert ([customer.id for customer in first.data], first.has_more) == (made[:2], False)


@pytest.mark.parametrize("cursor", ["starting_after", "ending_before"])
async def test_an_unknown_cursor_is_a_bad_request(bench: Bench, cursor: str) -> None:
    response = await bench.http.get("/v1/customers", params={cursor: "cus_none"})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (
        400,
        "resource_missing",
        cursor,
    )


@pytest.mark.parametrize("limit", [0, 101])
async def test_a_page_holds_one_to_a_hundred(bench: Bench, limit: int) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await bench.stripe.v1.customers.list_async({"limit": limit})
    assert refused.value.param == "limit"


async def test_created_is_a_moment_or_a_range(bench: Bench) -> None:
    made = await customers(bench, 3)
    with bench.app.sandbox.work() as work:
        for age, id in enumerate(made):
            work.change(work.find("customer", id), created=1_000 - age)
    listed = bench.stripe.v1.customers.list_async
    assert [c.id for c in (await listed({"created": 999})).data] == [made[1]]
    assert [c.id for c in (await listed({"created": {"gte": 999}})).data] == made[:2]
    assert [c.id for c in (await listed({"created": {"gt": 998, "lt": 1000}})).data] == [made[1]]
    assert [c.id for c in (await listed({"created": {"lte": 998}})).data] == [made[2]]


async def test_an_e_mail_finds_its_customers(bench: Bench) -> None:
    made = await customers(bench, 3)
    page = await bench.stripe.v1.customers.list_async({"email": "c1@example.com"})
    assert [customer.id for customer in page.data] == [made[1]]


def test_a_filter_that_is_not_simulated_says_so() -> None:
    charges = catalogue().resources["charge"]
    with pytest.raises(StripeError, match="the parameter payout of GET /v1/charges"):
        matching([], charges, {"payout": "po_1"}, url="/v1/charges")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("email:'c1@example.com'", [1]),
        ("email:'C1@EXAMPLE.COM'", [1]),
        ('email:"c1@example.com"', [1]),
        ("email~'example'", [2, 1, 0]),
        ("metadata['n']:'2'", [2]),
        ("metadata['n']:'2' OR metadata['n']:'0'", [2, 0]),
        ("metadata['n']:'2' AND email:'c1@example.com'", []),
        ("-metadata['n']:'2'", [1, 0]),
        ("-name:null", [1]),
        ("name:null", [2, 0]),
        ("name:'O\\'Hara' AND created>0", [1]),
        ("created>4000000000", []),
        ("created<4000000000", [2, 1, 0]),
    ],
)
async def test_a_search_is_understood(bench: Bench, query: str, found: list[int]) -> None:
    ids = (await customers(bench, 3))[::-1]
    for n, id in enumerate(ids):
        await bench.stripe.v1.customers.update_async(id, {"metadata": {"n": str(n)}})
    await bench.stripe.v1.customers.update_async(ids[1], {"name": "O'Hara"})
    result = await bench.stripe.v1.customers.search_async({"query": query})
    assert [customer.id for customer in result.data] == [ids[n] for n in found]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "email",
        "email:'a' email:'b'",
        "email:'a' AND",
        "AND email:'a'",
        "email:'a' AND name:'b' OR name:'c'",
        "shoe_size:'44'",
        "email~'ab'",
        "created>'soon'",
        "email:'a",
    ],
)
async def test_a_search_that_cannot_be_read_is_refused(bench: Bench, query: str) -> None:
    await customers(bench, 1)
    response = await bench.http.get("/v1/customers/search", params={"query": query})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "query")


async def test_a_search_has_pages(bench: Bench) -> None:
    made = await customers(bench, 5)
    result = await bench.stripe.v1.customers.search_async({"query": "email~'example'", "limit": 2})
    assert [customer.id async for customer in result.auto_paging_iter()] == made


async def test_a_path_of_four_levels_is_expanded_and_no_more(bench: Bench) -> None:
    customer = await bench.stripe.v1.customers.create_async()
    await bench.stripe.v1.payment_intents.create_async(
        {
            "amount": 1_000,
            "currency": "usd",
            "confirm": True,
            "payment_method": "pm_card_visa",
            "customer": customer.id,
        }
    )
    deep = "data.payment_intent.latest_charge.payment_intent.customer"
    page = await bench.stripe.v1.charges.list_async({"expand": [deep]})
    intent = page.data[0].payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert isinstance(charge.payment_intent, stripe.PaymentIntent)
    assert isinstance(charge.payment_intent.customer, stripe.Customer)
    with pytest.raises(stripe.InvalidRequestError, match="more than 4 levels"):
        await bench.stripe.v1.charges.list_async({"expand": [f"{deep}.default_source"]})


@pytest.mark.parametrize(
    "path", ["email", "nothing", "data.customer", "invoice_settings", "address.city"]
)
async def test_what_is_no_reference_cannot_be_expanded(bench: Bench, path: str) -> None:
    (id,) = await customers(bench, 1)
    await bench.stripe.v1.customers.update_async(id, {"address": {"city": "Rom"}})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await bench.stripe.v1.customers.retrieve_async(id, {"expand": [path]})
    assert refused.value.user_message == f"This property cannot be expanded ({path})."


async def test_a_list_is_expanded_through_data(bench: Bench) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await bench.stripe.v1.charges.list_async({"expand": ["customer"]})


async def test_a_trace_of_a_deleted_object_has_nothing_to_expand(bench: Bench) -> None:
    intents = bench.stripe.v1.payment_intents
    (id,) = await customers(bench, 1)
    intent = await intents.create_async({"amount": 1_000, "currency": "usd", "customer": id})
    await bench.stripe.v1.customers.delete_async(id)
    path = "customer.invoice_settings.default_payment_method"
    shown = await intents.retrieve_async(intent.id, {"expand": [path]})
    assert isinstance(shown.customer, stripe.Customer)
    assert shown.customer.to_dict() == {"id": id, "object": "customer", "deleted": True}


async def test_what_is_shown_on_request_is_an_empty_list_at_first(bench: Bench) -> None:
    (id,) = await customers(bench, 1)
    customer = await bench.stripe.v1.customers.retrieve_async(
        id, {"expand": ["sources", "invoice_settings.default_payment_method"]}
    )
    assert customer.sources is not None
    assert customer.sources.data == []
