"""The ASGI application: the API, the hosted pages and the switches of one sandbox."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from starlette.routing import Mount, Router
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

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
from stripe_sandbox.pages.rendering import STATIC


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
        else:
            await self._rest(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        self.sandbox.start()
        try:
            yield
        finally:
            await self.sandbox.aclose()


def create_app(config: Config, *, http: httpx2.AsyncClient | None = None) -> App:
    """One offline Stripe.

    Args:
        config: how it is set up.
        http: the client that delivers webhooks; its own when it is not given.
    """
    return App(Sandbox(config, http=http))
