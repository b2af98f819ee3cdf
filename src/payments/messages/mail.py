"""Mail over SMTP, one letter an address, with a Message-ID that stays the same at every try."""

from collections.abc import Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any, Final
from urllib.parse import unquote, urlsplit
from uuid import NAMESPACE_URL, uuid5

import aiosmtplib

from payments.messages.letters import Letters
from payments.messages.sinks import Unreachable
from payments.sync.outbox import Claimed

OWN_FAULTS: Final = (
    aiosmtplib.SMTPRecipientsRefused,
    aiosmtplib.SMTPRecipientRefused,
    aiosmtplib.SMTPDataError,
    aiosmtplib.SMTPNotSupported,
)
"""What a server says about one letter; all else is about the server, the network or our login."""


class Mail:
    """The mail server of SMTP_URL."""

    name = "mail"

    def __init__(self, url: str, *, sender: str, admins: Sequence[str], letters: Letters) -> None:
        self._server = server(url)
        self._sender, self._admins, self._letters = sender, admins, letters

    def addresses(self, message: Claimed) -> Sequence[str]:
        if message.audience == "admin":
            return self._admins
        return (message.recipient,) if message.recipient else ()

    async def send(self, message: Claimed, address: str) -> None:
        letter = self.letter(message, address)
        try:
            await aiosmtplib.send(letter, **self._server)
        except OWN_FAULTS:
            raise
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as exc:
            raise Unreachable(f"{type(exc).__name__}: {exc}") from exc

    def letter(self, message: Claimed, address: str) -> EmailMessage:
        """The mail as it is sent; the same message gives the same mail."""
        said = self._letters.write(message)
        mail = EmailMessage()
        mail["From"] = self._sender
        mail["To"] = Address(addr_spec=address)
        mail["Subject"] = said.subject
        mail["Date"] = message.received_at
        domain = parseaddr(self._sender)[1].rpartition("@")[2]
        mail["Message-ID"] = f"<{uuid5(NAMESPACE_URL, message.id)}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(said.text)
        mail.add_alternative(said.html, subtype="html")
        return mail


def server(url: str) -> dict[str, Any]:
    """How to reach a server. `smtps://` is TLS from the start; `smtp://` goes over to TLS where the
    server can, and must where there is a password to keep.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "smtps"
    return {
        "hostname": parts.hostname,
        "port": parts.port or (465 if secure else 587),
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "use_tls": secure,
        "start_tls": (True if parts.password else None) if not secure else False,
        "timeout": 10,
    }
