"""Requests that nobody would write: made up from the SDK's own parameter types, by a seed."""

import random
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, NotRequired, get_args, get_origin
from urllib.parse import urlencode

from typing_extensions import is_typeddict

from stripe_sandbox.contract.requests import closed_params
from stripe_sandbox.contract.routes import Route

Ids = Callable[[str], list[str]]

DAY = 86_400
TIMES = (-40 * DAY, -1, 0, 1, 3_600, DAY, 8 * DAY, 31 * DAY, 400 * DAY)
NUMBERS = (-100, -1, 0, 1, 2, 3, 7, 50, 99, 100, 1_000, 1_999, 99_999_999)
HUGE = (2**31, -(2**31), 2**63, 10**30)
TEXTS = ("", "x", "Ünïcode ✓", "a" * 600, "0", "null", "<b>&'\"", "\x00", "%", "a[b]", " ")
DECIMALS = ("0", "0.5", "12.345", "-3", "1e5", "NaN", "Infinity", "1" * 30, "x", "")
CURRENCIES = ("usd", "usd", "usd", "eur", "jpy", "kwd", "USD", "xxx")

# Which object a parameter (or a placeholder of a path) names, where it is not called like it.
KINDS = {
    "configuration": "billing_portal.configuration",
    "default_configuration": "billing_portal.configuration",
    "default_payment_method": "payment_method",
    "default_price": "price",
    "default_tax_rates": "tax_rate",
    "from_invoice": "invoice",
    "from_quote": "quote",
    "generated_from": "charge",
    "intent": "payment_intent",
    "invoice_line_item": "line_item",
    "item": "subscription_item",
    "line_item_id": "line_item",
    "report_run": "reporting.report_run",
    "report_type": "reporting.report_type",
    "session": "checkout.session",
    "shipping_rate_token": "shipping_rate",
    "source_transaction": "charge",
    "subscription_exposed_id": "subscription",
    "subscription_item": "subscription_item",
    "tax_rates": "tax_rate",
    "test_clock": "test_helpers.test_clock",
    "transaction": "customer_balance_transaction",
}
# An id within these belongs to …
OWNERS = {"items": "subscription_item", "lines": "line_item", "line_items": "item"}
USUAL = frozenset(
    {
        *("amount", "cancel_url", "charge", "currency", "customer", "description", "duration"),
        *("email", "enabled_events", "frozen_time", "invoice", "items", "line_items", "mode"),
        *("name", "parameters", "payment_method", "percent_off", "price", "product", "promotion"),
        *("quantity", "recurring", "report_type", "success_url", "unit_amount", "url"),
    }
)


class Inventor:
    """Makes up parameters; `ids` are those of the objects of a kind, the first first."""

    def __init__(self, seed: int, ids: Ids) -> None:
        self.dice = random.Random(seed)
        self.now = 1_800_000_000
        self._ids = ids
        self._wildness = 0.0
        self._appetite = 0.0

    def begin(self, *, now: int) -> None:
        """Be in a new mood: how much to say, and how wrong to be."""
        self.now = now
        self._wildness = self.dice.choice((0.0, 0.0, 0.03, 0.3))
        self._appetite = self.dice.choice((0.0, 0.05, 0.15, 0.5))

    def path(self, route: Route) -> str:
        path = route.path
        for name in route.placeholders:
            path = path.replace(f"{{{name}}}", self.id(_kind_in_path(route, name)) or "x")
        return path

    def params(self, route: Route, takes: frozenset[str] | None) -> dict[str, Any]:
        """Parameters of a route, mostly those that it honours."""
        found: dict[str, Any] = {}
        if route.params_name:
            honoured = None if takes is None or self._rarely() else takes | {"expand"}
            found = self._hash(closed_params(route), honoured, ())
        if self._rarely() or self.dice.random() < self._wildness:
            found[self.dice.choice(("unknown", "", "id", "amount[", "a[b][c]", "]"))] = self.junk()
        return found

    def id(self, kind: str) -> str:
        known = self._ids(kind)
        if self.dice.random() < self._wildness / 2 or not known:
            return self.dice.choice((f"{kind[:3]}_none", "%20", "x" * 300, *self._ids("customer")))
        return self.dice.choice(known[-4:] if self.dice.random() < 0.7 else known)

    def junk(self) -> Any:
        return self.dice.choice(
            (*TEXTS, *HUGE, -1, 0, True, False, 1.5, {}, {"a": {"b": "c"}}, ["x"], [""], {"0": {}})
        )

    def twisted(self, value: str) -> Any:
        """The value, now and then another."""
        chance = self.dice.random()
        if chance < 0.92:
            return value
        others = (*TEXTS, *NUMBERS, *HUGE) if chance < 0.98 else self._ids("payment_method")
        return self.dice.choice(others or TEXTS)

    def _rarely(self) -> bool:
        return self.dice.random() < 0.03

    def _hash(self, declared: Any, only: frozenset[str] | None, place: tuple[str, ...]) -> Any:
        found = {}
        for name, hint in declared.__annotations__.items():
            if only is not None and name not in only:
                continue
            needed = name in declared.__required_keys__
            chance = 0.97 if needed else 0.6 if name in USUAL else self._appetite
            if self.dice.random() < chance * (0.7 if len(place) > 3 and not needed else 1):
                wild = self.dice.random() < self._wildness
                found[name] = self.junk() if wild else self._value(hint, (*place, name))
        return found

    def _value(self, hint: Any, place: tuple[str, ...]) -> Any:
        origin, arguments = get_origin(hint), get_args(hint)
        if is_typeddict(hint):
            return self._hash(hint, None, place)
        if origin is dict:
            return self._free_hash()
        if origin is list:
            return [self._value(arguments[0], place) for _ in range(self.dice.choice((1, 1, 2, 0)))]
        if not arguments:
            return self._plain(hint, place)
        if origin is Literal:
            return self.dice.choice(arguments)
        wrapped = origin in (NotRequired, Annotated)
        return self._value(arguments[0] if wrapped else self.dice.choice(arguments), place)

    def _plain(self, hint: Any, place: tuple[str, ...]) -> Any:
        name = place[-1]
        if hint is int:
            return self._time() if _is_time(name) else self.dice.choice(NUMBERS)
        if hint is bool:
            return self.dice.random() < 0.5
        if hint is float:
            return self.dice.choice((0, 12.5, 100, -1, 33.333333, 1e20, 101))
        return self._text(name, place) if hint is str else self.junk()

    def _time(self) -> int:
        return self.now + self.dice.choice(TIMES)

    def _text(self, name: str, place: tuple[str, ...]) -> str:
        if name == "id" and len(place) > 1:
            return self.id(OWNERS.get(place[-2], place[-2]))
        kind = KINDS.get(name, name)
        if self._ids(kind):
            return self.id(kind)
        choices = _SPELT.get(name) or _SPELT.get(name.rpartition("_")[2])
        return self.dice.choice(choices or TEXTS[:3])

    def _free_hash(self) -> dict[str, str]:
        keys = self.dice.sample(("a", "order", "k" * 41, "ü", "0", "1"), self.dice.randrange(3))
        return {key: self.dice.choice(("", "1", "<i>", "v" * 501)) for key in keys}


_SPELT: dict[str, tuple[str, ...]] = {
    "currency": CURRENCIES,
    "decimal": DECIMALS,
    "email": ("a@example.com", "", "no address"),
    "country": ("US", "DE", "XX", ""),
    "url": ("https://shop.test/done", "http://127.0.0.1:1/{CHECKOUT_SESSION_ID}", "ftp://x", ""),
    "token": ("tok_visa", "tok_chargeDeclined", "x"),
    "number": ("4242424242424242", "4000000000000002", "4242", ""),
    "expand": (
        "data",
        "data.customer",
        "customer",
        "latest_invoice.payments",
        "x",
        "",
        "a.b.c.d.e",
    ),
    "query": ("email:'a'", "metadata['a']:'1'", "amount>1", "-status:'open'", "x", "created>NaN"),
    "page": ("page_1", "page_-1", "x", "page_" + "9" * 30),
    "after": ("x",),
    "interval": ("month", "year"),
    "type": ("card", "us_bank_account", "sepa_debit", "x"),
}


def _kind_in_path(route: Route, name: str) -> str:
    if name == "id":
        return route.path.split("/")[2].removesuffix("s")
    if "setup_intents" in route.path:
        return "setup_intent"
    return KINDS.get(name, name)


def _is_time(name: str) -> bool:
    words = ("at", "before", "by", "date", "end", "from", "gt", "gte", "lt", "lte", "start", "time")
    return name.rpartition("_")[2] in words or name in ("billing_cycle_anchor", "created")


def encoded(params: dict[str, Any]) -> str:
    """Stripe's bracket notation."""
    return urlencode([pair for name, value in params.items() for pair in _pairs(name, value)])


def _pairs(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _pairs(f"{name}[{key}]", part)
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _pairs(f"{name}[{number}]", part)
    else:
        yield name, str(value).lower() if isinstance(value, bool) else str(value)
