"""Notification services by address, for the admins: chat, paging, push, by way of Apprise."""

import asyncio
from collections.abc import Sequence
from hashlib import sha256

from apprise import Apprise

from payments.messages.letters import Letters
from payments.sync.outbox import Claimed


class NotDelivered(Exception):
    """The service did not take the message; it does not say why."""


class Services:
    """The services of APPRISE_URLS. An address holds its own secret, so it is named by its hash."""

    name = "apprise"

    def __init__(self, urls: Sequence[str], *, letters: Letters) -> None:
        self._by_name = {sha256(url.encode()).hexdigest()[:12]: url for url in urls}
        self._letters = letters

    def addresses(self, message: Claimed) -> Sequence[str]:
        return tuple(self._by_name) if message.audience == "admin" else ()

    async def send(self, message: Claimed, address: str) -> None:
        said = self._letters.write(message)
        service = Apprise()
        service.add(self._by_name[address])
        # Its asynchronous call starts a pool of threads each time; one thread is enough.
        if not await asyncio.to_thread(service.notify, title=said.subject, body=said.text):
            raise NotDelivered(f"the service {address} of APPRISE_URLS did not take it")
