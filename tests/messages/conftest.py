"""A world whose worker sends mail."""

from collections.abc import AsyncIterator, Callable

import pytest
from pydantic import SecretStr

from messages.post_office import PostOffice, open_post_office
from world import World

ADMINS = ("ann@shop.example", "bob@shop.example")

Configure = Callable[..., None]


@pytest.fixture
async def office() -> AsyncIterator[PostOffice]:
    async with open_post_office() as opened:
        yield opened


@pytest.fixture
def configure(world: World) -> Configure:
    """Change what the worker of this world is told."""

    def change(**changes: object) -> None:
        world.settings = world.settings.model_copy(update=changes)

    return change


@pytest.fixture
def mailing(world: World, office: PostOffice, configure: Configure) -> World:
    configure(
        smtp_url=SecretStr(f"smtp://127.0.0.1:{office.port}"),
        mail_from="Supper Club <payments@shop.example>",
        admin_emails=", ".join(ADMINS),
    )
    return world
