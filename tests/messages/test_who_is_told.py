"""Who is told what: each cause once, in words that say what to do, and shown on the payment."""

from datetime import UTC, datetime, timedelta

from prometheus_client import REGISTRY

from messages.conftest import ADMINS, Configure
from messages.post_office import PostOffice, text_of
from service.plans import catch_up, shelve, subscribed
from world import DEPOSIT, Json, World

DECLINED = "pm_card_visa_chargeDeclinedInsufficientFunds"


def alerts(kind: str) -> float:
    return REGISTRY.get_sample_value("payments_alerts_total", {"kind": kind}) or 0


async def told(world: World, intent: Json, **who: str) -> list[Json]:
    path = f"/stripe/payments/{intent['id']}"
    found: list[Json] = (await world.ask("GET", path, **who))["messages"]  # type: ignore[arg-type]  # a Role
    return found


async def test_a_customer_is_told_of_each_failed_attempt_once(
    mailing: World, office: PostOffice
) -> None:
    intent = await mailing.intent(await mailing.book())
    for attempts in (1, 2):
        await mailing.confirm(intent, DECLINED, status=402)
        await mailing.converge()
        await mailing.converge()
        assert len(office.letters) == attempts
    [first, second] = office.letters
    assert first["Message-ID"] != second["Message-ID"]
    assert (first["To"], first["From"]) == (
        "u-1@example.com",
        "Supper Club <payments@shop.example>",
    )
    assert first["Subject"] == "Your payment of $100.00 did not go through"
    assert "Your card has insufficient funds." in text_of(first)
    assert "https://shop.example" in text_of(first)
    shown = await told(mailing, intent)
    assert [(m["template"], m["audience"], m["state"]) for m in shown] == [
        ("payment_failed", "customer", "sent")
    ] * 2
    assert all(m["sent_at"] and m["key"].startswith("payment_failed:") for m in shown)


async def test_what_people_wrote_is_text_in_a_letter_and_never_html(
    mailing: World, office: PostOffice
) -> None:
    odd = "<b>table & chairs</b>"
    intent = await mailing.intent(await mailing.book())
    path = f"/v1/payment_intents/{intent['id']}"
    form: Json = {"metadata[reference]": f"order:{odd}"}
    await mailing.at_stripe("POST", path, **form)
    await mailing.confirm(intent, DECLINED, status=402)
    await mailing.converge()
    [letter] = office.letters
    assert f"order:{odd}" in text_of(letter)
    assert "order:&lt;b&gt;table &amp; chairs&lt;/b&gt;" in text_of(letter, "html")


async def test_a_failure_that_was_overcome_before_it_was_seen_is_not_told(
    mailing: World, office: PostOffice
) -> None:
    intent = await mailing.intent(await mailing.book())
    await mailing.confirm(intent, DECLINED, status=402)
    await mailing.confirm(intent)
    await mailing.converge()
    assert office.letters == []


async def disputed(world: World, card: str = "pm_card_createDispute") -> tuple[Json, Json]:
    booking = await world.book()
    intent = await world.intent(booking)
    await world.confirm(intent, card)
    await world.settle()
    await world.converge()
    return booking, intent


async def test_every_admin_is_told_of_a_dispute_with_its_deadline(
    mailing: World, office: PostOffice
) -> None:
    before = alerts("dispute")
    _, intent = await disputed(mailing)
    assert sorted(letter["To"] for letter in office.letters) == list(ADMINS)
    letter = office.letters[0]
    [dispute] = (await mailing.at_stripe("GET", "/v1/disputes"))["data"]
    due = datetime.fromtimestamp(dispute["evidence_details"]["due_by"], UTC)
    deadline = f"{due.day} {due:%B %Y, %H:%M} UTC"
    assert letter["Subject"] == f"Dispute over $100.00: answer by {deadline}"
    assert f"Stripe takes evidence until {deadline}" in text_of(letter)
    link = f"https://dashboard.stripe.com/test/payments/{intent['id']}"
    assert link in text_of(letter)
    assert f'href="{link}"' in text_of(letter, "html")
    assert alerts("dispute") == before + 1
    assert await told(mailing, intent) == [], "a customer does not see what admins were told"
    [shown] = await told(mailing, intent, user="boss", role="admin")
    assert (shown["key"], shown["state"]) == (f"dispute:{dispute['id']}", "sent")


async def test_an_inquiry_that_becomes_a_dispute_is_told_again(
    mailing: World, office: PostOffice
) -> None:
    await disputed(mailing, "pm_card_createDisputeInquiry")
    [dispute] = (await mailing.at_stripe("GET", "/v1/disputes"))["data"]
    answer: Json = {"evidence[uncategorized_text]": "escalate_inquiry_evidence", "submit": "true"}
    await mailing.at_stripe("POST", f"/v1/disputes/{dispute['id']}", **answer)
    await mailing.settle()
    await mailing.converge()
    keys = [row["id"] for row in await mailing.rows("select id from outbox order by received_at")]
    assert keys == [f"dispute:{dispute['id']}:inquiry", f"dispute:{dispute['id']}"]
    assert len(office.to(ADMINS[0])) == 2


async def test_admins_are_told_of_a_refund_that_came_back(
    mailing: World, office: PostOffice
) -> None:
    intent = await mailing.intent(await mailing.book())
    await mailing.confirm(intent, "pm_card_refundFail")
    refund = await mailing.at_stripe("POST", "/v1/refunds", payment_intent=intent["id"])
    await mailing.converge()
    assert office.letters == []
    await mailing.settle()
    await mailing.converge()
    assert [letter["Subject"] for letter in office.to(ADMINS[0])] == ["A refund of $100.00 failed"]
    assert "expired or canceled card" in text_of(office.letters[0])
    detail = await mailing.ask("GET", f"/stripe/payments/{intent['id']}", role="admin")
    [shown] = detail["refunds"]
    assert (shown["id"], shown["status"], shown["amount_cents"]) == (
        refund["id"],
        "failed",
        DEPOSIT,
    )


async def test_admins_are_told_of_an_event_that_was_given_up(
    mailing: World, office: PostOffice
) -> None:
    before = alerts("dead_event")
    await mailing.at_stripe("POST", "/v1/products", name="Lamp")
    event = (await mailing.events())[-1]
    event["data"]["object"] |= {"id": "prod_none"}
    await mailing.deliver(event)
    await mailing.db.execute(
        "update stripe_events set attempts = 11, received_at = now() - interval '4 days', "
        "resource = 'nothing of the kind'"
    )
    await mailing.work()
    assert [letter["Subject"] for letter in office.letters] == [f"Given up: {event['id']}"] * 2
    assert alerts("dead_event") == before + 1


async def test_nobody_is_told_of_what_was_before_or_is_another_applications(
    mailing: World, office: PostOffice, configure: Configure
) -> None:
    form: Json = {"amount": 5000, "currency": "usd", "receipt_email": "not-ours@example.com"}
    foreign = await mailing.at_stripe("POST", "/v1/payment_intents", **form)
    await mailing.confirm(foreign, DECLINED, status=402)
    configure(effects_since=datetime.now(UTC) + timedelta(hours=1))
    before = alerts("dispute")
    _, intent = await disputed(mailing)
    assert (office.letters, alerts("dispute")) == ([], before)
    assert len(await mailing.rows("select id from outbox")) == 1
    [shown] = await told(mailing, intent, role="admin")
    assert (shown["state"], shown["sent_at"]) == ("skipped", None)


async def test_nobody_is_told_of_what_was_before_this_database_met_its_account(
    mailing: World, office: PostOffice
) -> None:
    await mailing.db.execute("update installation set stamped_at = now() + interval '1 hour'")
    _, intent = await disputed(mailing)
    assert office.letters == []
    [shown] = await told(mailing, intent, role="admin")
    assert shown["state"] == "skipped"


async def test_the_messages_that_are_not_wanted_stay_in_the_log(
    mailing: World, office: PostOffice, configure: Configure
) -> None:
    configure(messages="refund_failed")
    before = alerts("dispute")
    _, intent = await disputed(mailing)
    assert (office.letters, alerts("dispute")) == ([], before + 1)
    [shown] = await told(mailing, intent, role="admin")
    assert shown["state"] == "logged"


async def test_admins_are_told_once_of_a_second_plan_of_one_kind(
    mailing: World, office: PostOffice
) -> None:
    await shelve(mailing)
    paid = await subscribed(mailing)
    path = f"/v1/subscriptions/{paid['id']}"
    stripes = await mailing.at_stripe("GET", path)
    form: Json = {
        "customer": stripes["customer"],
        "items[0][price]": stripes["items"]["data"][0]["price"]["id"],
        "default_payment_method": stripes["default_payment_method"],
    }
    second = await mailing.at_stripe("POST", "/v1/subscriptions", **form)
    await catch_up(mailing)
    await mailing.at_stripe("POST", path, description="looked at")
    await catch_up(mailing)
    assert {letter["To"] for letter in office.letters} == set(ADMINS)
    assert len(office.letters) == len(ADMINS)
    [subject] = {letter["Subject"] for letter in office.letters}
    assert subject == "Two plans of one kind: u-1"
    for id in (paid["id"], second["id"]):
        assert id in text_of(office.letters[0])
