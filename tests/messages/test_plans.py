"""What customers are told of their plans: each cause once, with what to do, and nothing stale."""

from datetime import UTC, datetime, timedelta

import pytest

from converge.test_faults import fault
from messages.conftest import Configure
from messages.post_office import PostOffice, text_of
from payments.domains.subscriptions import CHORES
from payments.settings import Settings
from service.clocks import CHALLENGED, DECLINED, change_card, new_clock, on_clock, pass_
from service.plans import catch_up, shelve
from world import Json, World


@pytest.fixture
async def shop(mailing: World) -> World:
    await shelve(mailing)
    return mailing


@pytest.fixture
async def clock(shop: World) -> str:
    return await new_clock(shop)


async def again(shop: World) -> None:
    """Everything is heard once more, the last first."""
    await shop.converge((await shop.events())[::-1])


async def test_each_failed_renewal_is_told_once_with_the_page_to_pay_on(
    shop: World, office: PostOffice, clock: str
) -> None:
    plan = await on_clock(shop, clock)
    await change_card(shop, plan, DECLINED)
    assert office.letters == []
    await pass_(shop, clock, 32)
    [first] = office.letters
    [invoice] = (await shop.at_stripe("GET", "/v1/invoices?status=open"))["data"]
    tried_again = datetime.fromtimestamp(invoice["next_payment_attempt"], UTC)
    assert first["Subject"] == "Your payment of $29.99 did not go through"
    assert "for Silver" in text_of(first)
    assert f"we try again on {tried_again.day} {tried_again:%B %Y}" in text_of(first)
    assert invoice["hosted_invoice_url"] in text_of(first)
    assert f'href="{invoice["hosted_invoice_url"]}"' in text_of(first, "html")
    await again(shop)
    assert len(office.letters) == 1

    await pass_(shop, clock, 2)
    [_, second] = office.letters
    assert "This was attempt 2." in text_of(second)
    keys = await shop.rows("select id from outbox order by received_at")
    assert [row["id"] for row in keys] == [f"renewal_failed:{invoice['id']}:{n}" for n in (1, 2)]


async def test_a_bank_that_asks_for_its_customer_is_told_as_such(
    shop: World, office: PostOffice, clock: str
) -> None:
    plan = await on_clock(shop, clock)
    await change_card(shop, plan, CHALLENGED)
    await pass_(shop, clock, 32)
    [letter] = office.letters
    [invoice] = (await shop.at_stripe("GET", "/v1/invoices?status=open"))["data"]
    assert letter["Subject"] == "Confirm your payment of $29.99"
    assert "follow your bank's instructions" in text_of(letter)
    assert invoice["hosted_invoice_url"] in text_of(letter)


async def test_a_renewal_that_was_paid_before_the_letter_went_is_not_told(
    shop: World, office: PostOffice, clock: str
) -> None:
    plan = await on_clock(shop, clock)
    await change_card(shop, plan, DECLINED)
    await shop.ask("PUT", "/stripe/switches/messages", {"paused": True}, role="admin")
    await pass_(shop, clock, 32)
    await change_card(shop, plan, "pm_card_visa")
    [invoice] = (await shop.at_stripe("GET", "/v1/invoices?status=open"))["data"]
    await shop.at_stripe("POST", f"/v1/invoices/{invoice['id']}/pay")
    await shop.ask("PUT", "/stripe/switches/messages", {"paused": False}, role="admin")
    await shop.work()
    assert office.letters == []
    [row] = await shop.rows("select outcome from outbox")
    assert row["outcome"] == "skipped"


async def test_a_stripe_that_is_away_delays_the_letter_and_costs_it_no_attempt(
    shop: World, office: PostOffice, clock: str
) -> None:
    plan = await on_clock(shop, clock)
    await change_card(shop, plan, DECLINED)
    await shop.ask("PUT", "/stripe/switches/messages", {"paused": True}, role="admin")
    await pass_(shop, clock, 32)
    await shop.ask("PUT", "/stripe/switches/messages", {"paused": False}, role="admin")
    [invoice] = (await shop.at_stripe("GET", "/v1/invoices?status=open"))["data"]
    await fault(shop, path=f"/v1/invoices/{invoice['id']}", status=500, times=20)
    await shop.work()
    [row] = await shop.rows("select outcome, attempts, error from outbox")
    assert (office.letters, row["outcome"], row["attempts"]) == ([], None, 0)
    assert row["error"] is not None
    await shop.stripe.delete("/_sandbox/faults")
    await shop.db.execute("update outbox set not_before = now()")
    await shop.work()
    assert len(office.letters) == 1


async def test_an_invoice_without_a_page_is_told_with_the_way_to_the_shop(
    shop: World, office: PostOffice, clock: str
) -> None:
    plan = await on_clock(shop, clock)
    await change_card(shop, plan, DECLINED)
    await shop.ask("PUT", "/stripe/switches/messages", {"paused": True}, role="admin")
    await pass_(shop, clock, 32)
    [invoice] = (await shop.at_stripe("GET", "/v1/invoices?status=open"))["data"]
    shop.sandbox.sandbox.state.change("invoice", invoice["id"], hosted_invoice_url=None)
    await shop.ask("PUT", "/stripe/switches/messages", {"paused": False}, role="admin")
    await shop.work()
    [letter] = office.letters
    assert letter["Subject"] == "Your payment of $29.99 did not go through"
    assert "https://shop.example" in text_of(letter)


async def test_a_page_to_pay_on_is_neither_stored_nor_logged(
    capfd: pytest.CaptureFixture[str], shop: World, office: PostOffice, clock: str
) -> None:
    plan = await on_clock(shop, clock)
    await change_card(shop, plan, DECLINED)
    await pass_(shop, clock, 32)
    [invoice] = (await shop.at_stripe("GET", "/v1/invoices?status=open"))["data"]
    assert invoice["hosted_invoice_url"] in text_of(office.letters[0])
    [row] = await shop.rows("select facts from outbox")
    assert invoice["hosted_invoice_url"] not in row["facts"]
    said = capfd.readouterr()
    assert f"renewal_failed:{invoice['id']}:1" in said.out + said.err
    assert invoice["hosted_invoice_url"] not in said.out + said.err


async def test_a_trial_that_ends_soon_is_told_without_any_event(
    shop: World, office: PostOffice, clock: str
) -> None:
    plan = await on_clock(shop, clock, trial_days=14)
    assert (plan["status"], office.letters) == ("trialing", [])
    [chore] = CHORES
    await chore.run(shop.ctx)
    await shop.work()
    assert office.letters == []
    shop.clock.ahead += timedelta(days=11, minutes=1)
    for _ in range(2):
        await chore.run(shop.ctx)
        await shop.work()
    [letter] = office.letters
    ends = datetime.fromisoformat(plan["trial_end"])
    assert letter["Subject"].startswith(f"Your trial of Silver ends on {ends.day} {ends:%B %Y}")
    assert "its price is $29.99 every month" in text_of(letter)
    assert "cancel before the trial ends" in text_of(letter)


async def test_a_trial_shorter_than_the_warning_is_told_at_once(
    shop: World, office: PostOffice, clock: str
) -> None:
    await on_clock(shop, clock, trial_days=1)
    assert len(office.letters) == 1
    await again(shop)
    assert len(office.letters) == 1


async def test_whoever_has_canceled_is_not_warned_of_the_end_of_the_trial(
    shop: World, office: PostOffice, clock: str
) -> None:
    plan = await on_clock(shop, clock, trial_days=14)
    await shop.ask("DELETE", f"/stripe/subscriptions/{plan['id']}")
    shop.clock.ahead += timedelta(days=12)
    [chore] = CHORES
    await chore.run(shop.ctx)
    await shop.work()
    assert office.letters == []


@pytest.mark.parametrize("since", ["canceled", "over"])
async def test_a_trial_is_not_told_once_it_is_canceled_or_over(
    shop: World, office: PostOffice, clock: str, since: str
) -> None:
    plan = await on_clock(shop, clock, trial_days=14)
    switch = "/stripe/switches/messages"
    await shop.ask("PUT", switch, {"paused": True}, role="admin")
    await pass_(shop, clock, 12)
    assert [row["template"] for row in await shop.rows("select template from outbox")] == [
        "trial_ending"
    ]
    if since == "over":
        await pass_(shop, clock, 3)
    else:
        await shop.at_stripe("POST", f"/v1/subscriptions/{plan['id']}", cancel_at_period_end="true")
    await shop.ask("PUT", switch, {"paused": False}, role="admin")
    await shop.work()
    assert office.letters == []
    assert [row["outcome"] for row in await shop.rows("select outcome from outbox")] == ["skipped"]


async def test_the_end_of_a_plan_is_told_once_with_its_reason(
    shop: World, office: PostOffice, clock: str
) -> None:
    plan = await on_clock(shop, clock)
    await shop.ask("DELETE", f"/stripe/subscriptions/{plan['id']}")
    await catch_up(shop)
    assert office.letters == [], "it has not ended yet"
    await pass_(shop, clock, 32)
    await again(shop)
    [letter] = office.letters
    assert letter["Subject"] == "Your subscription to Silver has ended"
    ends = datetime.fromisoformat(plan["current_period_end"])
    assert f"ended on {ends.day} {ends:%B %Y}" in text_of(letter)
    assert "as it was canceled" in text_of(letter)


async def test_a_plan_that_ended_unpaid_says_so(
    shop: World, office: PostOffice, clock: str
) -> None:
    plan = await on_clock(shop, clock)
    await change_card(shop, plan, DECLINED)
    for days in (32, 10, 10, 10):
        await pass_(shop, clock, days)
    assert "because it could not be paid" in text_of(office.letters[-1])
    subjects = [letter["Subject"] for letter in office.letters]
    assert subjects.count("Your subscription to Silver has ended") == 1


async def test_nobody_is_told_of_plans_of_before_or_of_another_application(
    shop: World, office: PostOffice, clock: str, configure: Configure
) -> None:
    price = (await shop.at_stripe("GET", "/v1/prices?lookup_keys[]=silver"))["data"][0]["id"]
    ours = await on_clock(shop, clock)
    form: Json = {"customer": ours["customer"], "items[0][price]": price}
    foreign = await shop.at_stripe("POST", "/v1/subscriptions", **form)
    await shop.at_stripe("DELETE", f"/v1/subscriptions/{foreign['id']}")
    await catch_up(shop)
    assert office.to("u-1@example.com") == []
    configure(effects_since=datetime.now(UTC) + timedelta(days=1))
    await shop.ask("DELETE", f"/stripe/subscriptions/{ours['id']}?now=true")
    await catch_up(shop)
    assert office.to("u-1@example.com") == []
    [row] = await shop.rows("select outcome from outbox where audience = 'customer'")
    assert row["outcome"] == "skipped"


async def test_the_first_import_of_an_old_account_writes_no_letters(
    shop: World, clock: str
) -> None:
    """A year of history arrives at once: what ended or failed long ago is not even written down."""
    plan = await on_clock(shop, clock)
    await shop.at_stripe("DELETE", f"/v1/subscriptions/{plan['id']}")
    shop.clock.ahead += timedelta(days=365)
    await catch_up(shop)
    assert await shop.rows("select id from outbox where audience = 'customer'") == []


def test_every_letter_to_a_customer_can_be_switched_off() -> None:
    said = Settings.model_fields["messages"].default
    for name in ("trial_ending", "renewal_failed", "subscription_ended"):
        assert name in said.split(",")
