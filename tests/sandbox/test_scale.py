"""With 100,000 objects a call still looks at few of them."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
import stripe

from stripe_sandbox.contract.responses import filled, resource_class
from stripe_sandbox.engine.registry import catalogue
from stripe_sandbox.engine.state import State
from stripe_sandbox.engine.table import Row
from stripe_sandbox.testing import Bench

MANY = 50_000  # customers, and as many events
FIRST = 1_700_000_000
FEW = 60


class Counted(dict[str, Row]):
    """Rows that know how often one of them was looked at."""

    looked = 0

    def __getitem__(self, key: str) -> Row:
        self.looked += 1
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.looked += 1
        return super().get(key, default)

    def values(self) -> Any:
        return list(self._each(super().values()))

    def items(self) -> Any:
        return list(self._each(super().items()))

    def _each(self, found: Any) -> Iterator[Any]:
        for one in found:
            self.looked += 1
            yield one


class Crowd:
    """A sandbox full of customers and events."""

    def __init__(self, bench: Bench) -> None:
        self.stripe = bench.stripe
        self._tables = [bench.app.sandbox.state.table(kind) for kind in catalogue().resources]
        for table in self._tables:
            table.rows = Counted(table.rows)

    def looked(self) -> int:
        """How many objects were looked at since this was asked last."""
        found = 0
        for table in self._tables:
            assert isinstance(table.rows, Counted)
            found, table.rows.looked = found + table.rows.looked, 0
        return found


@pytest_asyncio.fixture(scope="module")
async def crowd() -> AsyncIterator[Crowd]:
    async with Bench.open() as bench:
        state = bench.app.sandbox.state
        with state.transaction():
            fill(state)
        yield Crowd(bench)
        state.table("event").rows.clear()  # or each of them is checked when the bench closes


def fill(state: State) -> None:
    customer = filled(resource_class("customer"), {"metadata": {}})
    event = filled(resource_class("event"), {"data": {"object": customer}})
    for number in range(MANY):
        created = FIRST + number
        mail = f"{number}@example.com"
        own = {"id": f"cus_{number}", "email": mail, "created": created}
        state.put("customer", f"cus_{number}", {**customer, **own})
        type = "customer.deleted" if number % 10_000 == 0 else "customer.updated"
        told = {"id": f"evt_{number}", "type": type, "created": created}
        state.put("event", f"evt_{number}", {**event, **told})


async def test_a_retrieve_looks_at_one(crowd: Crowd) -> None:
    crowd.looked()
    assert (await crowd.stripe.v1.customers.retrieve_async("cus_777")).id == "cus_777"
    assert crowd.looked() <= FEW


@pytest.mark.parametrize(
    ("wanted", "first"),
    [
        ({}, "cus_49999"),
        ({"starting_after": "cus_777"}, "cus_776"),
        ({"ending_before": "cus_777"}, "cus_787"),
        ({"created": FIRST + 777}, "cus_777"),
        ({"created": {"lt": FIRST + 777}}, "cus_776"),
        ({"created": {"gte": FIRST + 777, "lt": FIRST + 780}}, "cus_779"),
        ({"email": "777@example.com"}, "cus_777"),
    ],
    ids=str,
)
async def test_a_list_looks_at_little_more_than_a_page(
    crowd: Crowd, wanted: stripe.params.CustomerListParams, first: str
) -> None:
    await crowd.stripe.v1.customers.list_async(wanted)  # an index is made when it is asked for
    crowd.looked()
    page = await crowd.stripe.v1.customers.list_async(wanted)
    assert page.data[0].id == first
    assert crowd.looked() <= FEW


@pytest.mark.parametrize(
    "wanted",
    [{"type": "customer.deleted"}, {"types": ["customer.deleted", "product.created"]}],
    ids=str,
)
async def test_events_of_a_rare_type_are_found_among_many(
    crowd: Crowd, wanted: stripe.params.EventListParams
) -> None:
    await crowd.stripe.v1.events.list_async(wanted)
    crowd.looked()
    page = await crowd.stripe.v1.events.list_async(wanted)
    assert [event.id for event in page.data][-2:] == ["evt_10000", "evt_0"]
    assert crowd.looked() <= FEW


async def test_what_is_bought_looks_at_nobody_else(crowd: Crowd) -> None:
    crowd.looked()
    intent = await crowd.stripe.v1.payment_intents.create_async(
        {
            "amount": 1000,
            "currency": "usd",
            "confirm": True,
            "customer": "cus_777",
            "payment_method": "pm_card_visa",
            "return_url": "https://shop.example",
        }
    )
    await crowd.stripe.v1.refunds.create_async({"payment_intent": intent.id})
    assert crowd.looked() <= 5 * FEW


async def test_a_full_scan_would_be_noticed(crowd: Crowd) -> None:
    crowd.looked()
    await crowd.stripe.v1.customers.search_async({"query": "email:'777@example.com'"})
    assert crowd.looked() >= MANY
