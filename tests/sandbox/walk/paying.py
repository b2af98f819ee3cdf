"""Money: payment intents, refunds, disputes, the balance, payouts, reports."""

from sandbox.walk.steps import do, fail

THERE = "https://shop.example/back"

PAYMENTS = [
    do(
        "payment_intents.create",
        {"amount": 1000, "currency": "usd", "metadata": {"order": "7"}},
        sees={"status": "requires_payment_method", "client_secret": "~_secret_"},
        called="intent",
    ),
    do("payment_intents.update $intent.id", {"amount": 2000}, sees={"amount": 2000}),
    do(
        "payment_intents.confirm $intent.id",
        {"payment_method": "pm_card_visa", "return_url": THERE},
        sees={
            "status": "succeeded",
            "amount_received": 2000,
            "latest_charge": "~^ch_",
            "next_action": None,
        },
        called="paid",
    ),
    do(
        "charges.retrieve $paid.latest_charge",
        sees={
            "paid": True,
            "captured": True,
            "amount_captured": 2000,
            "balance_transaction": None,
            "payment_method_details.card.last4": "4242",
        },
    ),
    do("settle"),
    do(
        "payment_intents.retrieve $intent.id",
        {"expand": ["latest_charge.balance_transaction"]},
        sees={
            "latest_charge.balance_transaction.amount": 2000,
            "latest_charge.balance_transaction.fee": 88,
            "latest_charge.balance_transaction.net": 1912,
            "latest_charge.balance_transaction.source": "$paid.latest_charge",
        },
    ),
    do(
        "payment_intents.search",
        {"query": "metadata['order']:'7' AND status:'succeeded'"},
        sees={"data.#": 1, "data.0.id": "$intent.id"},
    ),
    do(
        "payment_intents.create",
        {
            "amount": 2000,
            "currency": "usd",
            "confirm": True,
            "payment_method": "pm_card_authenticationRequired",
            "return_url": THERE,
        },
        sees={
            "status": "requires_action",
            "next_action.type": "redirect_to_url",
            "next_action.redirect_to_url.return_url": THERE,
            "latest_charge": None,
        },
    ),
    do(
        "payment_intents.create",
        {
            "amount": 5000,
            "currency": "usd",
            "confirm": True,
            "capture_method": "manual",
            "payment_method": "pm_card_visa",
            "return_url": THERE,
        },
        sees={"status": "requires_capture", "amount_capturable": 5000, "amount_received": 0},
        called="hold",
    ),
    do(
        "payment_intents.capture $hold.id",
        {"amount_to_capture": 3000},
        sees={"status": "succeeded", "amount_received": 3000, "amount_capturable": 0},
    ),
    do(
        "charges.retrieve $hold.latest_charge",
        sees={"amount": 5000, "amount_captured": 3000, "captured": True},
    ),
    do("payment_intents.create", {"amount": 700, "currency": "eur"}, called="dropped"),
    do(
        "payment_intents.cancel $dropped.id",
        {"cancellation_reason": "requested_by_customer"},
        sees={"status": "canceled", "cancellation_reason": "requested_by_customer"},
    ),
    fail(
        "payment_intents.confirm $dropped.id",
        {"payment_method": "pm_card_visa", "return_url": THERE},
        sees={
            "class": "InvalidRequestError",
            "code": "payment_intent_unexpected_state",
            "payment_intent.status": "canceled",
        },
    ),
    fail(
        "payment_intents.create",
        {
            "amount": 2000,
            "currency": "usd",
            "confirm": True,
            "payment_method": "pm_card_visa_chargeDeclinedInsufficientFunds",
            "return_url": THERE,
        },
        sees={
            "class": "CardError",
            "type": "card_error",
            "code": "card_declined",
            "decline_code": "insufficient_funds",
            "status": 402,
            "payment_intent.status": "requires_payment_method",
            "charge": "~^ch_",
        },
    ),
    do(
        "payment_intents.list",
        {"limit": 1},
        sees={
            "data.0.status": "requires_payment_method",
            "data.0.payment_method": None,
            "data.0.last_payment_error.decline_code": "insufficient_funds",
        },
        called="declined",
    ),
    do(
        "charges.retrieve $declined.data.0.latest_charge",
        sees={"status": "failed", "paid": False, "failure_code": "card_declined"},
    ),
]

ERRORS = [
    fail(
        "payment_intents.create",
        {"amount": 100},
        sees={
            "class": "InvalidRequestError",
            "code": "parameter_missing",
            "param": "currency",
            "status": 400,
            "message": "Missing required param: currency.",
        },
    ),
    fail(
        "payment_intents.create",
        {"amount": 100, "currency": "usd", "payment_method_types": ["card"]},
        sees={"code": "parameter_unknown", "param": "payment_method_types"},
    ),
    fail(
        "payment_intents.retrieve pi_none",
        sees={"code": "resource_missing", "param": "intent", "status": 404},
    ),
    fail(
        "charges.list",
        {"limit": 101},
        sees={"param": "limit", "code": "parameter_invalid_integer"},
    ),
    fail(
        "customers.list",
        api_key="sk_nonsense",
        sees={"class": "AuthenticationError", "status": 401},
    ),
    do("customers.create", {"name": "Jenny"}, called="jenny", idempotency_key="walk-1"),
    do(
        "customers.create",
        {"name": "Jenny"},
        sees={"id": "$jenny.id"},
        idempotency_key="walk-1",
    ),
    fail(
        "customers.create",
        {"name": "Rosen"},
        sees={"class": "IdempotencyError", "type": "idempotency_error", "status": 400},
        idempotency_key="walk-1",
    ),
    do("customers.list", sees={"data.#": 1}),
    fail(
        "customers.list",
        {"expand": ["data.nothing"]},
        sees={"class": "InvalidRequestError", "message": "~cannot be expanded"},
    ),
]

PAID = {
    "amount": 2000,
    "currency": "usd",
    "confirm": True,
    "payment_method": "pm_card_visa",
    "return_url": THERE,
}

REFUNDS = [
    do("payment_intents.create", PAID, sees={"status": "succeeded"}, called="paid"),
    do("settle"),
    do(
        "refunds.create",
        {"payment_intent": "$paid.id", "amount": 500, "reason": "requested_by_customer"},
        sees={"status": "succeeded", "amount": 500, "charge": "$paid.latest_charge"},
        called="part",
    ),
    do(
        "charges.retrieve $paid.latest_charge",
        sees={"amount_refunded": 500, "refunded": False},
    ),
    fail(
        "refunds.create",
        {"charge": "$paid.latest_charge", "amount": 1501},
        sees={"class": "InvalidRequestError", "param": "amount", "message": "~greater than"},
    ),
    do("refunds.create", {"charge": "$paid.latest_charge"}, sees={"amount": 1500}),
    do("charges.retrieve $paid.latest_charge", sees={"amount_refunded": 2000, "refunded": True}),
    fail(
        "refunds.create",
        {"payment_intent": "$paid.id"},
        sees={"code": "charge_already_refunded", "status": 400},
    ),
    do("refunds.list", {"payment_intent": "$paid.id"}, sees={"data.#": 2}),
    do("refunds.update $part.id", {"metadata": {"a": "1"}}, sees={"metadata": {"a": "1"}}),
    do(
        "balance_transactions.list",
        {"type": "refund"},
        sees={"data.#": 2, "data.1.amount": -500, "data.1.fee": 0, "data.1.source": "$part.id"},
    ),
    do(
        "events.list",
        {"type": "charge.refunded"},
        sees={"data.#": 2, "data.0.data.object.id": "$paid.latest_charge"},
    ),
    do(
        "payment_intents.create",
        {**PAID, "payment_method": "pm_card_refundFail"},
        called="returned",
    ),
    do(
        "refunds.create",
        {"payment_intent": "$returned.id"},
        sees={"status": "succeeded"},
        called="failing",
    ),
    do("settle"),
    do(
        "refunds.retrieve $failing.id",
        sees={"status": "failed", "failure_balance_transaction": "~^txn_"},
    ),
]

DISPUTED = {**PAID, "payment_method": "pm_card_createDispute"}

DISPUTES = [
    do("payment_intents.create", DISPUTED, called="won"),
    do("settle"),
    do(
        "disputes.list",
        {"payment_intent": "$won.id"},
        sees={
            "data.#": 1,
            "data.0.status": "needs_response",
            "data.0.amount": 2000,
            "data.0.balance_transactions.0.amount": -2000,
            "data.0.balance_transactions.0.fee": 1500,
        },
        called="found",
    ),
    do(
        "disputes.update $found.data.0.id",
        {"evidence": {"customer_name": "Jenny"}, "submit": False},
        sees={"status": "needs_response", "evidence.customer_name": "Jenny"},
    ),
    do(
        "disputes.update $found.data.0.id",
        {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": True},
        sees={"status": "under_review", "evidence_details.submission_count": 1},
    ),
    do("settle"),
    do(
        "disputes.retrieve $found.data.0.id",
        sees={
            "status": "won",
            "balance_transactions.#": 2,
            "balance_transactions.1.amount": 2000,
        },
    ),
    do("payment_intents.create", DISPUTED, called="lost"),
    do("settle"),
    do("disputes.list", {"payment_intent": "$lost.id"}, called="other"),
    fail(
        "refunds.create",
        {"payment_intent": "$lost.id"},
        sees={"class": "InvalidRequestError", "code": "charge_disputed"},
    ),
    do("disputes.close $other.data.0.id", sees={"status": "lost"}),
    fail("disputes.close $other.data.0.id", sees={"class": "InvalidRequestError"}),
]

PAYOUTS = [
    do("balance.retrieve", sees={"object": "balance", "livemode": False}),
    fail(
        "payouts.create",
        {"amount": 100_000_00, "currency": "usd"},
        sees={"class": "InvalidRequestError", "code": "balance_insufficient"},
    ),
    do("payment_intents.create", {**PAID, "payment_method": "pm_card_bypassPending"}),
    do("settle"),
    do(
        "balance.retrieve",
        sees={"available.0.amount": 1912, "available.0.currency": "usd"},
    ),
    do(
        "payouts.create",
        {"amount": 1000, "currency": "usd", "metadata": {"week": "7"}},
        sees={
            "amount": 1000,
            "status": "pending",
            "balance_transaction": "~^txn_",
            "automatic": False,
            "method": "standard",
        },
        called="payout",
    ),
    do("balance.retrieve", sees={"available.0.amount": 912}),
    do(
        "balance_transactions.retrieve $payout.balance_transaction",
        sees={"type": "payout", "amount": -1000, "fee": 0, "source": "$payout.id"},
    ),
    do("payouts.update $payout.id", {"metadata": {"week": "8"}}, sees={"metadata.week": "8"}),
    do("payouts.cancel $payout.id", sees={"status": "canceled"}),
    do("balance.retrieve", sees={"available.0.amount": 1912}),
    do("payouts.create", {"amount": 900, "currency": "usd"}, called="second"),
    do("settle"),
    do("payouts.retrieve $second.id", sees={"status": "paid"}),
    do("payouts.list", {"status": "paid"}, sees={"data.#": 1, "data.0.id": "$second.id"}),
]

REPORTS = [
    do("payment_intents.create", PAID),
    do("settle"),
    do(
        "reporting.report_types.retrieve balance.summary.1",
        sees={"object": "reporting.report_type", "id": "balance.summary.1"},
        called="kind",
    ),
    do(
        "reporting.report_runs.create",
        {
            "report_type": "balance.summary.1",
            "parameters": {
                "interval_start": "$kind.data_available_start",
                "interval_end": "$kind.data_available_end",
            },
        },
        sees={"status": "pending", "result": None},
        called="run",
    ),
    do("settle"),
    do(
        "reporting.report_runs.retrieve $run.id",
        sees={
            "status": "succeeded",
            "result.object": "file",
            "result.type": "csv",
            "result.url": "~^http",
        },
        called="report",
    ),
    do("download $report.result.url", sees={"status": 200, "text": "~reporting_category|category"}),
    do(
        "file_links.create",
        {"file": "$report.result.id"},
        sees={"object": "file_link", "file": "$report.result.id", "expired": False},
    ),
    do("files.list", sees={"data.#": 1, "data.0.purpose": "finance_report_run"}),
    fail(
        "reporting.report_runs.create",
        {"parameters": {"interval_start": 0}},
        sees={"code": "parameter_missing", "param": "report_type"},
    ),
    do(
        "events.list",
        {"type": "reporting.report_run.succeeded"},
        sees={"data.#": 1, "data.0.data.object.id": "$run.id"},
    ),
]
