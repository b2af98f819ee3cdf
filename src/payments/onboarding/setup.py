"""`payments setup`: an account and a database made ready; run twice, the second changes nothing."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from payments.context import Context
from payments.core import audit
from payments.domains.catalog.sync_file import Entry, push
from payments.domains.catalog.tables import held
from payments.domains.portal import ensure_configuration
from payments.onboarding import endpoints
from payments.onboarding.endpoints import Registered
from payments.settings import Settings


@dataclass(frozen=True, slots=True)
class Step:
    """What was done about one thing: created, updated or unchanged."""

    name: str
    done: str
    detail: str


async def at_stripe(ctx: Context, catalogue: Sequence[Entry]) -> AsyncIterator[Step]:
    """The catalogue and the portal configuration."""
    states = [done async for _, done in push(ctx, catalogue)]
    done = next((done for done in ("created", "updated") if done in states), "unchanged")
    yield Step("Catalogue", done, f"{len(states)} products")
    portal, done = await ensure_configuration(ctx)
    yield Step("Customer portal", done, portal)


async def price_variables(ctx: Context, catalogue: Sequence[Entry]) -> list[str]:
    """The lines for `.env` that hold each price fast, in the catalogue's order."""
    async with ctx.db.transaction() as tx:
        prices = await held(tx, [entry.key for entry in catalogue])
    keys = [entry.key for entry in catalogue if entry.key in prices]
    return [f"STRIPE_PRICE_{key.upper()}={prices[key]}" for key in keys]


async def endpoint(ctx: Context, url: str, also: Sequence[str] = ()) -> tuple[Step, Registered]:
    """The webhook endpoint. Its secret is in what was registered, this one time.

    Raises:
        Invalid: the address or the name of an event is none; the message says what to give.
    """
    events = endpoints.followed(ctx.sync.registry, also)
    address = endpoints.checked(url, live=ctx.settings.live)
    made = await endpoints.register(ctx.stripe, url=address, events=events)
    if made.done != "unchanged":
        act = f"webhook_endpoint.{made.done}"
        async with ctx.db.transaction() as tx:
            await audit.record(tx, None, act=act, subject=made.id, url=address)
    return Step("Webhook endpoint", made.done, f"{made.id}, {len(events)} events"), made


def variables(settings: Settings, made: Registered) -> list[str]:
    """The lines for `.env`: a new secret stands beside the one in use, so that none is missed."""
    if made.secret is None:
        return []
    beside = settings.stripe_webhook_secret is not None
    return [f"STRIPE_WEBHOOK_SECRET{'_2' if beside else ''}={made.secret}"]
