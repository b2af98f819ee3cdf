"""The product, and beside it in one server process what it is compared with."""

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
    product, compared = app.create_app(), others()
    heap.settle()

    async def all_of_them(scope: Scope, receive: Receive, send: Send) -> None:
        chosen = compared if scope.get("path") in (BARE, HAND_WRITTEN) else product
        if scope["type"] != "lifespan":
            await chosen(scope, receive, send)
            return
        async with compared.router.lifespan_context(compared):
            await product(scope, receive, send)

    return all_of_them


def others() -> FastAPI:
    """A route that only reads a body; and the handler that one writes first: the SDK's event, one
    INSERT a request.
    """

    @asynccontextmanager
    async def lifespan(other: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=10) as pool:
            await pool.execute(TABLE)
            other.state.pool = pool
            yield

    other = FastAPI(lifespan=lifespan)

    @other.post(BARE)
    async def read(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @other.post(HAND_WRITTEN)
    async def receive_event(request: Request) -> dict[str, bool]:
        body = await request.body()
        header = request.headers["stripe-signature"]
        try:
            event = stripe.Webhook.construct_event(body, header, SECRET)
        except (ValueError, stripe.SignatureVerificationError) as exc:
            raise HTTPException(400) from exc
        await request.app.state.pool.execute(INSERT, event.id, event.type, body.decode())
        return {"received": True}

    return other
