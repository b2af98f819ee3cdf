"""Many payments of other people, each with all that can hang on one."""

CROWD = """
insert into bookings (id, user_id, currency, total_cents, deposit_cents)
select 'bk_' || n, 'u-' || n, 'usd', 44000, 10000 from generate_series(1, {n}) n;
insert into customer_links (key, user_id, stripe_customer_id, reserved_at)
select gen_random_uuid(), 'u-' || n, 'cus_' || n, now() from generate_series(1, {n}) n;
insert into stripe.payment_intents (id, account, livemode, phase, ticket, created_at, updated_at,
    status, amount, amount_received, currency, customer, reference)
select 'pi_' || n, 'a', false, 2, n, now() - n * interval '1 s', now(), 'succeeded', 10000, 10000,
    'usd', 'cus_' || n, 'booking:bk_' || n from generate_series(1, {n}) n;
insert into stripe.checkout_sessions (id, account, livemode, phase, ticket, created_at, updated_at,
    status, payment_status, mode, customer, payment_intent, reference, expires_at)
select 'cs_' || n, 'a', false, 3, n, now() - n * interval '1 s', now(), 'complete', 'paid',
    'payment', 'cus_' || n, 'pi_' || n, 'booking:bk_' || n, now() from generate_series(1, {n}) n;
insert into stripe.refunds (id, account, livemode, phase, ticket, created_at, updated_at, status,
    amount, currency, payment_intent)
select 're_' || n, 'a', false, 1, n, now() - n * interval '1 s', now(), 'succeeded', 100, 'usd',
    'pi_' || n from generate_series(1, {n}) n;
insert into stripe.disputes (id, account, livemode, phase, ticket, created_at, updated_at, status,
    amount, currency, payment_intent, balance_effect)
select 'dp_' || n, 'a', false, 0, n, now() - n * interval '1 s', now(), 'lost', 100, 'usd',
    'pi_' || n, 0 from generate_series(1, {n}) n;
insert into open_payables (id, reference, slot, form, purpose, fingerprint, params, stripe_id,
    reserved_at, closed_at)
select gen_random_uuid(), 'booking:bk_' || n, 'due', 'checkout_session', 'deposit', 'f', '{{}}',
    'cs_' || n, now(), now() from generate_series(1, {n}) n;
insert into refund_requests (id, payment_intent, amount, currency, params, requested_by,
    requested_at, updated_at, state, stripe_id)
select gen_random_uuid(), 'pi_' || n, 100, 'usd', '{{}}', 'boss', now(), now(), 'succeeded',
    're_' || n from generate_series(1, {n}) n;
insert into stripe_events (id, type, resource, object_id, received_at, done_at, outcome)
select 'evt_' || n, 'payment_intent.succeeded', 'payment_intent', 'pi_' || n,
    now() - n * interval '1 s', now(), 'applied' from generate_series(1, {n}) n;
insert into outbox (id, template, audience, about, facts, caused_at, received_at)
select 'payment_failed:' || n, 'payment_failed', 'customer', 'pi_' || n, '{{}}', now(),
    now() - n * interval '1 s' from generate_series(1, {n}) n;
insert into audit_log (actor, role, act, subject, details)
select 'u', 'user', 'refund.requested', 'pi_' || n, '{{}}' from generate_series(1, {n}) n;
insert into stripe_calls (at, method, path, object_id, payment_intent, reservation, status,
    replayed, milliseconds)
select now() - n * interval '1 s', 'POST', '/v1/refunds', 're_' || n, 'pi_' || n, n::text, 200,
    false, 300 from generate_series(1, {n}) n;
insert into stripe.products (id, account, livemode, phase, ticket, created_at, updated_at, name)
select 'prod_' || n, 'a', false, 0, n, now(), now(), 'Plan ' || n from generate_series(1, {n}) n;
insert into stripe.prices (id, account, livemode, phase, ticket, created_at, updated_at, product)
select 'price_' || n, 'a', false, 0, n, now(), now(), 'prod_' || n from generate_series(1, {n}) n;
insert into stripe.subscriptions (id, account, livemode, phase, ticket, created_at, updated_at,
    status, customer, items)
select 'sub_' || n, 'a', false, 0, n, now() - n * interval '1 s', now(), 'active', 'cus_' || n,
    jsonb_build_array(jsonb_build_object('price', 'price_' || n)) from generate_series(1, {n}) n;
insert into stripe.invoices (id, account, livemode, phase, ticket, created_at, updated_at, status,
    customer, subscription, currency, total)
select 'in_' || n, 'a', false, 3, n, now() - n * interval '1 s', now(), 'paid', 'cus_' || n,
    'sub_' || n, 'usd', 100 from generate_series(1, {n}) n;
insert into stripe.invoice_payments (id, account, livemode, phase, ticket, created_at, updated_at,
    status, invoice, payment_intent, currency)
select 'inpay_' || n, 'a', false, 1, n, now(), now(), 'paid', 'in_' || n, 'pi_' || n, 'usd'
    from generate_series(1, {n}) n;
insert into audit_log (actor, role, act, subject, details)
select 'system', 'system', 'subscription.recomputed', 'sub_' || n, jsonb_build_object('before',
    null, 'status', 'active', 'items', jsonb_build_array(jsonb_build_object('price', 'price_' || n))
    ) from generate_series(1, {n}) n;
set session_replication_role = replica; -- the triggers of the ledger are slow, and not asked here
insert into credit_accounts (user_id, created_at)
select 'u-' || n, now() from generate_series(1, {n}) n;
insert into credit_lots (user_id, source, credit_type, granted, target, basis, created_at)
select 'u-' || n, 'payment:pi_' || n, 'payg', 1, 1, '{{}}', now() from generate_series(1, {n}) n;
insert into credit_entries (user_id, source, n, cause, kind, amount, balance_after, debt_after, lot,
    metadata, principal, created_at)
select user_id, source, 1, source, 'grant', 1, 1, 0, id, '{{}}', 'system', now() from credit_lots;
set session_replication_role = origin
"""
