"""`payments doctor`: finds what is configured wrong, and says how to mend it."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from payments.settings import Settings, Unregistered, UnsafeSettings, load

if TYPE_CHECKING:
    from payments.onboarding.doctor import Finding

MARKS: Final = {"ok": "✓", "warning": "!", "failed": "✗"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    url: Annotated[
        str | None, typer.Option(help="Where Stripe posts to; recognised otherwise.")
    ] = None,
    catalog: Annotated[Path | None, typer.Option(help="The catalogue file that you apply.")] = None,
) -> None:
    """Look at keys, account, versions, permissions, webhooks, catalogue, clock and database.

    Nothing is changed and no secret is shown. Exits with 1 if something has failed.
    """
    from payments.onboarding.doctor import refused

    try:
        findings = asyncio.run(_examine(load(Unregistered), url, catalog))
    except UnsafeSettings as exc:
        findings = refused(exc)
    typer.echo(_table(findings) if not as_json else json.dumps([asdict(f) for f in findings]))
    raise typer.Exit(any(finding.state == "failed" for finding in findings))


async def _examine(settings: Settings, url: str | None, catalog: Path | None) -> "list[Finding]":
    from payments.cli.opening import log_to_stderr
    from payments.core.db import Clock, Database
    from payments.domains import assemble
    from payments.domains.catalog.sync_file import SHIPPED
    from payments.onboarding.doctor import Patient, examine
    from payments.stripe_api.service import StripeService

    log_to_stderr(settings)

    async def applied_nowhere(_: object) -> None: ...

    address = settings.database_url
    db = Database(address.get_secret_value(), pooler=settings.database_pooler) if address else None
    stripe = StripeService(
        settings.model_copy(update={"stripe_api_version": None}), process=applied_nowhere
    )
    try:
        return await examine(
            Patient(
                settings=settings,
                registry=assemble(settings.payables).registry,
                stripe=stripe,
                db=db,
                clock=Clock(),
                catalogue=catalog or SHIPPED,
                url=url,
            )
        )
    finally:
        await stripe.aclose()
        if db is not None:
            await db.aclose()


def _table(findings: "list[Finding]") -> str:
    lines = []
    for finding in findings:
        lines.append(f"{MARKS[finding.state]} {finding.topic:<17} {finding.said}")
        if finding.fix is not None:
            lines.append(f"{'→':>21} {finding.fix}")
    return "\n".join(lines)
