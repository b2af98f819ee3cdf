"""How one sandbox is set up."""

from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from stripe_sandbox.engine.chaos import Chaos

ACCOUNT = "acct_sandbox"
CONFIGURED_ENDPOINT = "we_configured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Attributes:
    base_url: where a browser reaches the sandbox; the hosted pages' addresses begin with it.
    state: the file that keeps everything; None keeps it in memory.
    fresh: empty the file at the start.
    webhook_url: an endpoint that exists from the start and gets every event.
    webhook_secret: its signing secret; made up once, and kept, when it is not given.
    settle_after: seconds until what Stripe settles later (debits, pending refunds, fees of
        asynchronous captures) is settled.
    retry_delays: seconds between the attempts to deliver one event to one endpoint.
    delivery_timeout: seconds an endpoint has to answer.
    delivery_slots: deliveries under way at one time to one endpoint.
    redirect_wait: seconds a hosted page waits for the acknowledgement of its event.
    tax_rate: the percentage that `automatic_tax` levies on everything.
    chaos: what goes wrong by itself; by default nothing.
    portal_saved: the account's owner has saved the portal's settings once, so there is a default
        configuration, as in most accounts; a new one has none.
    """

    base_url: str = "http://127.0.0.1:12111"
    state: Path | None = None
    fresh: bool = False
    webhook_url: str | None = None
    webhook_secret: str | None = None
    settle_after: float = 3.0
    retry_delays: tuple[float, ...] = (0.5, 2, 5, 10, 20, 40, 60, 120, 180, 300, 600)
    delivery_timeout: float = 10.0
    delivery_slots: int = 16
    redirect_wait: float = 10.0
    tax_rate: Decimal = Decimal(0)
    chaos: Chaos = field(default_factory=Chaos)
    portal_saved: bool = False
