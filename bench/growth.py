"""What a full database costs: a million payments with their events, then the same measurements; and
how many rows were read for what a front end and an admin ask for.
"""

import time
from dataclasses import dataclass

import httpx2

from bench import speed
from bench.latency import token
from bench.rig import Rig, Told
from bench.speed import Speeds

ROWS = 1_000_000
STEP = 50_000
LARGE = ("payment_intents", "stripe_events", "bookings")

BOOKINGS = """
insert into bookings (id, user_id, currency, total_cents, deposit_cents, paid_cents, state,
                      created_at)
select 'bk_old_' || n, 'user_' || n % 10000, 'usd', 50000, 10000, 10000, 'confirmed',
       now() - make_interval(secs => n)
from generate_series($1::bigint, $2::bigint) n
"""
PAYMENTS = """
insert into stripe.payment_intents (id, account, livemode, phase, ticket, created_at, updated_at,
    status, amount, amount_received, currency, customer, reference, payment_type)
select 'pi_old_' || md5(n::text), 'acct_bench', false, 2, nextval('stripe.ticket'),
       now() - make_interval(secs => n), now(), 'succeeded', 10000, 10000, 'usd',
       'cus_' || n % 10000, 'booking:bk_old_' || n, 'deposit'
from generate_series($1::bigint, $2::bigint) n
"""
# 2 KB that a disk holds as such: what repeats itself would be compressed away.
EVENTS = """
insert into stripe_events (id, type, resource, object_id, livemode, api_version, body, lane,
                           created_at, received_at, done_at, outcome)
select 'evt_old_' || md5(n::text), 'payment_intent.succeeded', 'payment_intent',
       'pi_old_' || md5(n::text), false, '2026-10-28.endive',
       convert_to((select string_agg(md5((n * 64 + k)::text), '') from generate_series(1, 64) k),
                  'UTF8'),
       0, now() - make_interval(secs => n), now() - make_interval(secs => n),
       now() - make_interval(secs => n), 'applied'
from generate_series($1::bigint, $2::bigint) n
"""
ASKED = (
    "payments",
    "payments?limit=100&status=succeeded",
    "payments?status=partially_refunded",
    "payments?created[gte]={day}",
    "payments?booking_id=bk_old_500000",
    "payments?starting_after={payment}",
    "payments/{payment}/timeline",
    "events?object_id={payment}",
    "events?state=dead",
    "events",
)
READ = """
select relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)
from pg_stat_user_tables where relname = any($1)
"""
MANY = 20_000
"""Rows that all of it together may read of a table of a million."""


@dataclass(frozen=True)
class Growth:
    """A full database: its speeds, and how many rows were read of each large table."""

    rounds: list[Speeds]
    read: dict[str, int]


async def fill(rig: Rig, told: Told) -> None:
    """Store the rows; `told` hears how many were added each time."""
    for start in range(0, ROWS, STEP):
        for statement in (BOOKINGS, PAYMENTS, EVENTS):
            await rig.db.execute(statement, start, start + STEP - 1)
        told(STEP)
    await rig.db.execute("vacuum analyze")


async def measure(rig: Rig, told: Told) -> Growth:
    before = await _read(rig)
    async with rig.api() as url, rig.worker():
        await _ask(rig, url)
    read = {name: rows - before[name] for name, rows in (await _read(rig)).items()}
    return Growth(await speed.measure(rig, told), read)


async def _ask(rig: Rig, url: str) -> None:
    """What the front end, an admin and the worker ask of the database."""
    payment = await rig.db.fetchval("select 'pi_old_' || md5('500000')")
    day = int(time.time()) - 24 * 60 * 60
    headers = {"Authorization": f"Bearer {token()}"}
    async with httpx2.AsyncClient(base_url=f"{url}/api/v1/stripe/", headers=headers) as client:
        for path in ASKED:
            answer = await client.get(path.format(payment=payment, day=day), timeout=120)
            answer.raise_for_status()


async def _read(rig: Rig) -> dict[str, int]:
    """Rows read of each large table; what a process has read is counted when it has ended."""
    return dict(await rig.db.fetch(READ, LARGE))
