"""The product, and beside it a bare route that only reads a body, in one server process."""

from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from payments import app

BARE = "/bare"


def create_app() -> ASGIApp:
    product, bare = app.create_app(), bare_app()

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        await (bare if scope.get("path") == BARE else product)(scope, receive, send)

    return either


def bare_app() -> FastAPI:
    bare = FastAPI()

    @bare.post(BARE)
    async def read(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    return bare
