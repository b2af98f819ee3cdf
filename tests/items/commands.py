"""The `payments` command beside the world of a document."""

from onboarding.commands import environment, run
from payments.core import telemetry
from world import World


async def command(shop: World, *arguments: str) -> str:
    """What a command says that succeeds. It logs to a stream of its own, the service to its own."""
    async with environment(shop) as env:
        ran = await run(*arguments, **env)
    telemetry.configure(level=shop.settings.log_level, fmt=shop.settings.log_format)
    assert ran.exit_code == 0, ran.output
    return ran.output
