"""A mail server in this process, which can close, refuse an address or take its time."""

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP

FULL, GONE = "452 mailbox full", "550 no such user here"


async def _answer_at_once() -> None:
    return


class PostOffice:
    """Takes letters; `refused` says what it answers to whom instead, `taken` is awaited between a
    letter's arrival and the answer.
    """

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self.refused: dict[str, str] = {}
        self.taken: Callable[[], Awaitable[None]] = _answer_at_once
        self._last: Any = None
        self._server: asyncio.Server | None = None
        self.port = 0

    async def handle_RCPT(  # noqa: N802 - the server library calls it so
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address not in self.refused:
            envelope.rcpt_tos.append(address)
        return self.refused.get(address, "250 OK")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - as above
        letter = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        assert letter["To"] == ", ".join(envelope.rcpt_tos)
        self.letters.append(letter)
        self._last = server
        await self.taken()
        return "250 OK"

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SMTP(self, loop=loop), "127.0.0.1", self.port
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def hang_up(self) -> None:
        """Cut the connection that brought the last letter."""
        self._last.transport.abort()

    def to(self, address: str) -> list[EmailMessage]:
        return [letter for letter in self.letters if letter["To"] == address]


@asynccontextmanager
async def open_post_office() -> AsyncIterator[PostOffice]:
    office = PostOffice()
    await office.open()
    yield office
    await office.close()


def text_of(letter: EmailMessage, kind: str = "plain") -> str:
    body = letter.get_body((kind,))
    assert body is not None
    return str(body.get_content())
