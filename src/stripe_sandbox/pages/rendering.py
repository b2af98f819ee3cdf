"""What all pages share: templates with escaped values, headers, what a form sends."""

import functools
import html
from pathlib import Path
from string import Template
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

_HERE = Path(__file__).parent

# No form-action: browsers apply it to the redirect after the form as well, and that one leads to
# the shop.
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:;"
    " base-uri 'none'; frame-ancestors 'none'"
)


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def fill(template: str, **values: str) -> Html:
    """A template with its `$names` replaced; what is no `Html` is escaped."""
    safe = {name: v if isinstance(v, Html) else html.escape(v) for name, v in values.items()}
    return Html(_template(template).substitute(safe))


def page(body: Html, *, title: str, status: int = 200) -> HTMLResponse:
    headers = {
        "Content-Security-Policy": _POLICY,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return HTMLResponse(fill("layout", title=title, body=body), status, headers)


def notice(
    heading: str, text: str, *, link: tuple[str, str | None] = ("", None), status: int = 200
) -> HTMLResponse:
    """A page that says one thing and, when there is an address, leads on to it."""
    label, url = link
    onward = fill("link", url=url, label=label) if url else Html()
    body = fill("notice", heading=heading, text=text, link=onward)
    return page(body, title=heading, status=status)


def see_other(url: str) -> RedirectResponse:
    return RedirectResponse(url, status_code=303)


async def form_values(request: Request) -> dict[str, str]:
    text = (await request.body()).decode(errors="replace")
    return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}


@functools.cache
def _template(name: str) -> Template:
    return Template((_HERE / "templates" / f"{name}.html").read_text(encoding="utf-8"))


STATIC = _HERE / "static"
