"""Letters: a message in words. Each template is plain text, its first line the subject; the HTML is
the same paragraphs in one layout.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from jinja2 import Environment, PackageLoader, StrictUndefined

from payments.core import money
from payments.settings import Settings
from payments.sync.outbox import Claimed

LABELS: Final[Mapping[str, str]] = {
    "payment_failed": "Pay again",
    "trial_ending": "See your plan",
    "renewal_failed": "Pay now",
    "subscription_ended": "See all plans",
}
"""What a customer's letter calls the place where he can act."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What somebody reads."""

    subject: str
    text: str
    html: str


class Letters:
    """Puts messages into words.

    Templates know the facts of their message, `shop` (the first of FRONTEND_URLS), the filters
    `money` (minor units and a currency) and `at` (a time in TIME_ZONE).
    """

    def __init__(self, settings: Settings) -> None:
        self._shop = settings.frontends[0]
        self._dashboard = "https://dashboard.stripe.com" + ("" if settings.live else "/test")
        self._plain = Environment(
            loader=PackageLoader("payments.messages"),
            autoescape=False,  # noqa: S701 - plain text; the layout escapes what becomes HTML
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._plain.filters |= {"money": money.display, "at": partial(_at, zone=settings.zone)}
        self._html = Environment(loader=PackageLoader("payments.messages"), autoescape=True)

    def write(self, message: Claimed) -> Letter:
        template = self._plain.get_template(f"{message.template}.txt")
        said = template.render(**message.facts, shop=self._shop)
        subject, _, body = said.strip().partition("\n")
        link = self._link(message)
        paragraphs = [" ".join(part.split()) for part in body.split("\n\n") if part.strip()]
        html = self._html.get_template("layout.html").render(
            subject=subject, paragraphs=paragraphs, link=link
        )
        return Letter(subject, "\n\n".join([*paragraphs, link[1]]) + "\n", html)

    def _link(self, message: Claimed) -> tuple[str, str]:
        """Where the reader can act: his label and his address."""
        if message.audience == "customer":
            return LABELS[message.template], message.link or self._shop
        page = "payments/" if message.about.startswith("pi_") else "search?query="
        return "Open in Stripe", f"{self._dashboard}/{page}{quote(message.about)}"


def _at(iso: str, *, zone: ZoneInfo) -> str:
    """`14 January 2032, 23:59 UTC`."""
    moment = datetime.fromisoformat(iso).astimezone(zone)
    return format_datetime(moment, "d MMMM yyyy, HH:mm zzz", locale="en")
