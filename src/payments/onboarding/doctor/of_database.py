"""Findings about PostgreSQL and what is in it."""

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import text

from payments.core import migrations
from payments.core.db import Database
from payments.onboarding.doctor.verdicts import Patient, Verdict, doubtful, well, wrong
from payments.stripe_api.signatures import fingerprint
from payments.sync.secrets import last_uses

SUPPORTED: Final = range(15, 19)
QUIET: Final = timedelta(days=7)


def opened(patient: Patient) -> Database:
    assert patient.db is not None, "looked at only after `server` has found it"
    return patient.db


async def server(patient: Patient) -> Verdict:
    fix = "DATABASE_URL=postgresql://…"
    if patient.db is None:
        return doubtful("DATABASE_URL is not set: only `payments dev` brings its own", fix=fix)
    try:
        async with patient.db.engine.connect() as connection:
            number = int(await connection.scalar(text("show server_version_num")) or 0)
        await patient.db.check()
    except Exception as exc:  # noqa: BLE001 - whatever the driver says is the finding
        reason = getattr(exc, "orig", None) or exc
        return wrong(f"PostgreSQL: {str(reason) or type(reason).__name__}", fix=fix)
    major = number // 10000
    if major not in SUPPORTED:
        return wrong(f"PostgreSQL {major} is not supported", fix=f"{fix}, of version 15 to 18")
    return well(f"PostgreSQL {major}, read committed")


async def schema(patient: Patient) -> Verdict:
    async with opened(patient).transaction() as tx:
        missing = await migrations.missing(tx)
    if missing:
        return wrong(f"migration {missing} is missing", fix="payments migrate")
    return well("up to date")


async def pooler(patient: Patient) -> Verdict:
    """A pooler makes up the process id that a client is told at the start of its connection."""
    async with opened(patient).engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        pooled = driver.get_server_pid() != await connection.scalar(text("select pg_backend_pid()"))
    set_to = patient.settings.database_pooler
    if pooled and set_to == "session":
        return doubtful(
            "a pooler stands before PostgreSQL, and DATABASE_POOLER is session",
            fix="DATABASE_POOLER=transaction, unless it pools sessions",
        )
    if pooled and patient.settings.database_url_listen is None:
        return doubtful(
            "migrations and LISTEN cannot go through a pooler",
            fix="DATABASE_URL_LISTEN=postgresql://…, PostgreSQL's own address",
        )
    if not pooled and set_to == "transaction":
        return doubtful(
            "DATABASE_POOLER is transaction, but no pooler stands before PostgreSQL",
            fix="DATABASE_POOLER=session, which is faster",
        )
    return well(f"{'a' if pooled else 'no'} pooler, and DATABASE_POOLER is {set_to}")


async def deliveries(patient: Patient) -> Verdict:
    """Whether each secret has lately verified what Stripe sent."""
    uses = await last_uses(opened(patient))
    now = patient.clock.now()
    said, quiet = [], False
    for number, secret in enumerate(patient.settings.webhook_secrets, 1):
        used = uses.get(name := fingerprint(secret))
        quiet = quiet or used is None or now - used > QUIET
        when = f"last verified a delivery {used:%Y-%m-%d %H:%M} UTC" if used else "never used"
        said.append(f"secret {number} ({name}) {when}")
    if quiet:
        return doubtful(
            "; ".join(said),
            fix="payments webhooks test --url https://your.host/api/v1/stripe/webhook; "
            "then compare the secret with the endpoint's at Stripe, or drop it",
        )
    return well("; ".join(said))
