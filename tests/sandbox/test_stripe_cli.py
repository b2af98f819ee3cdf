"""`stripe trigger` of the official Stripe CLI: its requests, and the program itself."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import stripe

from stripe_sandbox.testing import Bench

TOOL = Path(__file__).resolve().parents[2] / "tools/stripe_cli.py"

_PAY = (
    "amount=100&currency=usd&payment_method_types[]=card&payment_method={card}&confirm=true"
    "&description=%28created+by+Stripe+CLI%29"
)
_SHIP = (
    "shipping[name]=Jenny+Rosen&shipping[address][line1]=510+Townsend+St"
    "&shipping[address][postal_code]=94103&shipping[address][city]=San+Francisco"
    "&shipping[address][state]=CA&shipping[address][country]=US"
)
_INQUIRY = ("POST /v1/payment_intents", _PAY.format(card="pm_card_createDisputeInquiry"))
_ORDER = (
    "success_url=https%3A%2F%2Fhttpbin.org%2Fpost&cancel_url=https%3A%2F%2Fhttpbin.org%2Fpost"
    "&mode=payment&line_items[0][price]={1[id]}&line_items[0][quantity]=2"
)
_BUY = [
    ("POST /v1/products", "name=myproduct&description=%28created+by+Stripe+CLI%29"),
    ("POST /v1/prices", "product={0[id]}&unit_amount=1500&currency=usd"),
    ("POST /v1/checkout/sessions", _ORDER + "&payment_method_types[]=card"),
    ("GET /v1/payment_pages/{2[id]}", ""),
    ("POST /v1/payment_methods", "type=card&card[token]=tok_visa&billing_details[name]=Jenny"),
    (
        "POST /v1/payment_pages/{2[id]}/confirm",
        "payment_method={4[id]}&expected_amount={2[amount_total]}",
    ),
]

_CONFIGURE = (
    "business_profile[headline]=created+by+the+Stripe+CLI"
    "&business_profile[privacy_policy_url]=https%3A%2F%2Fwww.example.com"
    "&features[subscription_cancel][enabled]=true"
)

# What the CLI (1.52.0) sends; {n[id]} is from the answer to its n-th request.
TRIGGERS: dict[str, list[tuple[str, str]]] = {
    "customer.created": [("POST /v1/customers", "description=%28created+by+Stripe+CLI%29")],
    "payment_intent.succeeded": [
        ("POST /v1/payment_intents", f"{_PAY.format(card='pm_card_visa')}&{_SHIP}")
    ],
    "charge.refunded": [
        ("POST /v1/payment_intents", _PAY.format(card="pm_card_visa")),
        ("POST /v1/refunds", "payment_intent={0[id]}"),
    ],
    "checkout.session.completed": _BUY,
    "charge.dispute.created": [_INQUIRY],
    "charge.dispute.closed": [
        _INQUIRY,
        ("GET /v1/disputes?payment_intent={0[id]}", ""),
        ("POST /v1/disputes/{1[data][0][id]}/close", ""),
    ],
    "billing_portal.configuration.created": [
        ("POST /v1/billing_portal/configurations", _CONFIGURE),
    ],
}


@pytest.mark.parametrize(("event", "requests"), TRIGGERS.items(), ids=TRIGGERS)
async def test_what_the_cli_sends_makes_its_event_happen(
    bench: Bench, event: str, requests: list[tuple[str, str]]
) -> None:
    answers: list[dict[str, object]] = []
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for request, form in requests:
        method, path = request.format(*answers).split()
        content = form.format(*answers)
        response = await bench.http.request(method, path, content=content, headers=headers)
        assert response.status_code == 200, response.text
        answers.append(response.json())
        await bench.settle()
    assert event in await bench.events()


async def test_todays_version_stays_strict(bench: Bench) -> None:
    form = _PAY.format(card="pm_card_visa")
    for version, status in ((stripe.api_version, 400), ("2026-09-30.dahlia", 200)):
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Stripe-Version": version,
        }
        response = await bench.http.post("/v1/payment_intents", content=form, headers=headers)
        assert response.status_code == status
    assert response.json()["payment_method_types"] == ["card"]


@pytest.mark.proof
def test_the_cli_itself_triggers_every_event_of_the_mission() -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: apt install npm")
    ran = subprocess.run([sys.executable, TOOL], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


async def run_program(home: Path, *command: str) -> str:
    """What the program says; it may write into this folder alone."""
    quiet = {"STRIPE_CLI_TELEMETRY_OPTOUT": "1"}  # its telemetry now and then crashes it at the end
    environment = {**os.environ, **quiet, "HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=home,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()
