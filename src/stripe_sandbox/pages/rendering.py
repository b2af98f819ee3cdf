"""What all pages share: templates that escape their values, headers, what a form sends."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from stripe_sandbox.flows.money import display

_HERE = Path(__file__).parent
STATIC = _HERE / "static"

# No form-action: browsers apply it to the redirect after the form as well, and that one leads to
# the shop.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:;"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_TEMPLATES = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["money"] = display


def _at(seconds: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


_TEMPLATES.filters["at"] = _at


def every(recurring: Any) -> str:
    """How often a price is paid: `month`, `3 months`."""
    unit, count = recurring["interval"], recurring["interval_count"]
    return str(unit) if count == 1 else f"{count} {unit}s"


_TEMPLATES.filters["every"] = every


def render(template: str, *, title: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page; its template knows these values, and the filters `money(currency)`, `at`, `every`."""
    text = _TEMPLATES.get_template(template).render(title=title, **values)
    return HTMLResponse(text, status, _HEADERS)


def embeddable(page: HTMLResponse) -> HTMLResponse:
    """Any site may show this page in a frame, and its script may call the API."""
    policy = page.headers["Content-Security-Policy"]
    page.headers["Content-Security-Policy"] = policy.replace(
        "frame-ancestors 'none'", "connect-src 'self'"
    )
    return page


def notice(
    heading: str, text: str, *, link: tuple[str, str | None] = ("", None), status: int = 200
) -> HTMLResponse:
    """A page that says one thing and, when there is an address, leads on to it."""
    label, url = link
    return render("notice.html", title=heading, status=status, text=text, label=label, url=url)


def see_other(url: str) -> RedirectResponse:
    return RedirectResponse(url, status_code=303)


async def form_values(request: Request) -> dict[str, str]:
    text = (await request.body()).decode(errors="replace")
    return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}
