"""Whatever happens to credits, in whatever order and however often: every cause counts once, and
nothing goes below zero.
"""

import asyncio
from collections.abc import Sequence
from random import Random

from hypothesis import Phase, given, settings

from converge.crediting import Account, Act, acts
from converge.test_histories import calm
from service.accounts import add, ensure_sound, grant, read
from world import World


@settings(calm, max_examples=300, derandomize=True, phases=[Phase.generate])
@given(happened=acts)
async def test_any_order_of_acts_leaves_sums_that_agree(
    world: World, happened: Sequence[Act]
) -> None:
    await live_through(world, happened)


async def live_through(world: World, happened: Sequence[Act]) -> None:
    account = Account(world)
    for act in happened:
        await account.go(act)
    await account.check()


SOURCES = [f"payment:pi_{n}" for n in range(6)]


async def hear(world: World, random: Random, spent: dict[str, str]) -> None:
    """What one of many clients does next: pay, give back, spend, give; often what another did."""
    act = random.choice(("grant", "give_back", "spend", "spend", "add"))
    if act == "grant":
        await grant(world, random.choice(SOURCES), 30)
    elif act == "give_back":
        await grant(world, random.choice(SOURCES), random.choice((0, 10)))
    elif act == "add":
        await add(world, 5, reference=f"gift-{random.randrange(10)}")
    else:
        await use(world, f"job-{random.randrange(20)}", spent)


async def use(world: World, reference: str, spent: dict[str, str]) -> None:
    answer = await world.api.post(
        "/api/v1/financial/credits/u-1/spend",
        json={"amount": 7, "reference": reference},
        headers=world.bearer(),
    )
    assert answer.status_code in (200, 409), answer.text
    if answer.status_code == 200:
        id = answer.json()["entry"]["id"]
        assert spent.setdefault(reference, id) == id


async def test_eight_clients_at_once_leave_sums_that_agree(world: World) -> None:
    spent: dict[str, str] = {}

    async def client(number: int) -> None:
        random = Random(number)
        for _ in range(10):
            await hear(world, random, spent)

    await asyncio.gather(*(client(number) for number in range(8)))
    await ensure_sound(world)
    for source in SOURCES:
        await grant(world, source, 30)
    await ensure_sound(world)
    gifts = await world.db.fetchval("select count(*) from credit_lots where source like 'manual:%'")
    found = await read(world)
    assert found["balance"] - found["debt"] == 6 * 30 + gifts * 5 - len(spent) * 7
    assert spent
