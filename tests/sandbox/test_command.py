"""`stripe-sandbox trigger` and `resend`: every recipe makes its event happen."""

import asyncio

import pytest
import typer.testing

from service.variants import listening
from stripe_sandbox import triggers
from stripe_sandbox.cli import app
from stripe_sandbox.testing import Bench


async def run(*arguments: str) -> typer.testing.Result:
    """In a thread: the command has a loop of its own."""
    return await asyncio.to_thread(typer.testing.CliRunner().invoke, app, list(arguments))


@pytest.mark.parametrize("event", triggers.events())
async def test_a_recipe_makes_its_event_happen(bench: Bench, event: str) -> None:
    first, *made = await triggers.trigger(bench.http, event)
    found = await bench.stripe.v1.events.retrieve_async(first)
    assert found.type == event
    assert made


async def test_a_call_that_is_refused_is_told(bench: Bench) -> None:
    await bench.http.post("/_sandbox/faults", json={"status": 500, "path": "/v1/customers"})
    with pytest.raises(triggers.NotTriggered, match=r"POST /v1/customers: A fault"):
        await triggers.trigger(bench.http, "customer.created")


async def test_an_event_that_does_not_follow_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"coupon.updated": "post coupons percent_off=20"}
    monkeypatch.setattr(triggers, "recipes", lambda: known)
    with pytest.raises(triggers.NotTriggered, match="did not follow"):
        await triggers.trigger(bench.http, "coupon.updated")


async def test_the_command_triggers_and_tells_what_it_made(bench: Bench) -> None:
    async with listening(bench.app) as url:
        result = await run("trigger", "charge.refunded", "--url", url)
        assert result.exit_code == 0, result.output
        first, second = result.output.splitlines()
        event = first.removeprefix("charge.refunded  ")
        assert (await bench.stripe.v1.events.retrieve_async(event)).type == "charge.refunded"
        assert "pi_" in second
        assert "re_" in second
        await bench.deliver()
        again = await run("resend", event, "--url", url)
        assert again.output == f"charge.refunded  {event} is on its way\n"
        await bench.deliver()
    assert bench.shop.types.count("charge.refunded") == 2


async def test_the_command_lists_what_there_is() -> None:
    everything = await run("trigger")
    assert everything.exit_code == 0
    assert everything.output.splitlines() == triggers.events()
    unknown = await run("trigger", "unicorn.created")
    assert unknown.exit_code == 1
    assert "no recipe for unicorn.created" in unknown.output
    assert "customer.created" in unknown.output


async def test_a_wrong_wish_is_one_clear_line(bench: Bench) -> None:
    async with listening(bench.app) as url:
        missing = await run("resend", "evt_none", "--url", url)
    nobody = await run("trigger", "customer.created", "--url", "http://127.0.0.1:9")
    for result, text in ((nobody, "no sandbox answers"), (missing, "No such event: 'evt_none'")):
        assert result.exit_code == 1
        assert text in result.output
        assert result.output.count("\n") == 1
