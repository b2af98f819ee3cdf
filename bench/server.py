"""The product, a bare route beside it in one process, and a handler written by hand."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import stripe
from fastapi import FastAPI, HTTPException, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from bench.events import SECRET
from payments import app
from payments.core import heap

BARE = "/bare"
HAND_WRITTEN = "/hand-written"
WEBHOOK = "/api/v1/stripe/webhook"

TABLE = """
create table if not exists hand_written
    (id text primary key, type text not null, body text not null)
"""
INSERT = "insert into hand_written values ($1, $2, $3) on conflict do nothing"


def create_app() -> ASGIApp:
    product, bare = app.create_app(), FastAPI()

    @bare.post(BARE)
    async def read(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        await (bare if scope.get("path") == BARE else product)(scope, receive, send)

    heap.settle()
    return either


def hand_written() -> FastAPI:
    """The handler that one writes first: the SDK's event, one INSERT a request."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=10) as pool:
            await pool.execute(TABLE)
            app.state.pool = pool
            yield

    written = FastAPI(lifespan=lifespan)

    @written.post(HAND_WRITTEN)
    async def receive_event(request: Request) -> dict[str, bool]:
        body = await request.body()
        header = request.headers["stripe-signature"]
        try:
            event = stripe.Webhook.construct_event(body, header, SECRET)
        except (ValueError, stripe.SignatureVerificationError) as exc:
            raise HTTPException(400) from exc
        await request.app.state.pool.execute(INSERT, event.id, event.type, body.decode())
        return {"received": True}

    return written
