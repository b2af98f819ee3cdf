"""What a message can go into: the log always; mail and notification services where they are set."""

from collections.abc import Sequence
from typing import Protocol

import structlog

from payments.core.telemetry import alert
from payments.sync.outbox import Claimed

log = structlog.get_logger(__name__)


class Unreachable(Exception):
    """The sink is away or refuses us; it is no fault of the message."""


class Sink(Protocol):
    """A way to people."""

    name: str

    def addresses(self, message: Claimed) -> Sequence[str]:
        """Whom this sink tells; each is told, tried again and remembered by itself."""
        ...

    async def send(self, message: Claimed, address: str) -> None:
        """Deliver a message to one address.

        Raises:
            Unreachable: nobody would be told now; this costs the message no attempt.
            Exception: this message cannot be told to this address.
        """
        ...


class Log:
    """The log. What admins are told is an alert: an error line and a counter to alert on."""

    name = "log"

    def addresses(self, _: Claimed) -> Sequence[str]:
        return ("",)

    async def send(self, message: Claimed, _: str) -> None:
        said = {"key": message.id, "about": message.about, "facts": message.facts}
        if message.audience == "admin":
            alert(message.template, "a message to the admins", **said)
        else:
            log.info("a message to a customer", template=message.template, **said)
