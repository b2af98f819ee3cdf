"""Reports: their types, their runs, the figures in their files, and who may read those."""

import csv
import io
import time
from typing import Any

import pytest
import stripe

from stripe_sandbox.testing import Bench

ACTIVITY = "balance_change_from_activity.itemized.3"


async def trade(bench: Bench) -> None:
    """Two payments in two currencies, a refund, a dispute and a payout."""
    for card, currency in (("bypassPending", "usd"), ("visa", "jpy"), ("createDispute", "usd")):
        intent = await bench.stripe.v1.payment_intents.create_async(
            {
                "amount": 12_345,
                "currency": currency,
                "confirm": True,
                "payment_method": f"pm_card_{card}",
                "description": "Tea, green",
            }
        )
        await bench.settle()
        if card == "bypassPending":
            await bench.stripe.v1.refunds.create_async(
                {"payment_intent": intent.id, "amount": 2_005}
            )
            await bench.stripe.v1.payouts.create_async({"amount": 5_000, "currency": "usd"})
    await bench.settle()


async def run(bench: Bench, report_type: str, **parameters: object) -> stripe.reporting.ReportRun:
    now = int(time.time())
    params: Any = {"interval_start": now - 3600, "interval_end": now + 1, **parameters}
    return await bench.stripe.v1.reporting.report_runs.create_async(
        {"report_type": report_type, "parameters": params}
    )


async def report(bench: Bench, report_type: str, **parameters: object) -> list[dict[str, str]]:
    """The lines of the file that a run makes."""
    started = await run(bench, report_type, **parameters)
    assert (started.status, started.result) == ("pending", None)
    await bench.settle()
    done = await bench.stripe.v1.reporting.report_runs.retrieve_async(started.id)
    assert done.status == "succeeded"
    assert done.result is not None
    assert done.result.url is not None
    answer = await bench.http.get(done.result.url)
    assert answer.headers["content-type"].startswith("text/csv")
    assert len(answer.content) == done.result.size
    return list(csv.DictReader(io.StringIO(answer.text)))


def figures(lines: list[dict[str, str]], *names: str) -> list[tuple[str, ...]]:
    return [tuple(line[name] for name in names) for line in lines]


async def test_the_balance_is_summed_up(bench: Bench) -> None:
    await trade(bench)
    lines = await report(bench, "balance.summary.1", currency="usd")
    assert figures(lines, "category", "net_amount", "currency") == [
        ("starting_balance", "0.00", "usd"),
        ("activity_gross", "103.40", "usd"),
        ("activity_fee", "-22.76", "usd"),
        ("activity", "80.64", "usd"),
        ("payouts", "-50.00", "usd"),
        ("ending_balance", "30.64", "usd"),
    ]
    balance = await bench.stripe.v1.balance.retrieve_async()
    available, pending = balance.available, balance.pending
    parts = [part.amount for part in available] + [part.amount for part in pending]
    assert sum(parts) == 3_064 + 11_957
    both = await report(bench, "balance.summary.1")
    assert [line["net_amount"] for line in both if line["category"] == "ending_balance"] == [
        "11957",
        "30.64",
    ]


async def test_every_movement_is_itemized(bench: Bench) -> None:
    await trade(bench)
    lines = await report(bench, ACTIVITY, currency="usd")
    assert figures(lines, "reporting_category", "gross", "fee", "net") == [
        ("charge", "123.45", "3.88", "119.57"),
        ("refund", "-20.05", "0.00", "-20.05"),
        ("charge", "123.45", "3.88", "119.57"),
        ("dispute", "-123.45", "15.00", "-138.45"),
    ]
    paid, refunded, *_ = lines
    assert (paid["description"], paid["card_brand"]) == ("Tea, green", "visa")
    assert paid["charge_id"] == paid["source_id"] == refunded["charge_id"]
    assert refunded["source_id"].startswith("re_")
    types = bench.stripe.v1.reporting.report_types
    assert list(paid) == (await types.retrieve_async(ACTIVITY)).default_columns


async def test_refunds_and_disputes_are_reported_by_their_category(bench: Bench) -> None:
    await trade(bench)
    for category, gross in (("refund", "-20.05"), ("dispute", "-123.45")):
        lines = await report(bench, ACTIVITY, currency="usd", reporting_category=category)
        assert figures(lines, "reporting_category", "gross") == [(category, gross)]


async def test_payouts_are_reported_apart(bench: Bench) -> None:
    await trade(bench)
    (line,) = await report(bench, "payouts.itemized.3")
    assert figures([line], "gross", "payout_status", "reporting_category") == [
        ("-50.00", "paid", "payout")
    ]


async def test_a_report_covers_its_interval_only(bench: Bench) -> None:
    await trade(bench)
    now = int(time.time())
    earlier = {"interval_start": now - 7200, "interval_end": now - 3600}
    assert await report(bench, ACTIVITY, **earlier) == []
    lines = await report(bench, "balance.summary.1", **earlier)
    assert figures(lines, "net_amount", "currency") == [("0.00", "usd")] * 6


async def test_a_run_is_announced(bench: Bench) -> None:
    await report(bench, "balance.summary.1")
    assert await bench.events() == ["reporting.report_run.succeeded"]
    page = await bench.stripe.v1.reporting.report_runs.list_async()
    assert [found.report_type for found in page.data] == ["balance.summary.1"]


@pytest.mark.parametrize(
    ("report_type", "parameters", "status"),
    [
        ("activity.2", {}, 501),
        (ACTIVITY, {"columns": ["net"]}, 501),
        (ACTIVITY, {"connected_account": "acct_1"}, 501),
        ("balance.summary.1", {"reporting_category": "refund"}, 501),
        (ACTIVITY, {"timezone": "Asia/Tokyo"}, 501),
        (ACTIVITY, {"interval_start": 1_000_000_000}, 400),
        (ACTIVITY, {"interval_end": 4_000_000_000}, 400),
        (ACTIVITY, {"interval_end": 1_400_000_000}, 400),
    ],
)
async def test_what_is_no_report_is_refused(
    bench: Bench, report_type: str, parameters: dict[str, object], status: int
) -> None:
    with pytest.raises(stripe.StripeError) as refused:
        await run(bench, report_type, **parameters)
    assert refused.value.http_status == status


async def test_an_interval_is_required(bench: Bench) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await bench.stripe.v1.reporting.report_runs.create_async(
            {"report_type": ACTIVITY, "parameters": {"interval_start": 1_400_000_000}}
        )
    assert refused.value.param == "parameters[interval_end]"


async def test_report_types_say_what_they_hold(bench: Bench) -> None:
    types = bench.stripe.v1.reporting.report_types
    listed = (await types.list_async()).data
    assert {kind.version for kind in listed} == {1, 3}
    for kind in listed:
        assert kind.data_available_start < time.time() < kind.data_available_end
        assert (await types.retrieve_async(kind.id)).name == kind.name
    with pytest.raises(stripe.InvalidRequestError, match="No such report type"):
        await types.retrieve_async("weather.1")


async def test_a_file_is_read_with_a_key_and_a_link_without(bench: Bench) -> None:
    await report(bench, "balance.summary.1")
    (file,) = (await bench.stripe.v1.files.list_async({"purpose": "finance_report_run"})).data
    assert file.url == f"http://sandbox.test/v1/files/{file.id}/contents"
    assert (await bench.http.get(file.url, auth=None)).status_code == 401
    link = await bench.stripe.v1.file_links.create_async({"file": file.id})
    assert link.url is not None
    shown = await bench.http.get(link.url, auth=None)
    assert shown.text.startswith("category,description,net_amount,currency\n")
    assert (await bench.http.get(f"/links/{link.id}", auth=None)).status_code == 404


async def test_evidence_is_uploaded(bench: Bench) -> None:
    picture = io.BytesIO(bytes(range(256)) + b"\r\n--\r\n")
    picture.name = "receipt.png"
    file = await bench.stripe.v1.files.create_async(
        {
            "file": picture,
            "purpose": "dispute_evidence",
        }
    )
    assert (file.filename, file.type, file.size) == ("receipt.png", "png", 262)
    assert file.url is not None
    assert (await bench.http.get(file.url)).content == picture.getvalue()
    link = await bench.stripe.v1.file_links.create_async({"file": file.id, "expand": ["file"]})
    assert isinstance(link.file, stripe.File)
    assert link.url is not None
    assert (await bench.http.get(link.url, auth=None)).headers["content-type"] == "image/png"
    assert await bench.events() == ["file.created"]


async def test_an_upload_without_a_file_is_refused(bench: Bench) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="multipart/form-data"):
        await bench.stripe.v1.files.create_async({"file": "a.png", "purpose": "dispute_evidence"})
