"""GET /financial/admin/dashboard: recounted in plain Python over 300 random subscriptions."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from random import Random
from typing import Any, Final

import orjson
import pytest

from world import Json, World

PATH: Final = "/financial/admin/dashboard"
START: Final = datetime(2026, 3, 1, tzinfo=UTC)
END: Final = datetime(2026, 4, 1, tzinfo=UTC)
STATES: Final = ("active", "trialing", "past_due", "unpaid", "paused", "incomplete")
BILLS: Final = {
    "day": Fraction(365, 12),
    "week": Fraction(13, 3),
    "month": Fraction(1),
    "year": Fraction(1, 12),
}
PRICES: Final = [f"price_{n}" for n in range(6)]
HOUR: Final = timedelta(hours=1)


@dataclass
class Plan:
    """A subscription, as it is at Stripe; `paid` are its paid invoices: when, and with how much."""

    id: str
    customer: str
    currency: str
    status: str
    created: datetime
    trial_end: datetime | None
    ended: datetime | None
    items: list[Json]
    discounts: list[Json]
    collects: bool
    paid: list[tuple[datetime, int]] = field(default_factory=list)

    @property
    def begun(self) -> bool:
        """Whether it ever was one: what has ended was paid for, be it with nothing."""
        return self.status != "incomplete" and (self.ended is None or bool(self.paid))

    def paying(self, at: datetime) -> bool:
        """Its trial is over, and it has not ended."""
        over = (self.trial_end or self.created) < at
        return self.begun and over and (self.ended is None or self.ended >= at)

    def lives(self, at: datetime) -> bool:
        return self.begun and self.created < at and (self.ended is None or self.ended >= at)

    def monthly(self, now: datetime) -> list[Fraction] | None:
        """What its items bring; None where that is not known."""
        if any(item["amount"] is None for item in self.items):
            return None
        bills = [Fraction(item["amount"]) for item in self.items]
        often = [BILLS[item["interval"]] / int(item["interval_count"]) for item in self.items]
        for discount in self.discounts:
            if discount["end"] is not None and discount["end"] <= now.timestamp():
                continue
            if discount["percent_off"] is not None:
                bills = [bill * (100 - Fraction(discount["percent_off"])) / 100 for bill in bills]
            elif discount["currency"] != self.currency or len(set(often)) > 1:
                return None
            elif (whole := sum(bills)) > 0:
                left = max(Fraction(0), whole - discount["amount_off"])
                bills = [bill * left / whole for bill in bills]
        return [bill * times for bill, times in zip(bills, often, strict=True)]


def moment(random: Random) -> datetime:
    """From two months before the window to a month after it; often at its very ends."""
    if random.random() < 0.2:
        return random.choice((START, END)) + random.choice((-HOUR / 3600, 0 * HOUR, HOUR / 3600))
    return START + HOUR * random.randrange(-60 * 24, 60 * 24)


def invent(random: Random, n: int) -> Plan:
    status = random.choice((*STATES, "active", "active", "canceled", "canceled", "canceled"))
    created = moment(random)
    trial = status == "trialing" or (status != "incomplete" and random.random() < 0.4)
    trial_end = created + timedelta(days=random.choice((1, 7, 14, 30))) if trial else None
    ended = created + HOUR * random.randrange(0, 60 * 24) if status == "canceled" else None
    if ended and random.random() < 0.3:
        ended = max(created, random.choice((START, END)))
    currency = random.choice(("usd", "usd", "eur", "jpy"))
    plan = Plan(
        f"sub_{n}", f"cus_{random.randrange(200)}", currency, status, created, trial_end, ended,
        _items(random), _discounts(random), random.random() < 0.9,
    )  # fmt: skip
    for _ in range(random.randrange(4) if status != "incomplete" else 0):
        at = created + HOUR * random.randrange(0, 40 * 24)
        plan.paid.append((at, random.choice((0, 0, 1_000))))
    return plan


def _items(random: Random) -> list[Json]:
    return [
        {
            "id": f"si_{random.randrange(10**9)}",
            "price": price,
            "product": price.replace("price", "prod"),
            "quantity": 1,
            "amount": random.choice((None, 0, 999, 1_000, 12_345, 77)),
            "interval": random.choice(tuple(BILLS)),
            "interval_count": random.choice((1, 1, 2, 3)),
            "current_period_start": random.randrange(10**9),
            "current_period_end": random.randrange(10**9),
        }
        for price in random.sample(PRICES, random.choice((1, 1, 2, 3)))
    ]


def _discounts(random: Random) -> list[Json]:
    """As many as Stripe allows at once, some of which have run out."""
    ends = (None, int((datetime.now(UTC) - 5 * HOUR).timestamp()), 4_000_000_000)
    nothing: Json = {"percent_off": None, "amount_off": None, "currency": None}
    kinds: list[Json] = [
        {"percent_off": "50"}, {"percent_off": "33.33"}, {"percent_off": "100"},
        {"amount_off": 500, "currency": "usd"}, {"amount_off": 20_000, "currency": "eur"},
    ]  # fmt: skip
    return [
        {"coupon": "c", **nothing, **random.choice(kinds), "end": random.choice(ends)}
        for _ in range(random.choice((0, 0, 1, 2)))
    ]


async def put(world: World, plans: Iterable[Plan]) -> None:
    """Into the mirrors, as though Stripe had told of it."""
    mirrored = "'a', false, 0, 1"
    for plan in plans:
        await world.db.execute(
            "insert into stripe.subscriptions (id, account, livemode, phase, ticket, created_at, "
            "updated_at, status, customer, currency, items, discounts, trial_end, ended_at, "
            f"pause_collection) values ($1, {mirrored}, $2, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            plan.id, plan.created, plan.status, plan.customer, plan.currency,
            orjson.dumps(plan.items).decode(), orjson.dumps(plan.discounts).decode(),
            plan.trial_end, plan.ended, None if plan.collects else "void",
        )  # fmt: skip
        for n, (at, amount) in enumerate(plan.paid):
            await world.db.execute(
                "insert into stripe.invoices (id, account, livemode, phase, ticket, created_at, "
                "updated_at, status, customer, subscription, currency, amount_paid) values "
                f"($1, {mirrored}, $2, $2, 'paid', $3, $4, $5, $6)",
                f"in_{plan.id}_{n}", at, plan.customer, plan.id, plan.currency, amount,
            )  # fmt: skip


def rate(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def recount(plans: Sequence[Plan], now: datetime) -> Json:
    """Of some plans: states, what happened in the window, churn, trials."""
    begun = [plan for plan in plans if plan.begun]
    ended = [plan for plan in begun if plan.ended and START <= plan.ended < END]
    paying = [plan for plan in plans if plan.paying(START)]
    tried = [plan for plan in begun if plan.trial_end and _inside(_trial_over(plan), now)]
    converted = [plan for plan in tried if any(a and t >= _end(plan) for t, a in plan.paid)]
    states = Counter(plan.status for plan in plans)
    left = sum(plan in ended for plan in paying)
    return {
        **{state: states[state] for state in STATES},
        "started": sum(START <= plan.created < END and _counts(plan) for plan in begun),
        "canceled": len(ended),
        "at_start": len(paying),
        "ended": left,
        "rate": rate(left, len(paying)),
        "trials": {
            "ended": len(tried),
            "converted": len(converted),
            "rate": rate(len(converted), len(tried)),
        },
    }


def _counts(plan: Plan) -> bool:
    return plan.ended is None or plan.ended >= START


def _end(plan: Plan) -> datetime:
    assert plan.trial_end is not None
    return plan.trial_end


def _trial_over(plan: Plan) -> datetime:
    return min(_end(plan), plan.ended or _end(plan))


def _inside(at: datetime, now: datetime) -> bool:
    return START <= at < min(END, now)


def recurring(plans: Iterable[Plan], now: datetime, price: str | None = None) -> tuple[Json, int]:
    """By currency, what comes in each month and from how many; and of how many that is unknown."""
    exact: defaultdict[str, Fraction] = defaultdict(Fraction)
    counted: Counter[str] = Counter()
    unknown = 0
    for plan in plans:
        if plan.status not in ("active", "past_due") or not plan.collects:
            continue
        if (each := plan.monthly(now)) is None:
            unknown += 1
            continue
        wanted = [price is None or item["price"] == price for item in plan.items]
        exact[plan.currency] += sum(
            (part for part, is_it in zip(each, wanted, strict=True) if is_it), Fraction()
        )
        counted[plan.currency] += 1
    return {c: (round(exact[c]), counted[c]) for c in exact}, unknown


def shown(found: Json) -> tuple[Json, int]:
    by_currency = {row["currency"]: (row["mrr"], row["subscriptions"]) for row in found["mrr"]}
    return by_currency, found["mrr_unknown"]


@pytest.mark.parametrize("seed", range(3))
async def test_every_number_is_what_plain_counting_finds(world: World, seed: int) -> None:
    random = Random(seed)
    plans = [invent(random, n) for n in range(300)]
    await put(world, plans)
    query: Any = {"start": START.isoformat(), "end": END.isoformat()}
    told = await world.ask("GET", PATH, role="admin", params=query)
    now, found = world.ctx.clock.now(), told["subscriptions"]

    wanted = recount(plans, now)
    churn, trials = found["churn"], wanted.pop("trials")
    assert found["trials"] == trials
    of = [plan.customer for plan in plans if plan.paying(START)]
    still = {plan.customer for plan in plans if plan.lives(END)}
    assert (churn["customers_at_start"], churn["customers_lost"]) == (
        len(set(of)), len(set(of) - still),
    )  # fmt: skip
    assert churn["customer_rate"] == rate(len(set(of) - still), len(set(of)))
    at_start, ended, rated = (wanted.pop(name) for name in ("at_start", "ended", "rate"))
    assert (churn["subscriptions_at_start"], churn["subscriptions_ended"], churn["rate"]) == (
        at_start, ended, rated,
    )  # fmt: skip
    assert {name: found[name] for name in wanted} == wanted
    assert shown(found) == recurring(plans, now)

    assert {row["price"] for row in told["plans"]} == set(PRICES)
    for row in told["plans"]:
        having = [p for p in plans if any(item["price"] == row["price"] for item in p.items)]
        wanted = recount(having, now)
        assert row["trials"] == wanted.pop("trials")
        names = ("subscriptions_at_start", "subscriptions_ended", "churn_rate")
        assert [row[name] for name in names] == [
            wanted.pop(name) for name in ("at_start", "ended", "rate")
        ]
        assert {name: row[name] for name in wanted} == wanted
        assert shown(row) == recurring(having, now, row["price"])
