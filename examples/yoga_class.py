"""A place in a yoga class as something to pay for.

Name it in the settings, `PAYABLES=examples.yoga_class:yoga`, and a front end pays for a place by
`POST /stripe/create-checkout-session {"reference": "yoga:p-1"}`. The table is yours and stands in
the same database, so a place is marked as paid in the transaction that learns of the money.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.errors import Conflict, NotFound
from payments.core.money import Money
from payments.core.principal import Principal
from payments.domains.payables import Offer, Purpose

TABLE = """create table yoga_places (
    id text primary key, user_id text not null, price_cents bigint not null, paid_at timestamptz)"""
FIND = text("select * from yoga_places where id = :id")
TAKEN = text("""select count(*) from payments where reference = 'yoga:' || :id
    and (stripe_status = 'processing' or received_cents > refunded_cents)""")
# Said again at every change, so it computes what is true and writes only the difference.
PAID = text("""with money as (
        select y.id, coalesce(sum(received_cents - refunded_cents), 0) >= price_cents as paid
        from yoga_places y left join payments p on p.reference = 'yoga:' || y.id
        where y.id = any(:ids) group by y.id)
    update yoga_places y set paid_at = case when m.paid then cast(:now as timestamptz) end
    from money m where y.id = m.id and m.paid <> (y.paid_at is not null)""")


class Yoga:
    kind = "yoga"

    async def locate(self, tx: AsyncConnection, *, id: str, principal: Principal) -> str:
        place = (await tx.execute(FIND, {"id": id})).first()
        if place is None or not principal.sees(place.user_id):
            raise NotFound(f"there is no place {id!r}")
        return id

    async def offer(
        self, tx: AsyncConnection, *, id: str, purpose: Purpose, principal: Principal
    ) -> Offer:
        await self.locate(tx, id=id, principal=principal)
        if purpose != "full" or await tx.scalar(TAKEN, {"id": id}):
            raise Conflict(f"place {id} is paid at once and in full, and once only")
        place = (await tx.execute(FIND, {"id": id})).one()
        price = Money(place.price_cents, "usd")
        return Offer(place.user_id, "full", money=price, due=price, description="Yoga class")

    async def paid(self, tx: AsyncConnection, *, ids: Collection[str], now: datetime) -> None:
        await tx.execute(PAID, {"ids": sorted(ids), "now": now})


yoga = Yoga()
