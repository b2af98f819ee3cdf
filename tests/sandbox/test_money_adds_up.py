"""Money adds up and no object breaks its life, after any sequence of calls."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson
import pytest
import stripe
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sandbox.books import Books
from stripe_sandbox.config import Config
from stripe_sandbox.contract.errors import CardDeclined, StripeError
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.calls import Answer, Call, perform
from stripe_sandbox.engine.sandbox import Sandbox
from stripe_sandbox.engine.work import Origin
from stripe_sandbox.flows import intents, paying
from stripe_sandbox.flows.cards import INSTRUMENTS
from stripe_sandbox.resources.disputes import win_late
from stripe_sandbox.resources.payouts import BANK, CLOSED_BANK
from stripe_sandbox.testing import Bench

METHODS = [
    f"pm_card_{instrument.aliases[0]}" if instrument.type == "card" else f"pm_{alias}"
    for instrument in INSTRUMENTS
    for alias in instrument.aliases[:1]
]
# What happens after these payments is worth more examples than another decline.
EVENTFUL = [
    "pm_card_bypassPending",
    "pm_card_createDispute",
    "pm_card_createDisputeInquiry",
    "pm_card_createMultipleDisputes",
    "pm_card_pendingRefund",
    "pm_card_refundFail",
    "pm_card_riskLevelElevated",
    "pm_usBankAccount_insufficientFunds",
    "pm_usBankAccount_success",
]
CHALLENGED = "requires_action"
ENOUGH = 2  # of what only waits
which = st.integers(0, 7)
amounts = st.integers(50, 3_000)
currencies = st.sampled_from(["usd", "jpy"])
captures = st.sampled_from(["automatic", "automatic_async", "manual"])
eventful = st.sampled_from(EVENTFUL)
methods = eventful | st.sampled_from(METHODS)
shares = st.sampled_from([None, 1, 3])
evidence = st.sampled_from(
    ["winning_evidence", "losing_evidence", "escalate_inquiry_evidence", "no such word"]
)
calm = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])


class Complaints(logging.Handler):
    """The sandbox drops a job that fails, and says so."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(self.format(record))


def some(object: str, *statuses: str) -> Callable[["Shop"], bool]:
    """There is an object of this kind, and with such a status."""

    def found(shop: "Shop") -> bool:
        bodies = shop.books.rows(object)
        return bool(bodies) and (not statuses or shop.waiting(object, *statuses) > 0)

    return found


class Shop(RuleBasedStateMachine):
    """A shop that does all it can with its payments, and a bank and customers who do too."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.sandbox = Sandbox(Config(settle_after=3600))
        self.complaints = Complaints()
        logging.getLogger("stripe_sandbox").addHandler(self.complaints)

    def teardown(self) -> None:
        logging.getLogger("stripe_sandbox").removeHandler(self.complaints)
        self.loop.run_until_complete(self.sandbox.aclose())
        self.loop.close()

    @initialize(amount=st.integers(1_000, 3_000), cards=st.lists(eventful, min_size=1, max_size=4))
    def open(self, amount: int, cards: list[str]) -> None:
        self.do(self.sandbox.start)
        self.books = Books(self.sandbox.state)
        self.customer = self.post("/v1/customers", payment_method="pm_card_visa")["id"]
        self.pay(amount=amount, currency="usd", method="pm_card_visa", capture="manual")
        for card in ("pm_card_createDisputeInquiry", *cards):
            self.pay(amount=amount, currency="usd", method=card, capture="automatic")

    def settle(self) -> None:
        self.do(self.sandbox.settle)
        self.books.audit_what_is_settled()

    @rule()
    def time_passes(self) -> None:
        self.settle()

    @invariant()
    def money_adds_up(self) -> None:
        if hasattr(self, "books"):
            self.books.audit()
            assert not self.complaints.heard, self.complaints.heard[0]

    @rule(amount=amounts, currency=currencies, method=methods, capture=captures)
    def pay(self, amount: int, currency: str, method: str, capture: str) -> None:
        self.prepare(
            amount, currency, payment_method=method, capture_method=capture, confirm="true"
        )

    @precondition(lambda shop: shop.waiting("payment_intent", "requires_payment_method") < ENOUGH)
    @rule(amount=amounts, currency=currencies)
    def prepare(self, amount: int, currency: str, **more: str) -> None:
        self.post("/v1/payment_intents", amount=str(amount), currency=currency, **more)

    @precondition(some("payment_intent"))
    @rule(n=which, method=methods)
    def confirm(self, n: int, method: str) -> None:
        intent = self.pick("payment_intent", n, *intents.OPEN)
        self.post(f"/v1/payment_intents/{intent}/confirm", payment_method=method)

    @precondition(some("payment_intent", "requires_action"))
    @rule(n=which, succeeded=st.booleans())
    def authenticate(self, n: int, succeeded: bool) -> None:  # noqa: FBT001  # as above
        intent = self.sandbox.state.get(
            "payment_intent", self.pick("payment_intent", n, CHALLENGED)
        )
        assert intent
        if intent["status"] == CHALLENGED:
            self.do(lambda: self._authenticate(intent, succeeded=succeeded))

    @precondition(some("payment_intent"))
    @rule(n=which, share=shares, verb=st.sampled_from(["capture", "cancel"]))
    def end(self, n: int, share: int | None, verb: str) -> None:
        intent = self.pick("payment_intent", n, "requires_capture")
        part = {"amount_to_capture": str(50 * share)} if share and verb == "capture" else {}
        self.post(f"/v1/payment_intents/{intent}/{verb}", **part)

    @precondition(some("charge", "succeeded"))
    @rule(n=which, share=shares, settle=st.booleans())
    def refund(self, n: int, share: int | None, settle: bool) -> None:  # noqa: FBT001  # as above
        part = {"amount": str(20 * share)} if share else {}
        self.post("/v1/refunds", charge=self.pick("charge", n, "succeeded"), **part)
        if settle:
            self.settle()

    @precondition(some("dispute"))
    @rule(n=which, text=evidence | st.none())
    def answer(self, n: int, text: str | None) -> None:
        """With evidence, or by giving in."""
        dispute = self.pick("dispute", n, "needs_response", "warning_needs_response")
        if text:
            self.post(f"/v1/disputes/{dispute}", evidence={"uncategorized_text": text})
        else:
            self.post(f"/v1/disputes/{dispute}/close")

    @precondition(some("dispute", "lost"))
    @rule(n=which)
    def win_late(self, n: int) -> None:
        self.do(lambda: self._win(self.pick("dispute", n, "lost")))

    @precondition(some("balance_transaction", "available"))
    @rule(amount=st.integers(1, 900), bank=st.sampled_from([BANK, CLOSED_BANK]))
    def pay_out(self, amount: int, bank: str) -> None:
        self.post("/v1/payouts", amount=str(amount), currency="usd", destination=bank)

    @precondition(some("payout"))
    @rule(n=which)
    def cancel_payout(self, n: int) -> None:
        self.post(f"/v1/payouts/{self.pick('payout', n, 'pending')}/cancel")

    @precondition(lambda shop: shop.waiting("checkout.session", "open") < ENOUGH)
    @rule(amount=amounts, capture=captures)
    def open_session(self, amount: int, capture: str) -> None:
        price = {"currency": "usd", "unit_amount": str(amount), "product_data": {"name": "Tea"}}
        self.post(
            "/v1/checkout/sessions",
            mode="payment",
            success_url="http://shop.test/",
            line_items={"0": {"price_data": price, "quantity": "1"}},
            payment_intent_data={"capture_method": capture},
        )

    @precondition(some("checkout.session"))
    @rule(n=which, method=methods | st.none())
    def check_out(self, n: int, method: str | None) -> None:
        """Pay, or let the session expire."""
        id = self.pick("checkout.session", n, "open")
        if method is None:
            self.post(f"/v1/checkout/sessions/{id}/expire")
            return
        session = self.sandbox.state.get("checkout.session", id) or {}
        path, expected = f"/v1/payment_pages/{id}/confirm", str(session["amount_total"])
        self.post(path, payment_method=method, expected_amount=expected)

    @precondition(lambda shop: shop.waiting("invoice", "draft", "open") < ENOUGH)
    @rule(amount=amounts)
    def bill(self, amount: int) -> None:
        whom = {"customer": self.customer}
        self.post("/v1/invoiceitems", **whom, amount=str(amount), currency="usd")
        self.post("/v1/invoices", **whom, pending_invoice_items_behavior="include")

    @precondition(some("invoice"))
    @rule(n=which, verb=st.sampled_from(["pay", "pay", "finalize", "void"]), method=methods)
    def decide_invoice(self, n: int, verb: str, method: str) -> None:
        how = {"payment_method": method} if verb == "pay" else {}
        self.post(f"/v1/invoices/{self.pick('invoice', n, 'draft', 'open')}/{verb}", **how)

    def waiting(self, object: str, *statuses: str) -> int:
        return sum(body["status"] in statuses for body in self.books.rows(object))

    def pick(self, object: str, n: int, *statuses: str) -> str:
        """One of the latest objects of a kind, mostly one to which something can be done."""
        bodies = self.books.rows(object)[::-1]
        if n % 4:
            bodies.sort(key=lambda body: body.get("status") not in statuses)
        id: str = bodies[n // 2 % len(bodies)]["id"]
        return id

    def post(self, path: str, **params: Any) -> Body:
        answer: Body = self.do(lambda: self._perform(path, params))
        return answer

    def do(self, what: Any) -> Any:
        """Do it, and let what follows at once happen."""

        async def done() -> Any:
            result = what()
            for _ in range(4):
                await asyncio.sleep(0)
            return result

        return self.loop.run_until_complete(done())

    def _perform(self, path: str, params: dict[str, Any]) -> Body:
        """The answer; a refusal is one of Stripe's own."""
        try:
            answer = perform(self.sandbox, Call("post", path, params, Origin("req_1")))
        except StripeError as refused:
            answer = Answer.of_error(refused)
        assert answer.status in (200, 400, 402), answer
        body: Body = orjson.loads(answer.content)
        return body

    def _win(self, dispute: str) -> None:
        with suppress(StripeError), self.sandbox.work() as work:
            win_late(work, dispute)

    def _authenticate(self, intent: Body, *, succeeded: bool) -> None:
        with suppress(CardDeclined), self.sandbox.work() as work:
            paying.authenticate(work, intent, succeeded=succeeded)


def test_money_adds_up_after_any_sequence_of_calls() -> None:
    few = settings(
        calm,
        max_examples=100,
        stateful_step_count=30,
        derandomize=True,
        phases=[Phase.generate],
    )
    run_state_machine_as_test(Shop, settings=few)


@pytest.mark.proof
def test_money_adds_up_after_other_sequences_each_time() -> None:
    many = settings(calm, max_examples=400, stateful_step_count=60, print_blob=True)
    run_state_machine_as_test(Shop, settings=many)


async def test_an_invoice_whose_debit_is_under_way_is_not_paid_twice(bench: Bench) -> None:
    customer = await bench.stripe.v1.customers.create_async({"payment_method": "pm_card_visa"})
    await bench.stripe.v1.invoice_items.create_async(
        {"customer": customer.id, "amount": 1_000, "currency": "usd"}
    )
    invoice = await bench.stripe.v1.invoices.create_async(
        {"customer": customer.id, "pending_invoice_items_behavior": "include"}
    )
    pay = bench.stripe.v1.invoices.pay_async
    await pay(invoice.id, {"payment_method": "pm_usBankAccount_success"})
    await pay(invoice.id, {"payment_method": "pm_card_visa"})
    await bench.settle()
    assert len((await bench.stripe.v1.charges.list_async()).data) == 1
    assert (await bench.stripe.v1.invoices.retrieve_async(invoice.id)).status == "paid"


async def test_a_debit_cannot_hold_an_amount(bench: Bench) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="is not allowed"):
        await bench.stripe.v1.payment_intents.create_async(
            {
                "amount": 1_000,
                "currency": "usd",
                "capture_method": "manual",
                "payment_method": "pm_usBankAccount_success",
                "confirm": True,
            }
        )
