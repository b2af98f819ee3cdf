"""Where a customer may be sent from Stripe's pages: our own front ends, nowhere else."""

from typing import Final
from urllib.parse import urlsplit

from payments.core.errors import Invalid
from payments.settings import Settings

LOCAL: Final = {"localhost", "127.0.0.1"}


def return_urls(settings: Settings, success: str | None, cancel: str | None) -> tuple[str, str]:
    """The pages to come back to, checked, with the first front end's own as default.

    Raises:
        Invalid: a page outside FRONTEND_URLS.
    """
    first = settings.frontends[0]
    return (
        allowed(settings, "success_url", success)
        or f"{first}/payment/success?session_id={{CHECKOUT_SESSION_ID}}",
        allowed(settings, "cancel_url", cancel) or f"{first}/payment/cancel",
    )


def allowed(settings: Settings, name: str, url: str | None) -> str | None:
    """The page, if it is one of ours.

    Raises:
        Invalid: it is not; the message calls it `name`.
    """
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        local = settings.environment == "development" and parts.hostname in LOCAL
        bare = "@" not in parts.netloc and "\\" not in url and parts.scheme in ("http", "https")
    except ValueError:
        bare = local = False
        origin = ""
    if not bare or (origin not in settings.frontends and not local):
        raise Invalid(f"{name} must begin with one of: {', '.join(settings.frontends)}")
    return url
