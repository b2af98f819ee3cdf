"""A credit account as a test works with it, and what must be true of every account."""

from datetime import datetime, timedelta
from typing import Any

from payments.domains.catalog.sync_file import Entry, push
from payments.domains.credits import CHORES, Grant, Note, ledger, root_of
from payments.sync.apply import locked
from world import Json, World

PACK = Entry(
    key="credits_100", name="AI Credits - Starter Pack", unit_amount=1000, currency="usd",
    metadata={"credit_amount": "100", "credit_type": "payg"},
)  # fmt: skip
SERVICE: Any = {"role": "service", "user": "shop"}

# One definition of balance, said a second time: every sum from the entries alone.
BROKEN = """
with entries as (select * from credit_entries where user_id = coalesce($1, user_id)),
sums as (
    select user_id, sum(amount) as all_of_it, coalesce(sum(amount) filter (where lot is null), 0)
           as of_debt
    from entries group by user_id
), lots as (
    select l.*, coalesce((select sum(amount) from entries e where e.lot = l.id), 0) as moved,
           coalesce((select sum(amount) from entries e where e.source = l.source), 0) as due
    from credit_lots l where user_id = coalesce($1, user_id)
), chain as (
    select id, balance_after - debt_after as net,
           sum(amount) over (partition by user_id order by id) as running
    from entries
)
select 'account ' || a.user_id as broken
from credit_accounts a left join sums s using (user_id)
where user_id = coalesce($1, user_id) and (
    a.balance - a.debt <> coalesce(s.all_of_it, 0) or -a.debt <> coalesce(s.of_debt, 0)
    or a.balance <> (select coalesce(sum(remaining), 0) from lots l where l.user_id = a.user_id)
    or a.balance < 0 or a.debt < 0 or (a.balance > 0 and a.debt > 0))
union all select 'lot ' || source from lots where remaining <> moved or target <> due
union all select 'entry ' || id from chain where net <> running
"""


async def sell(world: World, *entries: Entry) -> None:
    """Put products on sale."""
    async for _ in push(world.ctx, list(entries)):
        pass


async def ensure_sound(world: World, user: str | None = None) -> None:
    """Of one account, or of all: Σ entries = Σ lots − debt = balance − debt, each cause once."""
    assert [row["broken"] for row in await world.rows(BROKEN, user)] == []


async def read(world: World, user: str = "u-1", **query: Any) -> Json:
    return await world.ask("GET", f"/financial/credits/{user}", params=query, user=user)


async def add(world: World, amount: int, user: str = "u-1", status: int = 200, **more: Any) -> Json:
    headers = more.pop("headers", {})
    path = f"/financial/credits/{user}/add"
    return await send(world, path, {"amount": amount, **more}, status, headers, **SERVICE)


async def spend(
    world: World, amount: int, user: str = "u-1", status: int = 200, **more: Any
) -> Json:
    headers = more.pop("headers", {})
    path = f"/financial/credits/{user}/spend"
    return await send(world, path, {"amount": amount, **more}, status, headers, user=user)


async def send(
    world: World, path: str, body: Json, status: int, headers: dict[str, str], **who: Any
) -> Json:
    who = {"user": "u-1", "role": "user", **who}
    answer = await world.api.post(
        f"/api/v1{path}", json=body, headers=world.bearer(who["user"], who["role"]) | headers
    )
    assert answer.status_code == status, answer.text
    found: Json = answer.json()
    return found


async def grant(
    world: World,
    source: str,
    number: int,
    *,
    user: str = "u-1",
    ends: timedelta | None = None,
    **metadata: Any,
) -> None:
    """What another slice does when something was paid; `ends` is counted from now."""
    now = world.ctx.clock.now()
    expires_at: datetime | None = now + ends if ends is not None else None
    given = Grant(source=source, credits=number, credit_type="payg", expires_at=expires_at)
    async with world.ctx.db.transaction() as tx:
        await locked(tx, [root_of(user)])
        await ledger.grant(tx, user, given, Note(now=now, metadata=metadata))


async def worth(world: World, source: str, number: int, *, user: str = "u-1") -> None:
    """What a refund, or its failure, leads to."""
    async with world.ctx.db.transaction() as tx:
        await locked(tx, [root_of(user)])
        await ledger.set_target(tx, source, number, Note(now=world.ctx.clock.now()))


async def tend(world: World) -> None:
    [chore] = CHORES
    await chore.run(world.ctx)


async def lines(world: World, user: str = "u-1") -> list[tuple[str, int]]:
    """The ledger, oldest first."""
    query = "select kind, amount from credit_entries where user_id = $1 order by id"
    return [(row["kind"], row["amount"]) for row in await world.rows(query, user)]
