"""Whatever is asked, in whatever order: no call crashes, and answers are as Stripe's types say."""

import logging
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import orjson
import pytest
from typing_extensions import is_typeddict

from stripe_sandbox.config import Config
from stripe_sandbox.contract.errors import StripeError
from stripe_sandbox.contract.requests import closed_params
from stripe_sandbox.contract.responses import check
from stripe_sandbox.contract.routes import Route, routes
from stripe_sandbox.engine.calls import Answer, Call, comes_by_itself, perform
from stripe_sandbox.engine.registry import catalogue
from stripe_sandbox.engine.sandbox import Sandbox
from stripe_sandbox.engine.work import Origin

_DEPTH = 4
_DAY = 24 * 3600
_WORDS = (
    "",
    "x",
    "Tea",
    "'",
    "<b>",
    "ü" * 30,
    "0",
    "-1",
    "1.5",
    "2026-10-28.endive",
    "pm_card_visa",
)
_CARDS = (
    "pm_card_visa",
    "pm_card_chargeDeclined",
    "pm_card_chargeCustomerFail",
    "pm_card_authenticationRequired",
    "pm_card_createDispute",
    "pm_card_pendingRefund",
    "pm_card_bypassPending",
    "pm_usBankAccount_success",
    "pm_usBankAccount_insufficientFunds",
)
_NAMED_OTHERWISE = {
    "default_payment_method": "payment_method",
    "default_price": "price",
    "from_quote": "quote",
    "id": "subscription_item",
    "invoice_item": "invoiceitem",
    "payment": "payment_intent",
    "subscription_item": "subscription_item",
    "tax_rates": "tax_rate",
    "default_tax_rates": "tax_rate",
}


@dataclass
class Inventor:
    """Makes calls up, of ids that exist and of ids that do not."""

    random: random.Random
    sandbox: Sandbox

    def call(self) -> Call:
        route, object, takes = self.random.choices(_SIMULATED, _WEIGHTS)[0]
        path = route.path
        for name in route.placeholders:
            kind = name if name in catalogue().resources else object
            path = path.replace(f"{{{name}}}", self._id(kind) or "gone_1")
        params = self._hash(closed_params(route), 0) if route.params_name else {}
        if takes is not None and self.random.random() < 0.97:
            params = {name: value for name, value in params.items() if name in takes}
        key = self.random.choice((None, None, None, f"key{self.random.randrange(50)}"))
        return Call(
            route.verb, path, params, Origin("req_1", key if route.verb == "post" else None)
        )

    def _id(self, kind: str) -> str | None:
        if self.random.random() < 0.03:
            kind = self.random.choice(self.sandbox.state.kinds())
        ids = list(self.sandbox.state.rows(kind))
        return self.random.choice(ids[-12:]) if ids else None

    def _hash(self, hint: Any, depth: int) -> dict[str, Any]:
        wanted = {}
        for name, inner in hint.__annotations__.items():
            share = (
                0.9 if name in hint.__required_keys__ else 0.5 / (1 + len(hint.__annotations__) / 6)
            )
            if name == "expand" or depth > _DEPTH or self.random.random() > share:
                continue
            wanted[name] = self._value(name, inner, depth + 1)
        return wanted

    def _value(self, name: str, hint: Any, depth: int) -> Any:
        """As a form has it: text, hashes, and hashes with numbers as keys for lists."""
        origin, arguments = get_origin(hint), get_args(hint)
        if hasattr(hint, "__metadata__"):
            return self._value(name, hint.__origin__, depth)
        if is_typeddict(hint):
            return self._hash(hint, depth)
        if origin is list:
            many = range(self.random.randrange(1, 3))
            return {str(i): self._value(name, arguments[0], depth) for i in many}
        if origin is dict:
            return {"a": self._text("metadata")}
        if arguments:
            chosen = self.random.choice([a for a in arguments if a is not type(None)])
            return chosen if origin is Literal else self._value(name, chosen, depth)
        return self._plain(name, hint)

    def _plain(self, name: str, hint: Any) -> str:
        if hint is int:
            return str(self._integer(name))
        if hint is bool:
            return self.random.choice(("true", "false"))
        return self._text(name) if hint in (str, Any) else "2.5"

    def _integer(self, name: str) -> int:
        now = int(time.time())
        if name.endswith(("_at", "_end", "_start", "date", "_time", "anchor", "start", "end")):
            return now + self.random.choice(
                (-_DAY, 0, 60, 3600, _DAY, 3 * _DAY, 40 * _DAY, 400 * _DAY)
            )
        return self.random.choice((0, 1, 1, 2, 3, -1, 50, 100, 1000, 2000, 99_999_999, 10**12))

    def _text(self, name: str) -> str:
        singular = name.removesuffix("s")
        kind = _NAMED_OTHERWISE.get(name, singular if singular in catalogue().resources else "")
        if kind == "payment_method" and self.random.random() < 0.6:
            return self.random.choice(_CARDS)
        if kind and self.random.random() < 0.93:
            return self._id(kind) or "gone_1"
        if name == "currency":
            return self.random.choice(("usd", "usd", "usd", "USD", "eur", "jpy", "xxx"))
        if name.endswith("url"):
            return "https://shop.test/x"
        if name == "email":
            return f"a{self.random.randrange(9)}@shop.test"
        return self.random.choice(_WORDS)


def _simulated() -> list[tuple[Route, str, frozenset[str] | None]]:
    """Every route that is not wholly refused: the kind of object it is declared with, and what it
    takes.
    """
    declared = {
        key: (behaviour.route, resource.object, behaviour.takes)
        for resource in catalogue().resources.values()
        for key, behaviour in resource.behaviours.items()
    }
    generic = {
        key: (route, resource.object, None)
        for key, route in routes().items()
        if key not in declared and (resource := comes_by_itself(catalogue(), route))
    }
    return list({**generic, **declared}.values())


_SIMULATED = _simulated()
_WEIGHTS = [
    5 if route.verb == "post" and not route.placeholders else 3 if route.verb == "post" else 1
    for route, _, _ in _SIMULATED
]


def _first_of_all(sandbox: Sandbox) -> None:
    """One of what most calls need; the rest comes by itself."""
    for verb, path, params in _WORLD:
        answer = perform(sandbox, Call(verb, path, _named(sandbox, params), Origin("req_0")))
        assert answer.status == 200, answer.content
    sandbox.settle()


def _named(sandbox: Sandbox, value: Any) -> Any:
    """The value with `{kind}` replaced by the first object of the kind."""
    if isinstance(value, dict):
        return {name: _named(sandbox, inner) for name, inner in value.items()}
    if value.startswith("{"):
        return next(iter(sandbox.state.rows(value[1:-1])))
    return value


_WORLD: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("post", "/v1/test_helpers/test_clocks", {"frozen_time": str(int(time.time()))}),
    (
        "post",
        "/v1/customers",
        {
            "email": "a@shop.test",
            "payment_method": "pm_card_visa",
            "invoice_settings": {"default_payment_method": "pm_card_visa"},
            "test_clock": "{test_helpers.test_clock}",
        },
    ),
    ("post", "/v1/products", {"name": "Tea"}),
    (
        "post",
        "/v1/prices",
        {
            "product": "{product}",
            "currency": "usd",
            "unit_amount": "1500",
            "recurring": {"interval": "month"},
        },
    ),
    ("post", "/v1/subscriptions", {"customer": "{customer}", "items": {"0": {"price": "{price}"}}}),
    ("post", "/v1/prices", {"product": "{product}", "currency": "usd", "unit_amount": "900"}),
    ("post", "/v1/coupons", {"percent_off": "20", "duration": "forever"}),
    ("post", "/v1/promotion_codes", {"promotion": {"type": "coupon", "coupon": "{coupon}"}}),
    (
        "post",
        "/v1/quotes",
        {"customer": "{customer}", "line_items": {"0": {"price": "{price}", "quantity": "2"}}},
    ),
    ("post", "/v1/invoiceitems", {"customer": "{customer}", "amount": "700", "currency": "usd"}),
    (
        "post",
        "/v1/invoices",
        {"customer": "{customer}", "pending_invoice_items_behavior": "include"},
    ),
    *(
        (
            "post",
            "/v1/payment_intents",
            {"amount": "5000", "currency": "usd", "payment_method": card, "confirm": "true"},
        )
        for card in ("pm_card_bypassPending", "pm_card_createDispute", "pm_usBankAccount_success")
    ),
    (
        "post",
        "/v1/checkout/sessions",
        {
            "mode": "subscription",
            "success_url": "https://shop.test",
            "line_items": {"0": {"price": "{price}", "quantity": "1"}},
        },
    ),
)


def _play(seed: int, calls: int) -> Iterator[tuple[Call, Answer]]:
    sandbox = Sandbox(Config(settle_after=10**9, portal_saved=True))
    inventor = Inventor(random.Random(seed), sandbox)
    _first_of_all(sandbox)
    for number in range(calls):
        call = inventor.call()
        try:
            answer = perform(sandbox, call)
        except StripeError as error:
            answer = Answer.of_error(error)
        yield call, answer
        if number % 20 == 0:
            sandbox.settle()


def _require_sound(call: Call, answer: Answer) -> None:
    if answer.media_type != "application/json":
        return
    body = orjson.loads(answer.content)
    if answer.status < 300:
        check(body)
    else:
        assert answer.status in (400, 402, 404, 501), (call, body)
        assert isinstance(body["error"], Mapping)
        assert body["error"]["type"], (call, body)
        assert body["error"]["message"], (call, body)


@pytest.fixture
async def _a_loop_for_alarms() -> None:
    """The sandbox sets its alarms on the running loop."""


@pytest.mark.usefixtures("_a_loop_for_alarms")
@pytest.mark.parametrize("seed", range(4))
async def test_calls_that_are_made_up_are_answered(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "stripe_sandbox"):
        for call, answer in _play(seed, 700):
            _require_sound(call, answer)
            assert not caplog.records, (call, caplog.text)


@pytest.mark.proof
async def test_many_more_of_them_are_answered(caplog: pytest.LogCaptureFixture) -> None:
    first = random.SystemRandom().randrange(10**9)
    with caplog.at_level(logging.ERROR, "stripe_sandbox"):
        for seed in range(first, first + 100):
            for call, answer in _play(seed, 1500):
                _require_sound(call, answer)
                assert not caplog.records, (seed, call, caplog.text)
