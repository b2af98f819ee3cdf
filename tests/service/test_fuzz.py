"""Whatever is sent to a route of the specification, the answer is one that stands there."""

import asyncio
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from payments.core.principal import Role
from payments.domains.portal import ensure_configuration
from world import API, Json, World

PROBLEM = "application/problem+json"
ROLES: tuple[Role, ...] = ("user", "service", "admin")
HONEST = {501, 503}
"""What a route may say of itself; any other 5xx is a defect."""

calm = settings(
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

Operation = APIOperation[Any, Any, Any, Any]
AnyCase = Case[Any]


@dataclass
class Fuzzer:
    """Sends cases as everybody, and keeps the first of each kind that was answered wrongly."""

    world: World
    known: dict[str, list[str]]
    loop: asyncio.AbstractEventLoop
    sent: int = 0
    found: dict[tuple[str, str], str] = field(default_factory=dict)

    def explore(self, operation: Operation, calm: settings) -> None:
        """Away from the loop, for hypothesis asks its functions one after another."""
        cases = operation.as_strategy()
        if has_input(operation):
            cases |= operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

        examples = examples_of(operation)

        @calm
        @given(case=cases, pick=st.integers(-4, 11))
        def ask(case: AnyCase, pick: int) -> None:
            if pick >= 0:
                self.bring_near(case, pick, examples[pick % len(examples)])
            for role in ROLES:
                self.judge(case, role)

        ask()

    def bring_near(self, case: AnyCase, pick: int, example: Json) -> None:
        """What is drawn from a schema is mostly a 422, so most cases are an example of the
        specification that differs in at most two fields, about objects that exist.
        """
        if isinstance(case.body, dict):
            drawn = [(name, whole(value)) for name, value in case.body.items()]
            start = pick % len(drawn) if drawn else 0
            case.body = example | dict(drawn[start : start + pick % 3 + (not example)])
        places: list[Any] = [case.path_parameters, case.query, case.body]
        for place in [place for place in places if isinstance(place, dict)]:
            for name in list(place):
                if ids := self.known.get(kind_of(name, case.path)):
                    place[name] = ids[pick % len(ids)]

    def judge(self, case: AnyCase, role: Role) -> None:
        kwargs = case.as_transport_kwargs(base_url=API, headers=self.world.bearer(role=role))
        request = requests.Request(**kwargs).prepare()
        answer = asyncio.run_coroutine_threadsafe(self.send(request), self.loop).result()
        self.sent += 1
        for fault in faults(case, answer):
            told = f"{fault}\n  {role}: {case.as_curl_command()}\n  {answer.text[:300]}"
            self.found.setdefault((case.operation.label, fault[:40]), told)

    async def send(self, request: requests.PreparedRequest) -> httpx2.Response:
        body = request.body or b""
        return await self.world.api.request(
            str(request.method),
            str(request.url),
            headers={name: str(value) for name, value in request.headers.items()},
            content=body if isinstance(body, bytes) else str(body).encode(),
        )


def faults(case: AnyCase, answer: httpx2.Response) -> Iterator[str]:
    status = answer.status_code
    if str(status) not in case.operation.definition.raw["responses"]:
        yield f"{status} is not documented"
    if status >= 500 and status not in HONEST:
        yield f"{status}"
    if status >= 400 and answer.headers.get("content-type") != PROBLEM:
        yield f"{status} is no problem"
    try:
        case.operation.validate_response(answer, case=case)
    except (Failure, FailureGroup) as exc:
        yield f"{status} has another shape: {exc}"


def kind_of(name: str, path: str) -> str:
    """Of what a parameter's ids are: `/refunds/{id}` and `/refunds?starting_after=` of refunds."""
    parts = path.removesuffix("/{id}").split("/")
    return parts[-1] if name in ("id", "starting_after") else name


def whole(value: Any) -> Any:
    """2.0 is an integer to JSON Schema, but never to a field for money."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def has_input(operation: Operation) -> bool:
    return any((operation.path_parameters, operation.query, operation.headers, operation.body))


def examples_of(operation: Operation) -> list[Json]:
    """The bodies that the specification shows, or one of the examples of its fields."""
    sent = operation.definition.raw.get("requestBody", {}).get("content", {})
    name = sent.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
    body = operation.schema.raw_schema["components"]["schemas"].get(name, {})
    fields = body.get("properties", {}).items()
    shown = {name: field["examples"][0] for name, field in fields if "examples" in field}
    return body.get("examples") or [shown]


def operations(spec: Json) -> list[Operation]:
    """Those with little to vary first: what they leave of the cases goes to the others."""
    open_to_all = deepcopy(spec)
    for path in open_to_all["paths"].values():
        for operation in path.values():
            operation.pop("security", None)  # each case brings a good token
    made = schemathesis.openapi.from_dict(open_to_all)
    found = []
    for result in made.get_all_operations():
        assert isinstance(result, Ok), result
        found.append(result.ok())
    return sorted(found, key=lambda operation: (bool(operation.body), has_input(operation)))


async def objects(world: World) -> dict[str, list[str]]:
    """A booking half paid and half given back, and one that is only booked."""
    booking, other = await world.book(), await world.book()
    session = await world.session(booking, payment_type="deposit")
    await world.pay(session)
    await world.converge()
    [payment] = (await world.ask("GET", "/stripe/payments"))["data"]
    body = {"payment_id": payment["id"], "amount_cents": payment["amount_cents"] // 2}
    refund = await world.ask("POST", "/stripe/refund", body, role="admin")
    await world.converge()
    await ensure_configuration(world.ctx)
    customer = await world.ask("GET", "/customers/u-1")
    bookings = [booking["id"], other["id"]]
    return {
        "bookings": bookings,
        "booking_id": bookings,
        "checkout-sessions": [session["session_id"]],
        "payments": [payment["id"]],
        "payment_id": [payment["id"]],
        "refunds": [refund["id"]],
        "user_id": ["u-1", "u-2"],
        "stripe_customer_id": [customer["stripe_customer_id"]],
    }


async def fuzz(world: World, cases: int, calm: settings) -> None:
    fuzzer = Fuzzer(world, await objects(world), asyncio.get_running_loop())
    waiting = operations(world.app.openapi())
    while waiting:
        operation = waiting.pop(0)
        share = (cases - fuzzer.sent) // (len(ROLES) * (len(waiting) + 1)) + 1
        few = settings(calm, max_examples=share if has_input(operation) else 1)
        await asyncio.to_thread(fuzzer.explore, operation, few)
    found = [f"{label}: {what}" for (label, _), what in sorted(fuzzer.found.items())]
    assert not found, "\n\n".join(found)
    assert fuzzer.sent >= cases


async def test_two_thousand_requests_get_documented_answers(world: World) -> None:
    await fuzz(world, 2000, settings(calm, derandomize=True))


@pytest.mark.proof
async def test_twenty_thousand_other_requests_each_time_do_too(world: World) -> None:
    await fuzz(world, 20_000, calm)
