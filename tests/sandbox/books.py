"""What must be true of the sandbox's money and of its objects' lives, whatever was done."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal

from stripe_sandbox.contract.responses import Body, check
from stripe_sandbox.engine.state import State

Sums = dict[str, int]

_OPEN = (
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "processing",
    "requires_capture",
)
_LIVES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "payment_intent": {
        "requires_payment_method": (*_OPEN, "succeeded", "canceled"),
        "requires_confirmation": (*_OPEN, "succeeded", "canceled"),
        "requires_action": (*_OPEN, "succeeded", "canceled"),
        "processing": ("requires_payment_method", "succeeded", "canceled"),
        "requires_capture": ("succeeded", "canceled"),
    },
    "charge": {"pending": ("succeeded", "failed")},
    "refund": {"pending": ("succeeded", "failed", "canceled"), "succeeded": ("failed",)},
    "dispute": {
        "warning_needs_response": ("warning_under_review", "warning_closed"),
        "warning_under_review": ("warning_closed", "needs_response"),
        "needs_response": ("under_review", "lost"),
        "under_review": ("won", "lost"),
        "lost": ("won",),
    },
    "checkout.session": {"open": ("complete", "expired")},
    "payout": {
        "pending": ("in_transit", "canceled"),
        "in_transit": ("paid", "failed"),
        "paid": ("failed",),
    },
    "invoice": {
        "draft": ("open",),
        "open": ("paid", "void", "uncollectible"),
        "uncollectible": ("paid", "void"),
    },
    "invoice_payment": {"open": ("paid", "canceled")},
    "subscription": {
        "incomplete": ("active", "incomplete_expired", "canceled"),
        "trialing": ("active", "past_due", "paused", "canceled"),
        "active": ("past_due", "unpaid", "paused", "canceled"),
        "past_due": ("active", "unpaid", "canceled"),
        "unpaid": ("active", "canceled"),
        "paused": ("active", "canceled"),
    },
}


def _later(life: Mapping[str, tuple[str, ...]], status: str) -> frozenset[str]:
    """Every status that may follow, also after others."""
    found: set[str] = set()
    ahead = [status]
    while ahead:
        new = set(life.get(ahead.pop(), ())) - found
        found |= new
        ahead.extend(new)
    return frozenset(found)


_LATER = {
    (object, status): _later(life, status)
    for object, life in _LIVES.items()
    for status in {*life, *(after for row in life.values() for after in row)}
}


class Books:
    """One sandbox under audit; it remembers what it has seen."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._shown: dict[str, str] = {}
        self._told: dict[str, str] = {}
        self._events = 0

    def audit(self) -> None:
        for rule in (
            self._transactions_are_sound,
            self._sums_are_those_of_the_objects,
            self._charges_say_what_went_back,
            self._intents_say_what_came_in,
            self._sessions_follow_their_intents,
            self._events_are_whole_and_in_order,
        ):
            rule()
        for object in _LIVES:
            for body in self.rows(object):
                _move(self._shown, body)

    def audit_what_is_settled(self) -> None:
        for charge in self.rows("charge"):
            assert charge["status"] != "pending", charge
            assert bool(charge["balance_transaction"]) is charge["captured"], charge
        assert all(refund["status"] != "pending" for refund in self.rows("refund"))
        assert all(p["status"] not in ("pending", "in_transit") for p in self.rows("payout"))

    def rows(self, object: str) -> list[Body]:
        """The objects of a kind, the first first."""
        return [body for body in self.state.rows(object).values() if not body.get("deleted")]

    def _transactions_are_sound(self) -> None:
        for row in self.rows("balance_transaction"):
            assert row["net"] == row["amount"] - row["fee"], row
            assert row["fee"] == sum(part["amount"] for part in row["fee_details"]), row
            assert all(part["currency"] == row["currency"] for part in row["fee_details"]), row
            source = next(filter(None, (self.state.get(k, row["source"]) for k in _SOURCES)))
            assert source["currency"] == row["currency"], row

    def _sums_are_those_of_the_objects(self) -> None:
        amounts, fees = Counter[str](), Counter[str]()
        for row in self.rows("balance_transaction"):
            amounts[row["currency"]] += row["amount"]
            fees[row["currency"]] += row["fee"]
        assert amounts == _summed(self._movements()), "amounts"
        assert fees == _summed(self._costs()), "fees"

    def _movements(self) -> Iterator[tuple[str, int]]:
        """Captured, less what went back, was disputed or left for the bank."""
        for charge in self._booked():
            yield charge["currency"], charge["amount_captured"]
        for refund in self.rows("refund"):
            gone = refund["status"] in ("failed", "canceled")
            yield refund["currency"], 0 if gone else -refund["amount"]
        for dispute in self.rows("dispute"):
            harmless = dispute["status"] == "won" or dispute["status"].startswith("warning_")
            yield dispute["currency"], 0 if harmless else -dispute["amount"]
        for payout in self.rows("payout"):
            returned = payout["status"] in ("failed", "canceled")
            yield payout["currency"], 0 if returned else -payout["amount"]

    def _costs(self) -> Iterator[tuple[str, int]]:
        for charge in self._booked():
            yield charge["currency"], _fee(charge["amount_captured"])
        for dispute in self.rows("dispute"):
            asked_only = dispute["status"].startswith("warning_")
            yield dispute["currency"], 0 if asked_only else 1_500

    def _booked(self) -> list[Body]:
        return [charge for charge in self.rows("charge") if charge["balance_transaction"]]

    def _charges_say_what_went_back(self) -> None:
        refunds = defaultdict[str, list[Body]](list)
        for refund in self.rows("refund"):
            refunds[refund["charge"]].append(refund)
        for charge in self.rows("charge"):
            mine = refunds[charge["id"]]
            arrived = _total(mine, lambda refund: refund["status"] == "succeeded")
            taken = _total(mine, lambda refund: refund["status"] not in ("failed", "canceled"))
            assert taken <= charge["amount_captured"] <= charge["amount"], charge
            if charge["captured"]:
                assert charge["amount_refunded"] == arrived, charge
                assert charge["refunded"] is (arrived == charge["amount_captured"] > 0), charge
            assert charge["paid"] is (charge["status"] == "succeeded"), charge

    def _intents_say_what_came_in(self) -> None:
        charges = defaultdict[str, list[Body]](list)
        for charge in self.rows("charge"):
            charges[charge["payment_intent"]].append(charge)
        for intent in self.rows("payment_intent"):
            good = [c for c in charges[intent["id"]] if c["status"] == "succeeded"]
            assert len(good) <= 1, intent
            assert intent["amount_received"] == sum(c["amount_captured"] for c in good), intent
            held = intent["status"] == "requires_capture"
            assert intent["amount_capturable"] == (intent["amount"] if held else 0), intent
            assert bool(good) is (held or _was_charged(intent, good)), intent
            if good:
                assert intent["latest_charge"] == good[0]["id"], intent

    def _sessions_follow_their_intents(self) -> None:
        for session in self.rows("checkout.session"):
            intent = self.state.get("payment_intent", session["payment_intent"] or "")
            received = intent["status"] == "succeeded" if intent else False
            assert (session["payment_status"] == "paid") is received, session
            if session["status"] == "complete":
                assert intent, session
                assert intent["amount"] == session["amount_total"], session
            else:
                assert session["payment_status"] == "unpaid", session

    def _events_are_whole_and_in_order(self) -> None:
        events = self.rows("event")
        for event in events[self._events :]:
            check(event)
            body = event["data"]["object"]
            if body["object"] in _LIVES:
                _move(self._told, body)
            if event["type"].endswith(".updated"):
                assert event["data"].get("previous_attributes"), event
        self._events = len(events)


_SOURCES = ("charge", "refund", "dispute", "payout")


def _was_charged(intent: Body, good: list[Body]) -> bool:
    """A canceled hold keeps its charge, which took nothing."""
    if intent["status"] == "canceled":
        return bool(good) and not good[0]["captured"] and good[0]["refunded"]
    return bool(intent["status"] == "succeeded")


def _fee(amount: int) -> int:
    """As its price list says: 2.9 % and thirty."""
    share = Decimal(amount) * Decimal("0.029")
    return int(share.quantize(Decimal(1), ROUND_HALF_UP)) + 30


def _total(refunds: list[Body], counts: Callable[[Body], bool]) -> int:
    return sum(refund["amount"] for refund in refunds if counts(refund))


def _summed(parts: Iterator[tuple[str, int]]) -> Counter[str]:
    sums = Counter[str]()
    for currency, amount in parts:
        sums[currency] += amount
    return sums


def _move(seen: dict[str, str], body: Body) -> None:
    """Compare a status with the last one that was seen of this object."""
    status = body.get("status") or "none"
    before = seen.get(body["id"], status)
    after = _LATER.get((body["object"], before), frozenset())
    assert status == before or status in after, f"{body['id']}: {before} -> {status}"
    seen[body["id"]] = status
