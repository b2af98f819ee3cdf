"""The `payments` command in this process, as somebody with a key of his own runs it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from typer.testing import CliRunner, Result

from payments.cli.main import app
from payments.settings import Settings
from service.variants import listening
from world import KEY, SECRET, World

ADDRESS = "https://shop.example/api/v1/stripe/webhook"


async def run(*arguments: str, **env: Any) -> Result:
    """A command brings its own loop, so it has a thread of its own."""
    clean = dict.fromkeys((name.upper() for name in Settings.model_fields), None)
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, arguments, env={**clean, **env}))


@asynccontextmanager
async def environment(world: World) -> AsyncIterator[dict[str, str]]:
    """What `.env` says when everything is right; the account answers on a port."""
    assert world.settings.database_url is not None
    async with listening(world.sandbox) as url:
        yield {
            "DATABASE_URL": world.settings.database_url.get_secret_value(),
            "STRIPE_SECRET_KEY": "sk_test_51RealisticKey",
            "STRIPE_PUBLISHABLE_KEY": "pk_test_51RealisticKey",
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "STRIPE_API_BASE": url,
            "SECRET_KEY": KEY,
            "FRONTEND_URLS": "https://shop.example",
        }
