"""`webhooks plan`, `register`, `list` and `test`: the endpoint at Stripe, and the way to here."""

import asyncio
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from payments.settings import Settings, Unregistered, load

if TYPE_CHECKING:
    from payments.onboarding.delivery import Trial
    from payments.onboarding.endpoints import Registered
    from payments.onboarding.setup import Step

webhooks = typer.Typer(help="Where Stripe posts its events.", no_args_is_help=True)


Url = Annotated[str, typer.Option(help="https://your.host/api/v1/stripe/webhook")]
Here = Annotated[str | None, typer.Option("--url", help="The API on this machine otherwise.")]
Events = Annotated[
    list[str] | None, typer.Option("--event", help="Have this one sent as well; it is only kept.")
]


@webhooks.command()
def plan(
    url: Url,
    event: Events = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 2 if `register` would change something.")
    ] = False,
) -> None:
    """Show what `register` would change at Stripe, and change nothing."""
    agrees = asyncio.run(_plan(load(Unregistered), url, event or []))
    raise typer.Exit(2 if check and not agrees else 0)


async def _plan(settings: Settings, url: str, also: list[str]) -> bool:
    from payments.cli.opening import reading
    from payments.onboarding.endpoints import checked, endpoints, followed

    async with reading(settings) as ctx:
        wanted, address = followed(ctx.sync.registry, also), checked(url, live=settings.live)
        at_url = [each for each in await endpoints(ctx.stripe) if each.url == address]
    current = next((each for each in at_url if each.current), None)
    if current is None:
        typer.echo(f"create     an endpoint with {len(wanted)} events")
        return False
    differences = current.differences(wanted)
    typer.echo(f"{'update' if differences else 'unchanged':9}  {current.id}")
    for difference in differences:
        typer.echo(f"    {difference}")
    return not differences


@webhooks.command("apply")
@webhooks.command()
def register(
    url: Url,
    event: Events = None,
    live: Annotated[bool, typer.Option("--live", help="Allow a live key.")] = False,
) -> None:
    """Make Stripe post what this service follows, in its API version.

    The secret of a new endpoint is printed this one time.
    """
    settings = load(Unregistered)
    if settings.live and not live:
        sys.exit("payments webhooks: this is a live key; say --live if you mean it")
    asyncio.run(_register(settings, url, event or []))


async def _register(settings: Settings, url: str, also: list[str]) -> None:
    from payments.cli.opening import opened
    from payments.onboarding.setup import endpoint

    async with opened(settings) as ctx:
        say(*await endpoint(ctx, url, also), settings)


def say(step: "Step", made: "Registered", settings: Settings) -> None:
    """Print what was registered, with the lines to set."""
    from payments.onboarding.setup import variables

    typer.echo(f"{step.done:9}  {step.name:17} {step.detail}")
    for line in variables(settings, made):
        typer.echo(f"\nSet this where the service runs; Stripe shows it only now:\n{line}")
    for id in made.outdated:
        typer.echo(
            f"\n{id} posts to the same address in another API version. Once `payments doctor` "
            "sees the new secret in use, delete it in Stripe's dashboard."
        )


@webhooks.command("list")
def list_endpoints() -> None:
    """Show the endpoints of this account, and what `register` would change."""
    asyncio.run(_list(load(Unregistered)))


async def _list(settings: Settings) -> None:
    from payments.cli.opening import opened
    from payments.onboarding.endpoints import endpoints, followed

    async with opened(settings) as ctx:
        found = await endpoints(ctx.stripe)
        wanted = followed(ctx.sync.registry)
    for endpoint in found:
        state = "enabled" if endpoint.enabled else "disabled"
        typer.echo(f"{endpoint.id}  {state:8}  {endpoint.api_version or '-':18}  {endpoint.url}")
        for difference in endpoint.differences(wanted):
            typer.echo(f"    {difference}")
    if not found:
        typer.echo("no endpoint; `payments webhooks register --url …` makes one")


@webhooks.command("test")
def try_out(url: Here = None) -> None:
    """Post a signed event to the webhook route, one for each secret, and look for it.

    It proves route, secrets and database. The events are kept like any that nobody follows.
    """
    if not asyncio.run(_try(_signing(load()), url, None)):
        raise typer.Exit(1)


def try_webhooks(
    url: Here = None,
    wait: Annotated[int, typer.Option(min=0, max=600, help="Seconds to wait for a worker.")] = 10,
) -> None:
    """Post signed events to the webhook route, and see them stored and applied.

    `payments webhooks test`, and then an event that a worker has to apply: it makes one product of
    the catalogue be fetched again. Stripe's own command line is not needed. Exits with 1 if
    something has failed.
    """
    if not asyncio.run(_try(_signing(load()), url, timedelta(seconds=wait))):
        raise typer.Exit(1)


def _signing(settings: Settings) -> Settings:
    if not settings.webhook_secrets:
        sys.exit("payments webhooks: STRIPE_WEBHOOK_SECRET is not set, so nothing can be signed")
    return settings


async def _try(settings: Settings, url: str | None, patience: timedelta | None) -> bool:
    """Try every secret; with patience, a worker too. Return whether all is well."""
    from payments.cli.opening import reading
    from payments.onboarding.delivery import try_secrets, try_worker
    from payments.onboarding.endpoints import ROUTE

    here = url or f"http://127.0.0.1:{settings.port}{ROUTE}"
    async with reading(settings) as ctx:
        well = [
            _say_tried(trial, f"secret {trial.secret}", "stored")
            async for trial in try_secrets(ctx, here)
        ]
        if patience is not None and all(well):
            trial = await try_worker(ctx, here, patience)
            well.append(_say_tried(trial, "worker", "applied"))
    return all(well)


def _say_tried(trial: "Trial", what: str, done: str) -> bool:
    """Tell what became of an event; return whether that is well."""
    mark, said = ("✗", trial.failure) if trial.failure else ("✓", f"{done} {trial.event}")
    typer.echo(f"{mark} {what}: {said}")
    return trial.failure is None
