"""Stories of one booking: what customers, Stripe, the network and we do, in any order."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import orjson

from converge.observing import intent_at_stripe, priced_booking
from converge.oracle import differences, expected_booking, expected_payment, payments_of
from payments.stripe_api.service import Delivery
from payments.sync import inbox, process
from payments.sync.sorting import sort_in
from payments.sync.throttle import Throttle
from world import Json, World, together

TOTAL, DEPOSIT = 44_000, 10_000
PAYABLE: Final = ("open", "requires_payment_method", "requires_confirmation", "requires_action")
CARDS: Final = (
    "pm_card_visa",
    "pm_card_chargeDeclined",
    "pm_card_authenticationRequired",
    "pm_usBankAccount",
    "pm_usBankAccount_insufficientFunds",
    "pm_card_pendingRefund",
    "pm_card_refundFail",
)
PURPOSES: Final = ("deposit", "full", "balance", "addon")
PRICES: Final = ((44_000, 10_000), (30_000, 10_000), (44_000, 20_000), (60_000, 5_000))


@dataclass
class Story:
    """One booking under way. `before` holds what Stripe had when the story began."""

    world: World
    booking: Json
    before: set[str]
    price: tuple[int, int] = (TOTAL, DEPOSIT)
    delivered: set[str] = field(default_factory=set)

    def at_stripe(self, kind: str) -> list[Json]:
        """The living objects of this story, oldest first."""
        rows = self.world.sandbox.sandbox.state.rows(kind)
        return [o for id, o in rows.items() if id not in self.before and not o.get("deleted")]

    def sessions(self, *statuses: str) -> list[Json]:
        return [s for s in self.at_stripe("checkout.session") if s["status"] in statuses]

    def intents(self, *statuses: str) -> list[Json]:
        return [i for i in self.at_stripe("payment_intent") if i["status"] in statuses]

    def loose(self, *statuses: str) -> list[Json]:
        """Intents that no session made."""
        made = {session["payment_intent"] for session in self.at_stripe("checkout.session")}
        return [intent for intent in self.intents(*statuses) if intent["id"] not in made]

    async def act(self, method: str, path: str, **form: Any) -> None:
        """Something at Stripe that may be refused; a refusal is part of the story."""
        await self.world.at_stripe(method, path, None, **form)

    async def ask(self, method: str, path: str, body: Json) -> Any:
        """Something of ours that may be refused for good reasons, but never fail."""
        headers = self.world.bearer("u-1", "service")
        answer = await self.world.api.request(method, f"/api/v1{path}", json=body, headers=headers)
        assert answer.status_code in (200, 409), answer.text
        return answer


Move = Callable[[Story, int], Awaitable[None]]


def pick(options: Sequence[Any], n: int) -> Any:
    return options[n % len(options)]


# -- what we do


async def open_something(story: Story, n: int) -> None:
    purpose = pick(PURPOSES, n)
    body: Json = {"booking_id": story.booking["id"], "payment_type": purpose}
    form = n % (2 * len(PURPOSES)) >= len(PURPOSES)
    if purpose == "addon":
        lamp = {"name": "A lamp", "amount_cents": 700 + n}
        body |= {"amount_cents": 700 + n} if form else {"line_items": [lamp]}
    path = "/stripe/create-payment-intent" if form else "/stripe/create-checkout-session"
    await story.ask("POST", path, body)


async def change_the_price(story: Story, n: int) -> None:
    total, deposit = pick(PRICES, n)
    body = {"total_cents": total, "deposit_cents": deposit}
    answer = await story.ask("PUT", f"/bookings/{story.booking['id']}", body)
    if answer.status_code == 200:
        story.price = (total, deposit)


async def look_at_a_session(story: Story, n: int) -> None:
    if sessions := story.at_stripe("checkout.session"):
        await story.ask("GET", f"/stripe/checkout-sessions/{pick(sessions, n)['id']}", {})


# -- what customers and the dashboard do


async def pay(story: Story, n: int) -> None:
    payable = [*story.sessions("open"), *story.loose(*PAYABLE[1:])]
    if not payable:
        return
    chosen, card = pick(payable, n // len(CARDS)), pick(CARDS, n)
    if chosen["object"] == "checkout.session":
        path = f"/v1/payment_pages/{chosen['id']}/confirm"
        form = {"payment_method": card, "expected_amount": chosen["amount_total"]}
    else:
        path = f"/v1/payment_intents/{chosen['id']}/confirm"
        form = {"payment_method": card, "return_url": "https://shop.example/back"}
    await story.act("POST", path, **form)


async def answer_the_bank(story: Story, n: int) -> None:
    asked = story.intents("requires_action")
    if not asked:
        return
    intent = pick(asked, n // 3)
    sessions = [s for s in story.sessions("open") if s["payment_intent"] == intent["id"]]
    path = f"/c/pay/{sessions[0]['id']}/authenticate" if sessions else f"/3ds/{intent['id']}"
    form = {"outcome": "fail" if n % 3 == 0 else "complete"}
    form["client_secret"] = intent["client_secret"]
    await story.world.stripe.post(path, data=form)


async def pay_at_the_desk(story: Story, n: int) -> None:
    """Somebody holds a sum on a card at Stripe itself, in our name."""
    intent = await intent_at_stripe(
        story.world, story.booking, amount=1_000 + n, type="balance", capture_method="manual"
    )
    if n % 4:
        await story.world.confirm(intent, pick(CARDS[:4], n // 4), status=None)


async def capture(story: Story, n: int) -> None:
    if held := story.intents("requires_capture"):
        intent = pick(held, n // 2)
        amount = intent["amount"] // (1 + n % 2)
        path = f"/v1/payment_intents/{intent['id']}/capture"
        await story.act("POST", path, amount_to_capture=amount)


async def call_off(story: Story, n: int) -> None:
    if options := [*story.sessions("open"), *story.loose(*PAYABLE[1:], "requires_capture")]:
        chosen = pick(options, n)
        if chosen["object"] == "checkout.session":
            path = f"/v1/checkout/sessions/{chosen['id']}/expire"
        else:
            path = f"/v1/payment_intents/{chosen['id']}/cancel"
        await story.act("POST", path)


async def refund(story: Story, n: int) -> None:
    if paid := story.intents("succeeded"):
        intent = pick(paid, n // 3)
        parts = {0: {}, 1: {"amount": intent["amount_received"] // 2}, 2: {"amount": 100 + n}}
        await story.act("POST", "/v1/refunds", payment_intent=intent["id"], **parts[n % 3])


async def let_stripe_settle(story: Story, _: int) -> None:
    await story.world.settle()


async def mind_the_catalogue(story: Story, n: int) -> None:
    products = story.at_stripe("product")
    what = pick(("product", "price", "rename", "retire", "delete", "customer"), n)
    if what == "product" or not products:
        await story.act("POST", "/v1/products", name=f"Lamp {n}")
    elif what == "price":
        form = {"product": pick(products, n)["id"], "currency": "usd", "unit_amount": 100 + n}
        await story.act("POST", "/v1/prices", **form)
    elif what == "retire":
        for price in story.at_stripe("price")[:1]:
            await story.act("POST", f"/v1/prices/{price['id']}", active=str(n % 4 > 1).lower())
    elif what == "customer":
        for customer in story.at_stripe("customer")[:1]:
            await story.act("POST", f"/v1/customers/{customer['id']}", name=f"Ann {n}")
    else:
        path = f"/v1/products/{pick(products, n)['id']}"
        if what == "delete":
            await story.act("DELETE", path)
        else:
            await story.act("POST", path, name=f"Lamp of {n}")


# -- what the network and the worker do


async def deliver_some(story: Story, n: int) -> None:
    """Some of what has happened, in any order, whether or not it was delivered before."""
    random = Random(n)
    events = story.at_stripe("event")
    await deliver(story, random.sample(events, random.randint(0, len(events))))


async def deliver(story: Story, events: Sequence[Json]) -> None:
    answers = await asyncio.gather(*(story.world.deliver(event) for event in events))
    assert {answer.status_code for answer in answers} <= {200}
    story.delivered |= {event["id"] for event in events}


async def work_on_payloads(story: Story, _: int) -> None:
    await process.drain_payloads(story.world.ctx.sync)


async def work_on_fetches(story: Story, _: int) -> None:
    await process.drain_fetches(story.world.ctx.sync, Throttle(1000))


async def two_workers(story: Story, _: int) -> None:
    sync, throttle = story.world.ctx.sync, Throttle(1000)
    turns = [process.drain_payloads(sync), process.drain_fetches(sync, throttle)]
    turns += [process.drain_payloads(sync), process.drain_fetches(sync, throttle)]
    results = await together(*turns)
    assert not [result for result in results if isinstance(result, BaseException)]


OPENING: Final[tuple[Move, ...]] = (open_something, pay_at_the_desk)
MOVES: Final[tuple[Move, ...]] = (
    open_something,
    pay,
    pay,
    pay,
    answer_the_bank,
    let_stripe_settle,
    let_stripe_settle,
    capture,
    refund,
    refund,
    call_off,
    pay_at_the_desk,
    change_the_price,
    look_at_a_session,
    mind_the_catalogue,
    deliver_some,
    deliver_some,
    deliver_some,
    work_on_payloads,
    work_on_payloads,
    work_on_fetches,
    two_workers,
)


async def begin(world: World) -> Story:
    state = world.sandbox.sandbox.state
    before = {id for kind in state.kinds() for id in state.rows(kind)}
    return Story(world, await priced_booking(world, total=TOTAL, deposit=DEPOSIT), before)


async def finish(story: Story, seed: int) -> None:
    """Deliver what is missing, with the worker in between, until nothing moves any more."""
    await story.world.settle()
    random = Random(seed)
    left = [e for e in story.at_stripe("event") if e["id"] not in story.delivered]
    left = random.sample(left, len(left))
    while left:
        size = random.randint(1, len(left))
        await deliver(story, left[:size])
        left = left[size:]
        await random.choice((work_on_payloads, work_on_fetches, two_workers))(story, 0)
    await story.world.work()


FORGET: Final = """
    delete from stripe_events; delete from stripe.payment_intents; delete from stripe.refunds;
    delete from stripe.checkout_sessions; delete from stripe.customers;
    delete from stripe.products; delete from stripe.prices;
    update bookings set state = 'pending',
        paid_cents = 0, refunded_cents = 0, addons_cents = 0, processing_cents = 0
"""


async def tell_again(story: Story, seed: int) -> None:
    """All that was mirrored is forgotten; the same events come once more, in an order of their own,
    some of them twice, in batches of their own.
    """
    ctx, random = story.world.ctx, Random(seed)
    await story.world.db.execute(FORGET)
    events = story.at_stripe("event")
    left = random.sample(events, len(events)) + random.choices(events, k=len(events) // 3)
    while left:
        size = random.randint(1, len(left))
        deliveries = [Delivery(event=event, body=orjson.dumps(event)) for event in left[:size]]
        rows = [sort_in(new, ctx.sync.registry, livemode=False) for new in deliveries]
        async with ctx.db.transaction() as tx:
            await inbox.store(tx, rows)
        left = left[size:]
        await random.choice((work_on_payloads, work_on_fetches, two_workers))(story, 0)
    await story.world.work()


async def check(story: Story, *, known: Sequence[str] = ()) -> Json:
    """The service says what follows from Stripe's objects, and nothing waits any more. `known` are
    objects that it has heard of without an event. Returns the booking.
    """
    world, booking = story.world, story.booking
    registry = world.ctx.sync.registry
    stripe = {resource.name: story.at_stripe(resource.name) for resource in registry.resources}
    happened = [event["data"]["object"] for event in story.at_stripe("event")]
    announced = {object["id"] for object in happened if object["object"] in stripe}
    left = "select id, error from stripe_events where not_before is not null or outcome = 'dead'"
    assert await world.rows(left) == []
    assert await differences(world.db, registry, stripe, announced | set(known)) == []
    total, deposit = story.price
    wanted = expected_booking(booking, stripe, total=total, deposit=deposit)
    found = await world.ask("GET", f"/bookings/{booking['id']}", role="service")
    assert {name: found[name] for name in wanted} == wanted
    path = f"/stripe/payments?limit=100&booking_id={booking['id']}"
    shown = await world.ask("GET", path, role="service")
    payments = [expected_payment(intent, stripe) for intent in payments_of(booking, stripe)]
    seen = {p["id"]: {name: p[name] for name in payments[0]} for p in shown["data"]}
    assert seen == {payment["id"]: payment for payment in payments}
    return found


async def check_reservations(story: Story) -> None:
    """What is reserved can be paid; a session whose debit came back is looked at when it is asked
    for again, because it may as well be one whose payment is not known yet.
    """
    rows = await story.world.rows("select stripe_id from open_payables where closed_at is null")
    back = {i["id"] for i in story.intents("requires_payment_method")}
    doubtful = {s["id"] for s in story.sessions("complete") if s["payment_intent"] in back}
    payable = {o["id"] for o in (*story.sessions("open"), *story.loose(*PAYABLE[1:]))}
    assert {row["stripe_id"] for row in rows} <= payable | doubtful


async def check_what_is_due(story: Story, booking: Json) -> None:
    """Whoever asks may pay what is due, and with it nothing else that we have opened for it."""
    due = booking["due_cents"] - booking["processing_cents"]
    body = {"booking_id": story.booking["id"], "payment_type": "full"}
    answer = await story.ask("POST", "/stripe/create-payment-intent", body)
    if due <= 0:
        assert answer.status_code == 409, answer.text
        return
    opened = answer.json()
    assert (answer.status_code, opened["amount_cents"]) == (200, due)
    payable = [*story.sessions("open"), *story.loose(*PAYABLE[1:])]
    ours = [o for o in payable if "payable" in o["metadata"]]
    assert [o["id"] for o in ours if o["metadata"]["payment_type"] != "addon"] == [opened["id"]]
