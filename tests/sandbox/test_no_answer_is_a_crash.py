"""Whatever is asked, in whatever order: an answer in Stripe's shape, and never a crash."""

import logging
import re
import signal
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from pydantic import ValidationError

from sandbox.inventing import Inventor, encoded
from stripe_sandbox import triggers
from stripe_sandbox.config import Config
from stripe_sandbox.contract.responses import Body, check
from stripe_sandbox.contract.routes import Route, routes
from stripe_sandbox.engine.calls import comes_by_itself
from stripe_sandbox.engine.registry import catalogue
from stripe_sandbox.engine.work import CLOCK
from stripe_sandbox.testing import Bench

# Crashes that are known and not yet mended, as they are reported: "KeyError in flows/paying.pay".
EXCLUDED: frozenset[str] = frozenset()

STATUSES = (200, 400, 402, 404, 501)
ENDLESS = 10  # seconds after which a call is taken for one that never ends
DAY = 86_400
FORM = {"content-type": "application/x-www-form-urlencoded"}
KINDS = {
    "configuration": "billing_portal.configuration",
    "early_fraud_warning": "radar.early_fraud_warning",
    "report_run": "reporting.report_run",
    "session": "checkout.session",
    "test_clock": CLOCK,
}


class Endless(Exception):
    """A call did not come to an end."""


def simulated() -> list[tuple[Route, frozenset[str] | None]]:
    """Every route that answers, with the parameters that it honours."""
    known = catalogue()
    declared = [(b.route, b.takes) for b in known.behaviours.values()]
    done = {route for route, _ in declared}
    generic = [r for r in routes().values() if r not in done and comes_by_itself(known, r)]
    return sorted([*declared, *((r, None) for r in generic)], key=lambda found: str(found[0]))


def recipes() -> list[list[str]]:
    """The words of calls that make sense: verb, path, parameters."""
    text = Path(__file__).with_name("recipes_to_twist.txt").read_text(encoding="utf-8")
    own = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return [step for event in triggers.events() for step in triggers._steps(event)] + own * 3


ROUTES, RECIPES = simulated(), recipes()


class Attack(logging.Handler):
    """Calls on one sandbox that grows, and what went wrong, each kind of it once."""

    def __init__(self, bench: Bench, seed: int) -> None:
        super().__init__(logging.ERROR)
        self.problems: dict[str, str] = {}
        self.statuses: Counter[tuple[str, int]] = Counter()
        self._bench = bench
        self._state = bench.app.sandbox.state
        self._inventor = Inventor(seed, self._ids)
        self._dice = self._inventor.dice
        self._events = 0
        self._asked = ""

    def emit(self, record: logging.LogRecord) -> None:
        """The sandbox logs what it cannot answer, and each job that it drops."""
        error = record.exc_info[1] if record.exc_info else None
        self._blame(record.getMessage(), error)

    async def step(self) -> None:
        self._inventor.begin(now=self._now())
        chance = self._dice.random()
        if chance < 0.03:
            await self._settle()
        elif chance < 0.06:
            await self._advance()
        elif chance < 0.45:
            await self._twist()
        else:
            route, takes = self._dice.choice(ROUTES)
            params = encoded(self._inventor.params(route, takes))
            await self._ask(route.verb, self._inventor.path(route), params, str(route))

    async def _settle(self) -> None:
        with _bounded():
            await self._bench.settle()

    async def _advance(self) -> None:
        if clocks := self._ids(CLOCK):
            path = f"/v1/test_helpers/test_clocks/{self._dice.choice(clocks)}/advance"
            to = self._inventor.now + self._dice.choice((1, 9, 40)) * DAY
            await self._ask("post", path, f"frozen_time={to}", path)
            await self._settle()

    async def _twist(self) -> None:
        """A call that makes sense, with ids of others and a few more parameters."""
        words = self._dice.choice(RECIPES)
        verb, path, *pairs = (triggers._REFERENCE.sub(self._meant, word) for word in words)
        params = [encoded({n: self._inventor.twisted(v)}) for n, v in _split(pairs)]
        found = next((r for r in ROUTES if r[0].verb == verb and _leads(r[0], path)), None)
        if found and self._dice.random() < 0.7:
            more = self._inventor.params(*found)
            params += [encoded({n: v}) for n, v in more.items() if self._dice.random() < 0.3]
        await self._ask(verb, f"/v1/{path}", "&".join(params), words[1])

    async def _ask(self, verb: str, path: str, params: str, name: str) -> None:
        self._asked = f"{verb} {path} {params[:1500]}"
        url = f"{quote(path)}?{params}" if params and verb != "post" else quote(path)
        content = params if verb == "post" else None
        with _bounded():
            answer = await self._bench.http.request(
                verb.upper(), url, content=content, headers=FORM if verb == "post" else None
            )
        self.statuses[name, answer.status_code] += 1
        if answer.status_code >= 500 and answer.status_code != 501:
            return  # it has been logged, and so blamed
        try:
            _hold_against_contract(answer)
            for event in self._new_events():
                check(event)
        except (ValidationError, KeyError, ValueError) as error:
            self._blame(answer.text[:300], error)

    def _blame(self, said: str, error: BaseException | None) -> None:
        name = f"{type(error).__name__} in {_place(error)}" if error else said
        if name not in EXCLUDED:
            self.problems.setdefault(name, f"{name}: {error}\n  {said}\n  {self._asked}")

    def _new_events(self) -> list[Body]:
        rows = list(self._state.table("event").scan(start=self._events))
        self._events += len(rows)
        return rows

    def _ids(self, kind: str) -> list[str]:
        return list(self._state.rows(KINDS.get(kind, kind)))

    def _now(self) -> int:
        clocks = list(self._state.rows(CLOCK).values())
        if clocks and self._dice.random() < 0.7:
            return int(self._dice.choice(clocks)["frozen_time"])
        return int(time.time())

    def _meant(self, reference: re.Match[str]) -> str:
        kind, field = reference.groups()
        id = self._inventor.id(kind)
        body = self._state.get(KINDS.get(kind, kind), id) or {}
        return str(body.get(field) or id) if field else id


def _split(pairs: list[str]) -> Iterator[tuple[str, str]]:
    for pair in pairs:
        name, _, value = pair.partition("=")
        yield name, value


def _leads(route: Route, path: str) -> bool:
    pattern = re.sub(r"\{\w+\}", "[^/]+", route.path)
    return re.fullmatch(pattern, f"/v1/{path}") is not None


def _hold_against_contract(answer: httpx2.Response) -> None:
    if answer.status_code not in STATUSES:
        raise ValueError(f"a status of {answer.status_code}")
    if answer.headers["content-type"] != "application/json":
        return
    if answer.is_success:
        check(answer.json())
    elif not all(answer.json()["error"][name] for name in ("type", "message")):
        raise ValueError("an error that says nothing")


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    last = next(f for f in reversed(frames) if "stripe_sandbox" in f.filename or f is frames[0])
    name = last.filename.rpartition("stripe_sandbox/")[2].removesuffix(".py")
    if not isinstance(error, ValidationError):
        return f"{name}.{last.name}"
    field = ".".join(str(part) for part in error.errors()[0]["loc"] if isinstance(part, str))
    return f"{error.title}.{field}"


@contextmanager
def _bounded() -> Iterator[None]:
    signal.alarm(ENDLESS)
    try:
        yield
    finally:
        signal.alarm(0)


def _ring(*_: object) -> None:
    raise Endless


async def attack(seed: int, *, steps: int, recipes: int | None = None) -> Attack:
    """So many calls; before them a world with one of everything, or with a part of it."""
    async with Bench.open(Config(base_url="http://sandbox.test", settle_after=3600)) as bench:
        made = Attack(bench, seed)
        logger, before = logging.getLogger("stripe_sandbox"), signal.signal(signal.SIGALRM, _ring)
        logger.addHandler(made)
        try:
            events = triggers.events()
            for event in made._dice.sample(events, recipes or len(events)):
                await triggers.trigger(bench.http, event)
            await _live_by_clocks(bench)
            for _ in range(steps):
                await made.step()
        finally:
            signal.signal(signal.SIGALRM, before)
            logger.removeHandler(made)
            bench.app.sandbox.state.clear()  # every event has been checked when it came
        return made


async def _live_by_clocks(bench: Bench) -> None:
    """Customers whose time can be moved on."""
    v1 = bench.stripe.v1
    for interval in ("month", "week"):
        clock = await v1.test_helpers.test_clocks.create_async({"frozen_time": 1_800_000_000})
        customer = await v1.customers.create_async(
            {
                "test_clock": clock.id,
                "payment_method": "pm_card_visa",
                "invoice_settings": {"default_payment_method": "pm_card_visa"},
            }
        )
        price = await v1.prices.create_async(
            {
                "currency": "usd",
                "unit_amount": 1_000,
                "recurring": {"interval": interval},
                "product_data": {"name": "Tea"},
            }
        )
        await v1.subscriptions.create_async(
            {"customer": customer.id, "items": [{"price": price.id}]}
        )


def told(made: Attack, seed: int) -> str:
    return "\n".join(f"seed {seed}: {problem}" for problem in made.problems.values())


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_answer_is_a_crash(seed: int) -> None:
    made = await attack(seed, steps=500, recipes=15)
    assert not made.problems, told(made, seed)


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(100, 250))
async def test_no_answer_is_a_crash_in_a_long_life(seed: int) -> None:
    made = await attack(seed, steps=3_000)
    assert not made.problems, told(made, seed)


async def test_the_attack_gets_through_to_most_routes() -> None:
    made = await attack(3, steps=500, recipes=15)
    answered = {name for name, status in made.statuses if status == 200}
    assert len(answered) > 100
