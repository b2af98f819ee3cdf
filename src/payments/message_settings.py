"""What the environment may say about messages: by which ways, to whom, which, and since when."""

from email.utils import parseaddr
from typing import Literal, get_args
from urllib.parse import urlsplit

from pydantic import AwareDatetime, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

Template = Literal["payment_failed", "dispute", "refund_failed", "dead_event"]
"""What this service tells people: the first the customer, the others the admins."""


def listed(value: str) -> tuple[str, ...]:
    """A comma list, without its blanks."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _is_mail_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # its text would show what is taken for a port: a piece of the password
        return False


class MessageSettings(BaseSettings):
    """The part of the settings that the outbox reads."""

    smtp_url: SecretStr | None = Field(
        None,
        description="smtp://user:password@host:587 (STARTTLS), smtps://…:465; needs MAIL_FROM",
    )
    mail_from: str | None = Field(None, description="sender of mails: Shop <shop@example.com>")
    admin_emails: str = Field("", description="comma list: who gets the mails to the admins")
    apprise_urls: SecretStr | None = Field(
        None, description="services that tell the admins too; needs the extra `notify`"
    )
    messages: str = Field(
        ",".join(get_args(Template)), description="which messages are sent; the log has them all"
    )
    effects_since: AwareDatetime | None = Field(
        None,
        description="nobody is told of what was made at Stripe before; empty: the first start",
    )

    @field_validator("smtp_url")
    @classmethod
    def mail_server(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _is_mail_server(value.get_secret_value()):
            raise ValueError(
                "must look like smtp://user:password@host:587 or smtps://…, "
                "special characters of the password percent-encoded"
            )
        return value

    @field_validator("messages")
    @classmethod
    def templates(cls, value: str) -> str:
        if unknown := set(listed(value)) - set(get_args(Template)):
            raise ValueError(
                f"no such message: {', '.join(sorted(unknown))}; "
                f"there are {', '.join(get_args(Template))}"
            )
        return value

    def mail_problems(self) -> list[str]:
        """A mail server without a sender."""
        if self.smtp_url and "@" not in parseaddr(self.mail_from or "")[1]:
            return ["SMTP_URL needs MAIL_FROM, the sender: Shop <shop@example.com>"]
        return []

    @property
    def admins(self) -> tuple[str, ...]:
        """Addresses of those who run this."""
        return listed(self.admin_emails)

    @property
    def services(self) -> tuple[str, ...]:
        """Apprise's addresses; secrets each."""
        return listed(self.apprise_urls.get_secret_value() if self.apprise_urls else "")
