"""Addresses that a request names."""

from stripe_sandbox.contract.errors import invalid


def require_url(url: str | None, *, param: str) -> None:
    """Refuse what no browser could open; None is no address at all."""
    if url is not None and not url.startswith(("http://", "https://")):
        text = "Invalid URL: An explicit scheme (such as https) must be provided."
        raise invalid(text, code="url_invalid", param=param)
