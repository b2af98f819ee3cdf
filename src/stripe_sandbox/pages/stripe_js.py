"""The stand-in for Stripe.js: the script, and the frame in which a card is typed."""

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from stripe_sandbox.flows.intents import TYPES
from stripe_sandbox.pages.checkout_page import test_numbers
from stripe_sandbox.pages.rendering import STATIC, embeddable, render

_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}


async def script(_: Request) -> Response:
    return FileResponse(STATIC / "stripe.js", headers=_HEADERS, media_type="text/javascript")


async def element(_: Request) -> Response:
    """All that it shows depends on what the script tells it."""
    numbers = {type: test_numbers([type]) for type in TYPES}
    return embeddable(render("element.html", title="Payment details", numbers=numbers))


ROUTES = [
    Route("/v3", script, methods=["GET"]),
    Route("/v3/", script, methods=["GET"]),
    Route("/{train}/stripe.js", script, methods=["GET"]),
    Route("/v3/element", element, methods=["GET"]),
]
