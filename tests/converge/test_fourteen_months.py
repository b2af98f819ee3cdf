"""A plan's life of fourteen months on a test clock, on bad days: nothing paid for is missing."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from uuid import uuid4

import httpx2
import pytest

from converge.oracle import differences
from payments.domains.catalog.sync_file import SHIPPED, read
from payments.domains.subscriptions.tables import SUBSCRIPTION
from service.accounts import ensure_sound, sell, tend
from stripe_sandbox.engine.work import NOTE
from stripe_sandbox.http import ConnectionCut
from world import API, SECRET, Json, World

BEGIN = "2027-01-15T08:00"
RATES = {
    "duplicate": 0.3, "reorder": 0.3, "delay": 0.3, "drop": 0.2, "seconds": 0.02,
    "429": 0.05, "500_before": 0.05, "500_after": 0.05, "cut": 0.05,
}  # fmt: skip
STARTER, PRO = ("starter", 999, 200), ("pro", 2_999, 1_000)
USES = {None: [], "starter": ["ai_generation"], "pro": ["ai_generation", "image_processing"]}
PASSING = ("in_flight", "stripe_failed", "stripe_busy", "stripe_timeout")


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)


@dataclass(frozen=True)
class Expected:
    """What a user has, whatever was lost on the way."""

    status: str
    plan: str | None
    credits: int
    paid: int

    @property
    def entitled(self) -> bool:
        return self.plan is not None


@dataclass
class Life:
    """A customer with one plan, while Stripe, the network and the order of events misbehave."""

    world: World
    random: Random
    clock: str = ""
    customer: str = ""
    subscription: str = ""
    expected: Expected = field(default_factory=lambda: Expected("trialing", "starter", 0, 0))
    arrived: int = 0
    lost: int = 0
    failed: int = 0

    async def begin(self, seed: int) -> None:
        world, sandbox = self.world, self.world.sandbox.sandbox
        await sell(world, *read(SHIPPED))
        sandbox.courier._given = world.api
        form: Json = {"url": f"{API}/api/v1/stripe/webhook", "enabled_events[0]": "*"}
        made = await world.at_stripe("POST", "/v1/webhook_endpoints", **form)
        sandbox.state.change(NOTE, made["id"], secret=SECRET)
        await world.stripe.post("/_sandbox/chaos", json={"seed": seed, **RATES})
        begin = int(at(BEGIN).timestamp())
        clock = await self.at_stripe("/v1/test_helpers/test_clocks", frozen_time=begin)
        self.clock = clock["id"]
        card: Json = {"payment_method": "pm_card_visa", "test_clock": self.clock}
        card["invoice_settings[default_payment_method]"] = "pm_card_visa"
        self.customer = (await self.at_stripe("/v1/customers", **card))["id"]
        self._wind(at(BEGIN))
        body = {"stripe_customer_id": self.customer}
        await self.ask("PUT", "/customers/u-1", body, role="service")

    async def at_stripe(self, path: str, *, twice: int = 200, **form: object) -> Json:
        """What somebody does at Stripe, who tries until it is done; `twice` is what he then hears
        if it had been done before.
        """
        while True:
            try:
                answer = await self.world.stripe.post(path, data=form)
            except (httpx2.HTTPError, ConnectionCut):
                continue
            if answer.status_code not in (429, 500):
                assert answer.status_code in (200, twice), answer.text
                return dict(answer.json())
            self.failed += 1

    async def ask(self, method: str, path: str, body: Json | None = None, **who: str) -> Json:
        """What a front end asks of the service, with one key until there is an answer."""
        headers = self.world.bearer(who.get("user", "u-1"), who.get("role", "user"))  # type: ignore[arg-type]
        headers["Idempotency-Key"] = uuid4().hex
        for _ in range(40):
            answer = await self.world.api.request(
                method, f"/api/v1{path}", json=body, headers=headers
            )
            if answer.is_success:
                return dict(answer.json())
            assert answer.json()["code"] in PASSING, answer.text
            await self.hear()
        raise AssertionError(f"{method} {path} never came to an end: {answer.text}")

    async def until(self, moment: str, **changed: object) -> None:
        """Time goes on, and then this is what the user has."""
        to = at(moment)
        path = f"/v1/test_helpers/test_clocks/{self.clock}/advance"
        await self.at_stripe(path, twice=400, frozen_time=int(to.timestamp()))
        await self.world.settle()
        self._wind(to)
        await self.check(**changed)

    def _wind(self, to: datetime) -> None:
        self.world.clock.ahead = to - datetime.now(UTC)

    async def hear(self) -> None:
        """All that was sent arrives; what was not is sent again, in any order; the worker works."""
        world = self.world
        await world.sandbox.sandbox.courier.drained()
        known = {id for (id,) in await world.rows("select id from stripe_events")}
        lost = [event for event in await self.events() if event["id"] not in known]
        self.arrived += len(known)
        self.lost += len(lost)
        self.random.shuffle(lost)
        for event in lost:
            assert (await world.deliver(event)).status_code == 200
        due = "update stripe_events set not_before = now() - interval '1 s' where done_at is null"
        while await world.db.execute(due) != "UPDATE 0":
            await world.work()

    async def events(self) -> list[Json]:
        rows = self.world.sandbox.sandbox.state.rows("event").values()
        return [await self.read(f"/v1/events/{row['id']}") for row in rows]

    async def read(self, path: str, **query: str) -> Json:
        while True:
            try:
                answer = await self.world.stripe.get(path, params=query)
            except (httpx2.HTTPError, ConnectionCut):
                continue
            if answer.status_code == 200:
                return dict(answer.json())

    async def check(self, **changed: object) -> None:
        self.expected = replace(self.expected, **changed)  # type: ignore[arg-type]
        await self.hear()
        await tend(self.world)
        wanted = self.expected
        seen = await self.ask("GET", "/financial/subscriptions/u-1/summary")
        assert (seen["entitled"], seen["entitlements"]) == (wanted.entitled, USES[wanted.plan])
        found = await self.ask("GET", f"/stripe/subscriptions/{self.subscription}")
        assert (found["status"], found["entitled"]) == (wanted.status, wanted.entitled)
        if wanted.plan:
            assert [plan["lookup_key"] for plan in found["plans"]] == [wanted.plan]
        account = await self.ask("GET", "/financial/credits/u-1")
        assert (account["balance"], account["debt"]) == (wanted.credits, 0)
        rows = await self.world.rows(
            "select coalesce(sum(amount_received), 0) as paid from stripe.payment_intents "
            "where status = 'succeeded'"
        )
        assert rows[0]["paid"] == wanted.paid
        await self._ensure_equal()

    async def _ensure_equal(self) -> None:
        """Every mirror says what Stripe says, and the ledger adds up."""
        state, registry = self.world.sandbox.sandbox.state, self.world.ctx.sync.registry
        stripe = {r.name: list(state.rows(r.name).values()) for r in registry.resources}
        with_coupon = {"expand[]": "discounts.source.coupon"}
        whole = await self.read(f"/v1/subscriptions/{self.subscription}", **with_coupon)
        stripe[SUBSCRIPTION.name] = [whole]
        assert await differences(self.world.db, registry, stripe, [self.subscription]) == []
        await ensure_sound(self.world)


async def live(world: World, seed: int) -> None:
    life = Life(world, Random(seed))
    await life.begin(seed)
    await _trial(life)
    await _renewals(life, STARTER, ["2027-02-28", "2027-03-29", "2027-04-29"])
    await _decline(life)
    await _upgrade(life)
    await _renewals(life, PRO, ["2027-06-29"])
    await _coupons(life)
    await _renewals(life, PRO, ["2027-10-29", "2027-11-29", "2027-12-29"])
    await _renewals(life, PRO, ["2028-01-29", "2028-02-29"])
    await _end(life)
    assert min(life.arrived, life.lost, life.failed) > 0, "these were no bad days"


async def _trial(life: Life) -> None:
    body = {"product_id": "starter", "trial_days": 14, "user_id": "u-1"}
    made = await life.ask("POST", "/stripe/create-subscription", body, role="service", user="shop")
    life.subscription = made["id"]
    await life.check()
    await life.until("2027-01-26T09:00")
    await life.until("2027-01-29T08:30", status="active")
    await life.until("2027-01-29T10:00", credits=200, paid=999)
    await life.ask("POST", "/financial/credits/u-1/spend", {"amount": 50, "reason": "a picture"})
    await life.check(credits=150)


async def _renewals(life: Life, plan: tuple[str, int, int], days: Sequence[str]) -> None:
    """Between a period and the payment for the next, what there was is still there."""
    _, price, credits = plan
    for day in days:
        await life.until(f"{day}T08:30")
        await life.until(f"{day}T10:00", credits=credits, paid=life.expected.paid + price)


async def _decline(life: Life) -> None:
    """The card fails, and is replaced while Stripe still tries."""
    attach = "/v1/payment_methods/pm_card_chargeCustomerFail/attach"
    broken = await life.at_stripe(attach, customer=life.customer)
    at_stripe = f"/v1/subscriptions/{life.subscription}"
    await life.at_stripe(at_stripe, default_payment_method=broken["id"])
    await life.until("2027-05-29T10:00", status="past_due")
    path = f"/stripe/subscriptions/{life.subscription}"
    await life.until("2027-05-31T09:00")
    await life.at_stripe(at_stripe, default_payment_method="")
    await life.ask("POST", f"{path}/retry-payment")
    await life.check(status="active", credits=200, paid=life.expected.paid + 999)


async def _upgrade(life: Life) -> None:
    """In the middle of a month: its price is shown, charged at once, and brings no credits."""
    await life.until("2027-06-14T20:00")
    path = f"/stripe/subscriptions/{life.subscription}/change-plan"
    shown = await life.ask("POST", path, {"product_id": "pro", "preview": True})
    assert 0 < shown["amount_due_cents"] < 2_999 - 999
    body = {"product_id": "pro", "proration_date": shown["proration_date"]}
    await life.ask("POST", path, body)
    await life.check(plan="pro", paid=life.expected.paid + shown["amount_due_cents"])


async def _coupons(life: Life) -> None:
    """A month for nothing brings its credits; so do two at a quarter off."""
    at_stripe = f"/v1/subscriptions/{life.subscription}"
    await life.until("2027-07-10T08:00")
    form: Json = {"percent_off": 100, "duration": "once"}
    free = await life.at_stripe("/v1/coupons", **form)
    await life.at_stripe(at_stripe, **{"discounts[0][coupon]": free["id"]})
    await _renewals(life, ("pro", 0, 1_000), ["2027-07-29"])
    await life.until("2027-08-10T08:00")
    form = {"percent_off": 25, "duration": "repeating", "duration_in_months": 2}
    quarter = await life.at_stripe("/v1/coupons", **form)
    await life.at_stripe(at_stripe, **{"discounts[0][coupon]": quarter["id"]})
    await _renewals(life, ("pro", 2_249, 1_000), ["2027-08-29", "2027-09-29"])


async def _end(life: Life) -> None:
    await life.until("2028-03-10T08:00")
    gone = await life.ask("DELETE", f"/stripe/subscriptions/{life.subscription}")
    assert gone["cancel_at_period_end"] is True
    await life.check()
    await life.until("2028-03-29T07:30")
    await life.until("2028-03-29T08:30", status="canceled", plan=None)
    await life.until("2028-04-01T07:30")
    await life.until("2028-04-01T08:30", credits=0)


async def test_fourteen_months_of_bad_days_leave_what_was_paid_for(world: World) -> None:
    await live(world, seed=7)


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(20))
async def test_fourteen_months_of_other_bad_days(world: World, seed: int) -> None:
    await live(world, seed=seed + 100)
