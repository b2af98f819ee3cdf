"""Serves the demo shop; the page itself speaks to the API as any front end does."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, RedirectResponse

HERE = Path(__file__).parent

router = APIRouter(include_in_schema=False)


@router.get("/")
async def home() -> RedirectResponse:
    return RedirectResponse("/demo")


@router.get("/demo")
async def page() -> FileResponse:
    return FileResponse(HERE / "shop.html", headers={"Cache-Control": "no-cache"})


@router.get("/demo/shop.css")
async def style() -> FileResponse:
    return FileResponse(HERE / "shop.css", headers={"Cache-Control": "no-cache"})


@router.get("/demo/shop.js")
async def script() -> FileResponse:
    return FileResponse(HERE / "shop.js", headers={"Cache-Control": "no-cache"})
