"""`payments demo`: one booking is paid, step by step, against a running stack."""

import typer


def demo(
    api: str = typer.Option("http://127.0.0.1:8000", help="Address of the API."),
    sandbox: str = typer.Option("http://127.0.0.1:12111", help="Address of the offline Stripe."),
    token: str = typer.Option("dev-token", help="Who books; `payments dev` knows this one."),
) -> None:
    """Book a dinner, pay its deposit and its balance, and show what happens underneath."""
    import asyncio

    from rich.console import Console

    from payments.dev.demo import DemoFailed, tell

    console = Console(highlight=False, soft_wrap=True)
    try:
        asyncio.run(tell(api=api, sandbox=sandbox, console=console, token=token))
    except DemoFailed as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from error
