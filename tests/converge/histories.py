"""What happens to a payment at Stripe, told once and kept moment by moment, so that it can be heard
in thousands of orders: each moment's objects, and the events made by then.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from converge.observing import plan_at_stripe, priced_booking, refund_at_stripe
from stripe_sandbox.engine.work import JOB
from world import Json, World

TOTAL, DEPOSIT = 44_000, 10_000
DAY: Final = 86_400

Rows = dict[tuple[str, str], Json]
"""Stripe's objects by kind and id."""


@dataclass(frozen=True)
class Moment:
    """What an act has left at Stripe: the objects that it made or changed, and its events."""

    objects: Rows
    events: Sequence[Json]


@dataclass(frozen=True)
class History:
    booking: Json
    moments: Sequence[Moment]

    @property
    def events(self) -> list[Json]:
        return [event for moment in self.moments for event in moment.events]

    @property
    def ending(self) -> dict[str, list[Json]]:
        """Its objects as Stripe has them in the end, by kind."""
        last = {key: row for moment in self.moments for key, row in moment.objects.items()}
        found: dict[str, list[Json]] = {}
        for (kind, _), row in last.items():
            found.setdefault(kind, []).append(row)
        return found


class Teller:
    """Acts at Stripe for one booking, and remembers what that has changed."""

    def __init__(self, world: World, booking: Json) -> None:
        self.world = world
        self.booking = booking
        self.moments: list[Moment] = []
        self._known = rows_at_stripe(world)

    def remember(self) -> None:
        now = rows_at_stripe(self.world)
        changed = {key: row for key, row in now.items() if self._known.get(key) != row}
        events = [row for (kind, _), row in changed.items() if kind == "event"]
        kept = {key: row for key, row in changed.items() if key[0][0] != "~"}
        self.moments.append(Moment(kept, events))
        self._known = now

    async def open(self, form: str) -> Json:
        body = {"booking_id": self.booking["id"], "payment_type": "deposit"}
        opened = await self.world.ask("POST", f"/stripe/{form}", body, role="service")
        self.remember()
        return opened

    async def session(self) -> Json:
        return await self.open("create-checkout-session")

    async def intent(self) -> Json:
        return await self.open("create-payment-intent")

    async def confirm(self, intent: Json, card: str) -> None:
        await self.world.confirm(intent, card, status=None)
        self.remember()

    async def settle(self) -> None:
        await self.world.settle()
        self.remember()

    async def post(self, path: str, **form: Any) -> Json:
        """Something that is done at Stripe itself."""
        made = await self.world.at_stripe("POST", path, **form)
        self.remember()
        return made

    async def advance(self, plan: Json, *, days: int) -> None:
        """A customer's clock goes on, and what falls due on the way happens."""
        path = f"/v1/test_helpers/test_clocks/{plan['test_clock']}"
        now = (await self.world.at_stripe("GET", path))["frozen_time"]
        await self.world.at_stripe("POST", f"{path}/advance", frozen_time=now + days * DAY)
        await self.settle()

    async def refund(self, intent: Json, **form: Any) -> Json:
        made = await refund_at_stripe(self.world, intent, **form)
        self.remember()
        return made


def rows_at_stripe(world: World) -> Rows:
    """A copy; the sandbox replaces nested values and never changes them."""
    state = world.sandbox.sandbox.state
    return {(kind, id): dict(row) for kind in state.kinds() for id, row in state.rows(kind).items()}


# -- the histories


async def paid(told: Teller) -> None:
    await told.world.pay(await told.session())
    told.remember()


async def declined_then_paid_in_one_second(told: Teller) -> None:
    intent = await told.intent()
    await told.confirm(intent, "pm_card_chargeDeclined")
    await told.confirm(intent, "pm_card_visa")


async def a_debit_that_fails(told: Teller) -> None:
    await told.world.pay(await told.session(), "pm_usBankAccount_insufficientFunds")
    told.remember()
    await told.settle()


async def a_refund_that_is_pending_then_succeeds_then_fails(told: Teller) -> None:
    intent = await told.intent()
    await told.confirm(intent, "pm_card_pendingRefund")
    refund = await told.refund(intent, amount=3_000)
    await told.settle()
    # No test card does all three, so what the bank does days later is asked for by name.
    come_back = {"job": "refund.come_back", "subject": refund["id"], "due": 0.0, "settles": True}
    state = told.world.sandbox.sandbox.state
    state.put(JOB, f"refund.come_back {refund['id']}", come_back)
    await told.settle()


async def two_partial_refunds(told: Teller) -> None:
    intent = await told.intent()
    await told.confirm(intent, "pm_card_visa")
    await told.refund(intent, amount=3_000)
    await told.refund(intent, amount=4_000)


async def a_dispute_won_late(told: Teller) -> None:
    intent = await told.intent()
    await told.confirm(intent, "pm_card_createDispute")
    await told.settle()
    [dispute] = (await told.world.at_stripe("GET", "/v1/disputes"))["data"]
    form: Json = {"evidence[uncategorized_text]": "winning_evidence", "submit": "true"}
    await told.world.at_stripe("POST", f"/v1/disputes/{dispute['id']}", **form)
    told.remember()
    await told.settle()


async def a_session_that_expires(told: Teller) -> None:
    session = await told.session()
    path = f"/v1/checkout/sessions/{session['session_id']}/expire"
    await told.world.at_stripe("POST", path)
    told.remember()


async def a_plan_that_is_tried_paid_and_renewed(told: Teller) -> None:
    plan = await subscribed(told, trial_period_days=3)
    await told.advance(plan, days=4)
    await told.advance(plan, days=36)


async def a_renewal_that_fails_is_paid_later_and_canceled(told: Teller) -> None:
    plan = await subscribed(told)
    path = f"/v1/subscriptions/{plan['id']}"
    broken = await told.world.at_stripe(
        "POST",
        "/v1/payment_methods/pm_card_chargeCustomerFail/attach",
        customer=plan["customer"],
    )
    await told.post(path, default_payment_method=broken["id"])
    await told.advance(plan, days=32)
    await told.post(path, default_payment_method="")
    overdue = (await told.world.at_stripe("GET", path))["latest_invoice"]
    await told.post(f"/v1/invoices/{overdue}/pay")
    await told.world.at_stripe("DELETE", path)
    told.remember()


async def a_users_plan_that_is_renewed_twice_and_given_back_in_part(told: Teller) -> None:
    plan = await subscribed(told)
    link = {"stripe_customer_id": plan["customer"]}
    await told.world.ask("PUT", "/customers/u-renewed", link, role="admin")
    await told.refund(await first_payment(told, plan), amount=333)
    await told.advance(plan, days=32)
    await told.refund(await first_payment(told, plan), amount=667)
    await told.advance(plan, days=28)


async def first_payment(told: Teller, plan: Json) -> Json:
    """The PaymentIntent of a plan's first invoice."""
    path = f"/v1/invoices?subscription={plan['id']}&limit=100"
    first = (await told.world.at_stripe("GET", path))["data"][-1]
    path = f"/v1/invoice_payments?invoice={first['id']}"
    [paid] = (await told.world.at_stripe("GET", path))["data"]
    return {"id": paid["payment"]["payment_intent"]}


async def subscribed(told: Teller, **form: Any) -> Json:
    """A monthly plan of a customer on a clock of his own."""
    path = "/v1/test_helpers/test_clocks"
    clock = await told.world.at_stripe("POST", path, frozen_time=1_800_000_000)
    plan = await plan_at_stripe(told.world, clock=clock["id"], **form)
    told.remember()
    return plan | {"test_clock": clock["id"]}


HISTORIES: Final[tuple[Callable[[Teller], Awaitable[None]], ...]] = (
    paid,
    declined_then_paid_in_one_second,
    a_debit_that_fails,
    a_refund_that_is_pending_then_succeeds_then_fails,
    two_partial_refunds,
    a_dispute_won_late,
    a_session_that_expires,
    a_plan_that_is_tried_paid_and_renewed,
    a_renewal_that_fails_is_paid_later_and_canceled,
    a_users_plan_that_is_renewed_twice_and_given_back_in_part,
)


async def tell(world: World) -> list[History]:
    """Let all of it happen at Stripe, one after the other; nothing is delivered yet."""
    told = []
    for happens in HISTORIES:
        booking = await priced_booking(world, total=TOTAL, deposit=DEPOSIT)
        teller = Teller(world, booking)
        await happens(teller)
        told.append(History(booking, teller.moments))
    return told
