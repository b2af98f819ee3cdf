"""What the official Stripe CLI triggers arrives here, and is shown as it is."""

import shutil
from pathlib import Path

import pytest

from converge.oracle import differences
from sandbox.test_stripe_cli import run_program
from service.variants import listening
from world import World

pytestmark = pytest.mark.proof

SHOWN = {
    "payment_intent.succeeded": ("succeeded", False),
    "charge.refunded": ("refunded", False),
    "checkout.session.completed": ("succeeded", False),
    "customer.created": None,
    "charge.dispute.created": ("succeeded", True),
}
"""The status of the payment that each trigger makes, and whether it is disputed."""


async def test_the_service_ends_in_the_right_state_for_each_trigger(
    world: World, tmp_path: Path
) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed: apt install npm")
    await run_program(tmp_path, npm, "install", "--no-audit", "--no-fund", "@stripe/cli")
    program = str(tmp_path / "node_modules/.bin/stripe")
    state = world.sandbox.sandbox.state
    async with listening(world.sandbox) as url:
        for event, shown in SHOWN.items():
            before = {row["id"] for row in await world.rows("select id from payments")}
            command = ("--api-base", url, "--api-key", "sk_test_of_the_cli", "trigger", event)
            assert "Trigger succeeded" in await run_program(tmp_path, program, *command)
            await world.settle()
            await world.converge()
            made = await world.ask("GET", "/stripe/payments?limit=100", role="admin")
            new = [p for p in made["data"] if p["id"] not in before]
            assert [(p["status"], p["disputed"]) for p in new] == ([shown] if shown else []), event
    registry = world.ctx.sync.registry
    stripe = {r.name: list(state.rows(r.name).values()) for r in registry.resources}
    known = {o["id"] for objects in stripe.values() for o in objects}
    assert await differences(world.db, registry, stripe, known) == []
