"""Serves the demo shop; the page itself speaks to the API as any front end does."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, RedirectResponse

from payments.context import Ctx
from payments.core.security_headers import PAGE
from payments.stripe_api import stripe_js

HERE = Path(__file__).parent

router = APIRouter(include_in_schema=False)


@router.get("/")
async def home() -> RedirectResponse:
    return RedirectResponse("/demo")


@router.get("/demo")
async def page(ctx: Ctx) -> FileResponse:
    stripe = stripe_js.sources(ctx.settings.stripe_api_base)
    policy = (
        f"{PAGE.decode()}; script-src 'self' {stripe}; frame-src {stripe};"
        f" connect-src 'self' {stripe}"
    )
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": policy}
    return FileResponse(HERE / "shop.html", headers=headers)


@router.get("/demo/shop.css")
async def style() -> FileResponse:
    return FileResponse(HERE / "shop.css", headers={"Cache-Control": "no-cache"})


@router.get("/demo/shop.js")
async def script() -> FileResponse:
    return FileResponse(HERE / "shop.js", headers={"Cache-Control": "no-cache"})
