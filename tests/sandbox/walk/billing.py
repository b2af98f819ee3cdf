"""Billing over time: subscriptions, invoices, credit notes, quotes, test clocks."""

from sandbox.walk.steps import Step, do, fail

THERE = "https://shop.example/back"
START, HALF_WAY, FEBRUARY, MARCH = 1893456000, 1894795200, 1896134400, 1898553600
"""2030 in UTC: January 1st, the middle of January, February 1st, March 1st."""

TWO_HOURS = 7200  # a renewal's draft is finalised after one


def subscriber(card: str = "pm_card_visa", **fields: object) -> Step:
    """A customer whose cards are charged by default, as the official CLI makes one."""
    return do(
        "customers.create",
        {
            "name": "Jenny",
            "payment_method": card,
            "invoice_settings": {"default_payment_method": card},
            **fields,
        },
        called="jenny",
    )


def monthly(amount: int, name: str) -> Step:
    return do(
        "prices.create",
        {
            "currency": "usd",
            "unit_amount": amount,
            "recurring": {"interval": "month"},
            "product_data": {"name": name},
        },
        called=name,
    )


SUBSCRIPTION = [
    do("test_helpers.test_clocks.create", {"frozen_time": START}, called="clock"),
    subscriber(test_clock="$clock.id"),
    monthly(1000, "basic"),
    monthly(3000, "pro"),
    do(
        "subscriptions.create",
        {
            "customer": "$jenny.id",
            "items": [{"price": "$basic.id"}],
            "metadata": {"plan": "b"},
            "expand": ["latest_invoice.payments"],
        },
        sees={
            "status": "active",
            "created": START,
            "billing_cycle_anchor": START,
            "items.data.0.quantity": 1,
            "items.data.0.current_period_start": START,
            "items.data.0.current_period_end": FEBRUARY,
            "cancel_at_period_end": False,
            "latest_invoice.status": "paid",
            "latest_invoice.amount_paid": 1000,
            "latest_invoice.billing_reason": "subscription_create",
            "latest_invoice.payments.data.0.status": "paid",
            "latest_invoice.payments.data.0.payment.payment_intent": "~^pi_",
        },
        called="sub",
    ),
    do(
        "invoices.retrieve $sub.latest_invoice.id",
        sees={
            "parent.type": "subscription_details",
            "parent.subscription_details.subscription": "$sub.id",
            "parent.subscription_details.metadata": {"plan": "b"},
            "lines.data.0.parent.subscription_item_details.subscription": "$sub.id",
            "lines.data.0.pricing.price_details.price": "$basic.id",
            "lines.data.0.period.end": FEBRUARY,
        },
    ),
    do(
        "invoices.create_preview",
        {
            "subscription": "$sub.id",
            "subscription_details": {
                "items": [{"id": "$sub.items.data.0.id", "price": "$pro.id"}],
                "proration_behavior": "always_invoice",
                "proration_date": HALF_WAY,
            },
        },
        sees={"object": "invoice", "status": "draft", "amount_due": 1000, "lines.data.#": 2},
    ),
    do(
        "test_helpers.test_clocks.advance $clock.id",
        {"frozen_time": HALF_WAY},
        sees={"status": "advancing"},
    ),
    do("settle"),
    do(
        "test_helpers.test_clocks.retrieve $clock.id",
        sees={"status": "ready", "frozen_time": HALF_WAY},
    ),
    do(
        "subscriptions.update $sub.id",
        {
            "items": [{"id": "$sub.items.data.0.id", "price": "$pro.id"}],
            "proration_behavior": "always_invoice",
            "expand": ["latest_invoice"],
        },
        sees={
            "status": "active",
            "items.data.#": 1,
            "items.data.0.id": "$sub.items.data.0.id",
            "items.data.0.price.id": "$pro.id",
            "items.data.0.current_period_end": FEBRUARY,
            "latest_invoice.billing_reason": "subscription_update",
            "latest_invoice.amount_paid": 1000,
            "latest_invoice.status": "paid",
        },
        called="upgraded",
    ),
    do(
        "invoices.line_items.list $upgraded.latest_invoice.id",
        sees={"data.#": 2, "data.0.amount": -500, "data.1.amount": 1500},
    ),
    do(
        "subscriptions.update $sub.id",
        {"cancel_at_period_end": True, "cancellation_details": {"feedback": "too_expensive"}},
        sees={
            "cancel_at_period_end": True,
            "cancel_at": FEBRUARY,
            "status": "active",
            "cancellation_details.feedback": "too_expensive",
        },
    ),
    do(
        "subscriptions.update $sub.id",
        {"cancel_at_period_end": False},
        sees={"cancel_at_period_end": False, "cancel_at": None},
    ),
    do("test_helpers.test_clocks.advance $clock.id", {"frozen_time": FEBRUARY + TWO_HOURS}),
    do("settle"),
    do(
        "subscriptions.retrieve $sub.id",
        {"expand": ["latest_invoice"]},
        sees={
            "status": "active",
            "items.data.0.current_period_start": FEBRUARY,
            "items.data.0.current_period_end": MARCH,
            "latest_invoice.billing_reason": "subscription_cycle",
            "latest_invoice.amount_paid": 3000,
        },
    ),
    do("invoices.list", {"subscription": "$sub.id"}, sees={"data.#": 3}),
    do(
        "subscriptions.update $sub.id",
        {"pause_collection": {"behavior": "void"}},
        sees={"status": "active", "pause_collection.behavior": "void"},
    ),
    do("subscriptions.update $sub.id", {"pause_collection": ""}, sees={"pause_collection": None}),
    do(
        "subscriptions.pause $sub.id",
        sees={"status": "paused", "status_details.paused.type": "subscription"},
    ),
    do("subscriptions.resume $sub.id", sees={"status": "active"}),
    do(
        "subscriptions.cancel $sub.id",
        {"cancellation_details": {"comment": "Too many boxes"}},
        sees={
            "status": "canceled",
            "canceled_at": FEBRUARY + TWO_HOURS,
            "ended_at": FEBRUARY + TWO_HOURS,
            "cancellation_details.comment": "Too many boxes",
            "cancellation_details.reason": "cancellation_requested",
        },
    ),
    fail(
        "subscriptions.cancel $sub.id",
        sees={"class": "InvalidRequestError", "code": "resource_missing"},
    ),
    do("subscriptions.list", {"customer": "$jenny.id"}, sees={"data.#": 0}),
    do("subscriptions.list", {"customer": "$jenny.id", "status": "all"}, sees={"data.#": 1}),
    do(
        "events.list",
        {"type": "customer.subscription.deleted"},
        sees={"data.#": 1, "data.0.data.object.status": "canceled"},
    ),
    do("test_helpers.test_clocks.delete $clock.id", sees={"deleted": True}),
]

BEGINNINGS = [
    subscriber(),
    monthly(1000, "basic"),
    do(
        "subscriptions.create",
        {
            "customer": "$jenny.id",
            "items": [{"price": "$basic.id", "quantity": 2}],
            "payment_behavior": "default_incomplete",
            "expand": ["latest_invoice.confirmation_secret", "latest_invoice.payments"],
        },
        sees={
            "status": "incomplete",
            "latest_invoice.status": "open",
            "latest_invoice.amount_due": 2000,
            "latest_invoice.confirmation_secret.type": "payment_intent",
            "latest_invoice.confirmation_secret.client_secret": "~_secret_",
        },
        called="sub",
    ),
    do(
        "payment_intents.confirm $sub.latest_invoice.payments.data.0.payment.payment_intent",
        {"payment_method": "pm_card_visa", "return_url": THERE},
        sees={"status": "succeeded", "amount": 2000},
    ),
    do(
        "subscriptions.retrieve $sub.id",
        {"expand": ["latest_invoice"]},
        sees={"status": "active", "latest_invoice.status": "paid"},
    ),
    do(
        "subscription_items.list",
        {"subscription": "$sub.id"},
        sees={"data.#": 1, "data.0.quantity": 2},
    ),
    do(
        "subscriptions.create",
        {
            "customer": "$jenny.id",
            "items": [{"price": "$basic.id"}],
            "trial_period_days": 7,
            "expand": ["latest_invoice"],
        },
        sees={
            "status": "trialing",
            "latest_invoice.amount_due": 0,
            "latest_invoice.status": "paid",
        },
        called="trial",
    ),
    do(
        "subscription_items.list",
        {"subscription": "$trial.id"},
        sees={"data.0.current_period_end": "$trial.trial_end"},
    ),
    do(
        "subscriptions.update $trial.id",
        {"trial_end": "now", "expand": ["latest_invoice"]},
        sees={"status": "active", "latest_invoice.amount_paid": 1000},
    ),
    fail(
        "subscriptions.create",
        {
            "customer": "$jenny.id",
            "items": [{"price": "$basic.id"}],
            "default_payment_method": "pm_card_visa",
            "currency": "eur",
        },
        sees={"class": "InvalidRequestError"},
    ),
    subscriber("pm_card_chargeCustomerFail"),
    do(
        "subscriptions.create",
        {
            "customer": "$jenny.id",
            "items": [{"price": "$basic.id"}],
            "expand": ["latest_invoice"],
        },
        sees={"status": "incomplete", "latest_invoice.status": "open"},
    ),
    fail(
        "subscriptions.create",
        {
            "customer": "$jenny.id",
            "items": [{"price": "$basic.id"}],
            "payment_behavior": "error_if_incomplete",
        },
        sees={"class": "CardError", "code": "card_declined", "status": 402},
    ),
    do("events.list", {"type": "invoice.payment_failed"}, sees={"data.#": 1}),
]

ITEM = {"customer": "$jenny.id", "currency": "usd"}
DRAFT = {
    "customer": "$jenny.id",
    "collection_method": "send_invoice",
    "days_until_due": 30,
    "pending_invoice_items_behavior": "include",
}

INVOICES = [
    subscriber(),
    do(
        "invoice_items.create",
        {**ITEM, "amount": 2500, "description": "Dinner"},
        sees={"amount": 2500, "invoice": None, "customer": "$jenny.id"},
        called="item",
    ),
    do(
        "invoices.create",
        DRAFT,
        sees={
            "status": "draft",
            "amount_due": 2500,
            "lines.data.0.description": "Dinner",
            "billing_reason": "manual",
            "number": None,
        },
        called="invoice",
    ),
    do("invoice_items.retrieve $item.id", sees={"invoice": "$invoice.id"}),
    do(
        "invoices.finalize_invoice $invoice.id",
        sees={
            "status": "open",
            "amount_remaining": 2500,
            "number": "~.",
            "hosted_invoice_url": "~^http",
            "invoice_pdf": "~^http",
        },
        called="open",
    ),
    fail("invoices.finalize_invoice $invoice.id", sees={"class": "InvalidRequestError"}),
    do("invoices.send_invoice $invoice.id", sees={"status": "open"}),
    do(
        "credit_notes.create",
        {"invoice": "$invoice.id", "amount": 500, "reason": "duplicate"},
        sees={"status": "issued", "type": "pre_payment", "total": 500, "reason": "duplicate"},
        called="note",
    ),
    do(
        "invoices.retrieve $invoice.id",
        sees={"amount_remaining": 2000, "pre_payment_credit_notes_amount": 500},
    ),
    do("credit_notes.void_credit_note $note.id", sees={"status": "void"}),
    do("invoices.retrieve $invoice.id", sees={"amount_remaining": 2500}),
    do(
        "invoices.pay $invoice.id",
        sees={"status": "paid", "amount_paid": 2500, "amount_remaining": 0},
    ),
    do(
        "invoice_payments.list",
        {"invoice": "$invoice.id"},
        sees={
            "data.#": 1,
            "data.0.status": "paid",
            "data.0.amount_paid": 2500,
            "data.0.payment.type": "payment_intent",
        },
        called="payments",
    ),
    do(
        "invoice_payments.list",
        {
            "payment": {
                "type": "payment_intent",
                "payment_intent": "$payments.data.0.payment.payment_intent",
            }
        },
        sees={"data.#": 1, "data.0.invoice": "$invoice.id"},
    ),
    do("settle"),
    do(
        "credit_notes.create",
        {"invoice": "$invoice.id", "amount": 1000, "refund_amount": 1000},
        sees={"type": "post_payment", "refunds.#": 1, "amount": 1000},
    ),
    do("invoices.retrieve $invoice.id", sees={"post_payment_credit_notes_amount": 1000}),
    do("refunds.list", sees={"data.#": 1, "data.0.amount": 1000}),
    do(
        "events.list",
        {"types": ["invoice.created", "invoice.finalized", "invoice.sent", "invoice.paid"]},
        sees={
            "data.#": 4,
            "data.0.type": "invoice.paid",
            "data.1.type": "invoice.sent",
            "data.2.type": "invoice.finalized",
            "data.3.type": "invoice.created",
        },
    ),
]

ENDS = [
    subscriber(),
    do("invoice_items.create", {**ITEM, "amount": 800}),
    do("invoices.create", DRAFT, called="one"),
    do("invoices.finalize_invoice $one.id"),
    do("invoices.void_invoice $one.id", sees={"status": "void"}),
    fail("invoices.pay $one.id", sees={"class": "InvalidRequestError"}),
    do("invoice_items.create", {**ITEM, "amount": 800}),
    do("invoices.create", DRAFT, called="two"),
    do("invoices.finalize_invoice $two.id"),
    do("invoices.mark_uncollectible $two.id", sees={"status": "uncollectible"}),
    do(
        "invoices.pay $two.id",
        {"paid_out_of_band": True},
        sees={"status": "paid", "amount_paid": 800},
    ),
    do("invoices.create", {"customer": "$jenny.id"}, sees={"amount_due": 0}, called="three"),
    do("invoices.delete $three.id", sees={"deleted": True}),
    subscriber("pm_card_chargeCustomerFail"),
    do("invoice_items.create", {**ITEM, "amount": 800}, called="item"),
    do(
        "invoices.create",
        {"customer": "$jenny.id", "pending_invoice_items_behavior": "include"},
        called="four",
    ),
    fail(
        "invoices.pay $four.id",
        sees={"class": "CardError", "code": "card_declined", "status": 402},
    ),
    do(
        "invoices.retrieve $four.id",
        sees={"status": "open", "attempted": True, "attempt_count": 1, "amount_paid": 0},
    ),
    fail("invoice_items.delete $item.id", sees={"class": "InvalidRequestError"}),
]

QUOTES = [
    subscriber(),
    monthly(1500, "basic"),
    do(
        "quotes.create",
        {"customer": "$jenny.id", "line_items": [{"price": "$basic.id", "quantity": 2}]},
        sees={
            "status": "draft",
            "amount_total": 3000,
            "computed.recurring.amount_total": 3000,
            "subscription": None,
        },
        called="quote",
    ),
    do("quotes.line_items.list $quote.id", sees={"data.#": 1, "data.0.quantity": 2}),
    do(
        "quotes.finalize_quote $quote.id",
        sees={"status": "open", "number": "~^QT-"},
    ),
    do("download /v1/quotes/{$quote.id}/pdf", sees={"status": 200, "text": "~^%PDF-"}),
    do(
        "quotes.accept $quote.id",
        sees={"status": "accepted", "subscription": "~^sub_"},
        called="accepted",
    ),
    do(
        "subscriptions.retrieve $accepted.subscription",
        sees={"status": "active", "items.data.0.quantity": 2},
    ),
    fail("quotes.cancel $quote.id", sees={"class": "InvalidRequestError"}),
    do(
        "quotes.create",
        {"customer": "$jenny.id", "line_items": [{"price": "$basic.id"}]},
        called="other",
    ),
    do("quotes.cancel $other.id", sees={"status": "canceled"}),
    do("quotes.list", {"status": "accepted"}, sees={"data.#": 1, "data.0.id": "$quote.id"}),
]
