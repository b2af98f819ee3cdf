"""Serves the demo's pages; they speak to the API as any front end does."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import FileResponse, RedirectResponse

from payments.context import Context, Ctx
from payments.core.errors import NotFound
from payments.core.security_headers import PAGE
from payments.stripe_api import stripe_js

HERE: Final = Path(__file__).parent
ASSETS: Final = frozenset(path.name for path in HERE.iterdir() if path.suffix in (".css", ".js"))

router = APIRouter(include_in_schema=False)


@router.get("/")
async def home() -> RedirectResponse:
    return RedirectResponse("/demo")


@router.get("/demo")
async def shop(ctx: Ctx) -> FileResponse:
    return _page(ctx, "shop.html")


@router.get("/demo/plans")
async def plans(ctx: Ctx) -> FileResponse:
    return _page(ctx, "plans.html")


@router.get("/demo/admin")
async def admin(ctx: Ctx) -> FileResponse:
    return _page(ctx, "admin.html")


@router.get("/demo/{name}")
async def asset(name: str) -> FileResponse:
    if name not in ASSETS:
        raise NotFound(f"the demo has no {name!r}; its pages are /demo, /demo/plans, /demo/admin")
    return FileResponse(HERE / name, headers={"Cache-Control": "no-cache"})


def _page(ctx: Context, name: str) -> FileResponse:
    stripe = stripe_js.sources(ctx.settings.stripe_api_base)
    policy = (
        f"{PAGE.decode()}; script-src 'self' {stripe}; frame-src {stripe};"
        f" connect-src 'self' {stripe}"
    )
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": policy}
    return FileResponse(HERE / name, headers=headers)
