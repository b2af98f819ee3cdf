"""What is sold and to whom: catalogue, discounts, customers, Checkout, portal, endpoints."""

from sandbox.walk.steps import do, fail

CATALOGUE = [
    do(
        "products.create",
        {
            "name": "Box",
            "metadata": {"kind": "box", "size": "m"},
            "default_price_data": {"currency": "usd", "unit_amount": 2500},
        },
        sees={"object": "product", "active": True, "default_price": "~^price_"},
        called="box",
    ),
    do(
        "products.retrieve $box.id",
        {"expand": ["default_price"]},
        sees={
            "default_price.unit_amount": 2500,
            "default_price.product": "$box.id",
            "default_price.type": "one_time",
        },
    ),
    do(
        "prices.create",
        {
            "product": "$box.id",
            "currency": "usd",
            "unit_amount": 1500,
            "recurring": {"interval": "month"},
            "lookup_key": "monthly",
        },
        sees={
            "type": "recurring",
            "recurring.interval_count": 1,
            "recurring.usage_type": "licensed",
            "billing_scheme": "per_unit",
        },
        called="monthly",
    ),
    do("prices.list", {"lookup_keys": ["monthly"]}, sees={"data.#": 1, "data.0.id": "$monthly.id"}),
    do(
        "prices.update $monthly.id",
        {"active": False, "nickname": "Old"},
        sees={"active": False, "nickname": "Old", "unit_amount": 1500},
    ),
    do("prices.list", {"active": True, "product": "$box.id"}, sees={"data.#": 1}),
    do(
        "products.update $box.id",
        {"metadata": {"size": "", "colour": "red"}},
        sees={"metadata": {"kind": "box", "colour": "red"}},
    ),
    do(
        "products.search",
        {"query": "active:'true' AND metadata['kind']:'box'"},
        sees={"object": "search_result", "data.#": 1, "data.0.id": "$box.id", "has_more": False},
    ),
    fail(
        "products.delete $box.id",
        sees={"class": "InvalidRequestError", "status": 400, "message": "~user-created prices"},
    ),
    fail(
        "prices.create",
        {"product": "prod_none", "currency": "usd", "unit_amount": 1},
        sees={"code": "resource_missing", "param": "product"},
    ),
]

DISCOUNTS = [
    do(
        "coupons.create",
        {"id": "QUARTER", "percent_off": 25, "duration": "repeating", "duration_in_months": 3},
        sees={"id": "QUARTER", "valid": True, "times_redeemed": 0, "percent_off": 25},
    ),
    do("coupons.update QUARTER", {"name": "A quarter"}, sees={"name": "A quarter"}),
    fail(
        "coupons.create",
        {"id": "QUARTER", "percent_off": 25},
        sees={"code": "resource_already_exists", "status": 400},
    ),
    do(
        "promotion_codes.create",
        {"promotion": {"type": "coupon", "coupon": "QUARTER"}, "code": "SPRING"},
        sees={
            "code": "SPRING",
            "active": True,
            "promotion.type": "coupon",
            "promotion.coupon": "QUARTER",
        },
        called="spring",
    ),
    do("promotion_codes.list", {"code": "SPRING"}, sees={"data.#": 1, "data.0.id": "$spring.id"}),
    do(
        "checkout.sessions.create",
        {
            "mode": "payment",
            "success_url": "https://shop.example/thanks",
            "discounts": [{"promotion_code": "$spring.id"}],
            "line_items": [
                {
                    "price_data": {
                        "currency": "usd",
                        "unit_amount": 1999,
                        "product_data": {"name": "Box"},
                    },
                    "quantity": 1,
                }
            ],
        },
        sees={"amount_subtotal": 1999, "total_details.amount_discount": 500, "amount_total": 1499},
    ),
    do("promotion_codes.update $spring.id", {"active": False}, sees={"active": False}),
    do("coupons.delete QUARTER", sees={"deleted": True}),
    fail("coupons.retrieve QUARTER", sees={"code": "resource_missing", "status": 404}),
]

CUSTOMERS = [
    do(
        "customers.create",
        {"email": "jenny@example.com", "name": "Jenny", "metadata": {"a": "1"}},
        sees={"object": "customer", "email": "jenny@example.com", "livemode": False},
        called="jenny",
    ),
    do(
        "customers.update $jenny.id",
        {"metadata": {"b": "2"}, "phone": "+15555550100"},
        sees={"metadata": {"a": "1", "b": "2"}, "phone": "+15555550100"},
    ),
    do("customers.list", {"email": "jenny@example.com"}, sees={"data.#": 1}),
    do("customers.list", {"email": "Jenny@example.com"}, sees={"data.#": 0, "has_more": False}),
    do(
        "customers.search",
        {"query": "email:'jenny@example.com' AND metadata['a']:'1'"},
        sees={"data.0.id": "$jenny.id"},
    ),
    do(
        "payment_methods.create",
        {"type": "card", "card": {"token": "tok_visa"}},
        sees={"card.last4": "4242", "card.brand": "visa", "customer": None},
        called="card",
    ),
    do(
        "payment_methods.attach $card.id",
        {"customer": "$jenny.id"},
        sees={"customer": "$jenny.id"},
    ),
    do("customers.payment_methods.list $jenny.id", sees={"data.#": 1, "data.0.id": "$card.id"}),
    do(
        "customers.update $jenny.id",
        {"invoice_settings": {"default_payment_method": "$card.id"}},
        sees={"invoice_settings.default_payment_method": "$card.id"},
    ),
    do(
        "customers.retrieve $jenny.id",
        {"expand": ["invoice_settings.default_payment_method"]},
        sees={"invoice_settings.default_payment_method.card.last4": "4242"},
    ),
    do("payment_methods.detach $card.id", sees={"customer": None}),
    fail(
        "payment_methods.attach pm_card_visa_chargeDeclined",
        {"customer": "$jenny.id"},
        sees={"class": "CardError", "code": "card_declined", "status": 402},
    ),
    do("customers.create", {"name": "One"}),
    do("customers.create", {"name": "Two"}, called="two"),
    do("customers.list", {"limit": 1}, sees={"data.0.id": "$two.id", "has_more": True}),
    do("all customers.list", {"limit": 2}, sees={"data.#": 3, "data.2.id": "$jenny.id"}),
    fail(
        "customers.list",
        {"starting_after": "cus_none"},
        sees={"code": "resource_missing", "param": "starting_after", "status": 400},
    ),
    do("customers.delete $jenny.id", sees={"deleted": True, "id": "$jenny.id"}),
    do("customers.retrieve $jenny.id", sees={"deleted": True, "email": None}),
    fail(
        "customers.update $jenny.id",
        {"name": "Nobody"},
        sees={"class": "InvalidRequestError", "code": "resource_missing", "status": 404},
    ),
]

CARD = do(
    "payment_methods.create",
    {"type": "card", "card": {"token": "tok_visa"}, "billing_details": {"name": "Jenny"}},
    called="card",
)


CHECKOUT = [
    CARD,
    do(
        "checkout.sessions.create",
        {
            "mode": "payment",
            "success_url": "https://shop.example/thanks?id={CHECKOUT_SESSION_ID}",
            "client_reference_id": "order-7",
            "metadata": {"order": "7"},
            "payment_intent_data": {"metadata": {"order": "7"}},
            "line_items": [
                {
                    "price_data": {
                        "currency": "usd",
                        "unit_amount": 1500,
                        "product_data": {"name": "Box"},
                    },
                    "quantity": 2,
                }
            ],
        },
        sees={
            "id": "~^cs_test_",
            "status": "open",
            "payment_status": "unpaid",
            "amount_total": 3000,
            "payment_intent": None,
            "url": "~^http",
        },
        called="session",
    ),
    do(
        "checkout.sessions.line_items.list $session.id",
        sees={"data.#": 1, "data.0.quantity": 2, "data.0.amount_total": 3000},
    ),
    do("GET /v1/payment_pages/{$session.id}", sees={"session_id": "$session.id"}),
    do(
        "POST /v1/payment_pages/{$session.id}/confirm",
        {"payment_method": "$card.id", "expected_amount": 3000},
        sees={"status": "complete"},
    ),
    do(
        "checkout.sessions.retrieve $session.id",
        {"expand": ["payment_intent.latest_charge", "line_items"]},
        sees={
            "status": "complete",
            "payment_status": "paid",
            "url": None,
            "client_reference_id": "order-7",
            "payment_intent.status": "succeeded",
            "payment_intent.amount_received": 3000,
            "payment_intent.metadata": {"order": "7"},
            "payment_intent.latest_charge.paid": True,
            "line_items.data.0.description": "Box",
        },
        called="paid",
    ),
    do(
        "checkout.sessions.list",
        {"payment_intent": "$paid.payment_intent.id"},
        sees={"data.#": 1, "data.0.id": "$session.id"},
    ),
    fail(
        "checkout.sessions.expire $session.id",
        sees={"class": "InvalidRequestError", "status": 400},
    ),
    do(
        "checkout.sessions.create",
        {
            "mode": "subscription",
            "success_url": "https://shop.example/thanks",
            "subscription_data": {"metadata": {"plan": "box"}},
            "line_items": [
                {
                    "price_data": {
                        "currency": "usd",
                        "unit_amount": 900,
                        "recurring": {"interval": "month"},
                        "product_data": {"name": "Box of the month"},
                    },
                    "quantity": 1,
                }
            ],
        },
        sees={"status": "open", "subscription": None, "amount_total": 900},
        called="joining",
    ),
    do(
        "POST /v1/payment_pages/{$joining.id}/confirm",
        {"payment_method": "$card.id", "expected_amount": 900},
    ),
    do(
        "checkout.sessions.retrieve $joining.id",
        {"expand": ["subscription.latest_invoice"]},
        sees={
            "status": "complete",
            "payment_status": "paid",
            "payment_intent": None,
            "customer": "~^cus_",
            "subscription.status": "active",
            "subscription.metadata": {"plan": "box"},
            "subscription.latest_invoice.status": "paid",
            "subscription.latest_invoice.amount_paid": 900,
        },
        called="joined",
    ),
    do(
        "checkout.sessions.create",
        {"mode": "setup", "currency": "usd", "success_url": "https://shop.example/thanks"},
        sees={"status": "open", "payment_status": "no_payment_required", "amount_total": None},
        called="setup",
    ),
    CARD,
    do(
        "POST /v1/payment_pages/{$setup.id}/confirm",
        {"payment_method": "$card.id", "expected_amount": 0},
        sees={"status": "complete"},
    ),
    do(
        "checkout.sessions.retrieve $setup.id",
        {"expand": ["setup_intent"]},
        sees={
            "status": "complete",
            "payment_status": "no_payment_required",
            "setup_intent.status": "succeeded",
            "setup_intent.payment_method": "$card.id",
        },
    ),
    do(
        "checkout.sessions.create",
        {"mode": "setup", "currency": "usd", "success_url": "https://shop.example/thanks"},
        called="left",
    ),
    do("checkout.sessions.expire $left.id", sees={"status": "expired", "url": None}),
    do(
        "events.list",
        {"types": ["checkout.session.completed", "checkout.session.expired"]},
        sees={
            "data.#": 4,
            "data.0.type": "checkout.session.expired",
            "data.3.data.object.id": "$session.id",
            "data.3.data.object.payment_status": "paid",
        },
    ),
]

SETTING_UP = [
    do("customers.create", {"name": "Jenny"}, called="jenny"),
    do(
        "setup_intents.create",
        {"customer": "$jenny.id"},
        sees={
            "status": "requires_payment_method",
            "usage": "off_session",
            "client_secret": "~_secret_",
        },
        called="intent",
    ),
    do(
        "setup_intents.confirm $intent.id",
        {"payment_method": "pm_card_visa", "return_url": "https://shop.example"},
        sees={"status": "succeeded", "payment_method": "~^pm_"},
        called="done",
    ),
    do(
        "customers.payment_methods.list $jenny.id",
        sees={"data.#": 1, "data.0.id": "$done.payment_method"},
    ),
    do(
        "setup_intents.create",
        {
            "confirm": True,
            "payment_method": "pm_card_authenticationRequired",
            "return_url": "https://shop.example",
        },
        sees={"status": "requires_action", "next_action.type": "redirect_to_url"},
        called="waiting",
    ),
    do(
        "setup_intents.cancel $waiting.id",
        {"cancellation_reason": "abandoned"},
        sees={"status": "canceled", "cancellation_reason": "abandoned"},
    ),
    fail(
        "setup_intents.create",
        {
            "confirm": True,
            "payment_method": "pm_card_chargeDeclined",
            "return_url": "https://shop.example",
        },
        sees={"class": "CardError", "code": "card_declined", "decline_code": "generic_decline"},
    ),
    do(
        "setup_intents.list",
        {"limit": 1},
        sees={
            "data.0.status": "requires_payment_method",
            "data.0.last_setup_error.code": "card_declined",
        },
    ),
]

PORTAL = [
    do("customers.create", {"name": "Jenny"}, called="jenny"),
    do(
        "billing_portal.configurations.create",
        {
            "business_profile": {"headline": "Yours"},
            "features": {
                "invoice_history": {"enabled": True},
                "payment_method_update": {"enabled": True},
            },
        },
        sees={
            "active": True,
            "features.invoice_history.enabled": True,
            "features.subscription_cancel.enabled": False,
        },
        called="configuration",
    ),
    do(
        "billing_portal.sessions.create",
        {
            "customer": "$jenny.id",
            "configuration": "$configuration.id",
            "return_url": "https://shop.example/account",
        },
        sees={
            "url": "~^http",
            "customer": "$jenny.id",
            "return_url": "https://shop.example/account",
        },
    ),
    do("billing_portal.configurations.list", {"active": True}, sees={"data.0.active": True}),
    do(
        "billing_portal.configurations.update $configuration.id",
        {"default_return_url": "https://shop.example"},
        sees={"default_return_url": "https://shop.example"},
    ),
    fail(
        "billing_portal.sessions.create",
        {"customer": "cus_none"},
        sees={"code": "resource_missing", "param": "customer"},
    ),
]

ENDPOINTS = [
    do(
        "webhook_endpoints.create",
        {
            "url": "https://shop.example/hook",
            "enabled_events": ["customer.created"],
            "api_version": "2026-10-28.endive",
        },
        sees={
            "secret": "~^whsec_",
            "status": "enabled",
            "api_version": "2026-10-28.endive",
            "enabled_events": ["customer.created"],
        },
        called="endpoint",
    ),
    do("webhook_endpoints.retrieve $endpoint.id", sees={"secret": None, "status": "enabled"}),
    do("webhook_endpoints.update $endpoint.id", {"disabled": True}, sees={"status": "disabled"}),
    do(
        "customers.create",
        {"name": "Jenny"},
        idempotency_key="walk-jenny",
        called="jenny",
    ),
    do(
        "events.list",
        {"type": "customer.*"},
        sees={
            "data.#": 1,
            "data.0.pending_webhooks": 0,
            "data.0.request.idempotency_key": "walk-jenny",
            "data.0.data.object.id": "$jenny.id",
        },
        called="events",
    ),
    do(
        "events.retrieve $events.data.0.id",
        sees={"type": "customer.created", "object": "event", "livemode": False},
    ),
    fail(
        "webhook_endpoints.create",
        {"url": "https://shop.example/hook", "enabled_events": ["payment_intent.failed"]},
        sees={"class": "InvalidRequestError", "param": "enabled_events[0]"},
    ),
    do("webhook_endpoints.delete $endpoint.id", sees={"deleted": True}),
    fail("webhook_endpoints.retrieve $endpoint.id", sees={"status": 404}),
]
