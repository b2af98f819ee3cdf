"""The ASGI application: the API, the hosted pages and the switches of one sandbox."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Router
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from stripe_sandbox.config import Config
from stripe_sandbox.control import Control
from stripe_sandbox.cors import AnyOrigin
from stripe_sandbox.engine.sandbox import Sandbox
from stripe_sandbox.http import Api
from stripe_sandbox.pages import stripe_js
from stripe_sandbox.pages.challenge_page import ChallengePage
from stripe_sandbox.pages.checkout_page import CheckoutPage
from stripe_sandbox.pages.dashboard import Dashboard
from stripe_sandbox.pages.downloads import Downloads
from stripe_sandbox.pages.invoice_page import InvoicePage
from stripe_sandbox.pages.portal_page import PortalPage
from stripe_sandbox.pages.rendering import STATIC, notice


class App:
    """Works with or without its lifespan; without it, close `sandbox` to release the state."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._api = AnyOrigin(Api(sandbox))
        self._rest = Router(
            routes=[
                Mount("/_sandbox/static", StaticFiles(directory=STATIC)),
                *Control(sandbox).routes(),
                *Dashboard(sandbox).routes(),
                *CheckoutPage(sandbox).routes(),
                *ChallengePage(sandbox).routes(),
                *InvoicePage(sandbox).routes(),
                *PortalPage(sandbox).routes(),
                *Downloads(sandbox).routes(),
                *stripe_js.ROUTES,
            ],
            lifespan=self.lifespan,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(("/v1/", "/v2/")):
            await self._api(scope, receive, send)
            return
        app: ASGIApp = self._rest
        if scope["type"] == "http" and _from_elsewhere(Request(scope)):
            app = notice("Refused", "This came from another site.", status=403)
        try:
            await app(scope, receive, send)
        except HTTPException as error:
            missing = Response(error.detail, error.status_code)
            await missing(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        self.sandbox.start()
        try:
            yield
        finally:
            await self.sandbox.aclose()


def _from_elsewhere(request: Request) -> bool:
    """Whether another site's page presses a button of ours; our own pages send no referrer, so
    their origin is null.
    """
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return False
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin", "null")
    return origin != "null" and urlsplit(origin).netloc != request.headers.get("host")


def create_app(config: Config, *, http: httpx2.AsyncClient | None = None) -> App:
    """One offline Stripe.

    Args:
        config: how it is set up.
        http: the client that delivers webhooks; its own when it is not given.
    """
    return App(Sandbox(config, http=http))
