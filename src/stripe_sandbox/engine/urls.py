"""Addresses that a request names."""

import re

from stripe_sandbox.contract.errors import invalid

_WEB = re.compile(r"https?://[^/]")
_APP = re.compile(r"(?!javascript|vbscript|data)[a-z][a-z0-9+.-]*://[^/]")


def require_url(url: str | None, *, param: str) -> None:
    """Refuse what no browser could open; None is no address at all."""
    _require(_WEB, url, param)


def require_way_back(url: str | None, *, param: str) -> None:
    """The same of where a customer is sent on to, which may be an app."""
    _require(_APP, url, param)


def _require(form: re.Pattern[str], url: str | None, param: str) -> None:
    if url is not None and not form.match(url):
        text = "Invalid URL: An explicit scheme (such as https) must be provided."
        raise invalid(text, code="url_invalid", param=param)
