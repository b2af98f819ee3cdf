// The admin's page of numbers: GET /financial/admin/dashboard, drawn.

import { as, money } from "./api.js";
import { bar, percent, share, table } from "./drawing.js";
import { $, complain, make, whenSeen } from "./page.js";

const call = as("admin-token"); // exists in the development stack alone
const DAY = 864e5;
const count = (number) => new Intl.NumberFormat().format(number);
const words = (name) => name.replaceAll("_", " ");
const title = (name) => words(name).replace(/^./, (first) => first.toUpperCase());
const day = (time) => new Intl.DateTimeFormat(undefined, { dateStyle: "medium" }).format(new Date(time));
const nothing = (text) => make("p", { className: "soft" }, text);

/** Amounts of several currencies: one beside the other, never added up. */
const sums = (entries, amount) => entries.map((entry) => money(amount(entry), entry.currency)).join(" + ");
const monthly = (mrr) => sums(mrr, (entry) => entry.mrr) || "–";

// ---- at a glance

function glance({ subscriptions: all, payments, credits, disputes }) {
  const unknown = all.mrr_unknown ? ` (and ${count(all.mrr_unknown)} not fixed)` : "";
  return [
    [`MRR${unknown}`, monthly(all.mrr)],
    ["Active", count(all.active)],
    ["On trial", count(all.trialing)],
    ["Past due", count(all.past_due), all.past_due ? "bad" : ""],
    ["Churn", percent(all.churn.rate)],
    ["Trials that paid", percent(all.trials.rate)],
    ["Payments that succeeded", percent(payments.outcomes.success_rate)],
    ["Credits outstanding", count(credits.outstanding)],
    ["Disputes to answer", count(disputes.needs_response), disputes.needs_response ? "bad" : ""],
  ];
}

function card([name, figure, tone = ""]) {
  const item = make("li", {}, make("span", {}, name), make("b", {}, figure));
  item.dataset.tone = tone;
  return item;
}

// ---- revenue

function revenue({ revenue: entries }) {
  if (!entries.length) return [nothing("Nobody has paid in this window.")];
  const columns = ["Currency", "Total", "Orders", "Customers", "Average order"];
  const rows = entries.map((one) => [
    one.currency.toUpperCase(),
    money(one.total_revenue, one.currency),
    count(one.orders),
    count(one.customer_count),
    one.average_order_value === null ? "–" : money(one.average_order_value, one.currency),
  ]);
  return [...entries.map(split), table("Revenue by currency", columns, rows)];
}

function split({ currency, subscription_revenue: plans, one_time_revenue: once }) {
  return share(`Where ${currency.toUpperCase()} comes from`, [
    { label: "Subscriptions", amount: plans, text: money(plans, currency), tone: "a" },
    { label: "One-time", amount: once, text: money(once, currency), tone: "b" },
  ]);
}

// ---- plans

const PLAN = ["Plan", "Compared", "MRR", "Active", "On trial", "Past due", "Started", "Ended", "Churn", "Trials that paid", "Checkouts done"];

function plans({ plans: all, subscriptions }) {
  if (!all.length) return [nothing("Nobody has a plan yet.")];
  const most = {};
  for (const { currency, mrr } of all.flatMap((plan) => plan.mrr)) most[currency] = Math.max(most[currency] ?? 0, mrr);
  const { started, canceled, checkouts, trials, churn } = subscriptions;
  const together = make("p", { className: "soft" }, [
    `${count(started)} started, ${count(canceled)} ended`,
    `${count(churn.customers_lost)} of ${count(churn.customers_at_start)} customers lost`,
    `${count(trials.converted)} of ${count(trials.ended)} trials paid`,
    `${count(checkouts.completed)} of ${count(checkouts.opened)} checkouts done (${percent(checkouts.rate)})`,
  ].join(" · "));
  return [together, table("Plans", PLAN, all.map((plan) => planRow(plan, most)))];
}

function planRow(plan, most) {
  const [first] = plan.mrr;
  return [
    plan.name ?? plan.lookup_key ?? plan.price,
    bar(first ? [{ amount: first.mrr, tone: "a" }] : [], first ? most[first.currency] : 0),
    monthly(plan.mrr),
    ...[plan.active, plan.trialing, plan.past_due, plan.started, plan.canceled].map(count),
    percent(plan.churn_rate),
    percent(plan.trials.rate),
    percent(plan.checkouts.rate),
  ];
}

// ---- payments

function payments({ payments: all }) {
  const tones = { succeeded: "b", failed: "c", canceled: "d", open: "a" };
  const ends = Object.entries(tones).map(([name, tone]) => ({ label: title(name), tone, amount: all.outcomes[name], text: count(all.outcomes[name]) }));
  if (!all.currencies.length) return [share("How payments ended", ends), nothing("No money has moved in this window.")];
  const columns = ["Currency", "Payments", "Gross", "Stripe's fees", "Refunds", "Disputes", "Net"];
  const rows = all.currencies.map((one) => [
    one.currency.toUpperCase(),
    count(one.total_payments),
    ...[one.total_amount, one.fees, one.refunds.amount, one.disputes.amount, one.net].map((amount) => money(amount, one.currency)),
  ]);
  const tables = [table("Money by currency", columns, rows), methods(all.payment_methods)];
  if (all.refund_patterns.length) tables.push(refunds(all.refund_patterns));
  return [share("How payments ended", ends), ...tables];
}

const methods = (all) => table("Payment methods", ["Method", "Payments", "Gross"], all.map(
  ({ type, count: times, amount, currency }) => [title(type), count(times), money(amount, currency)],
));

const refunds = (all) => table("Refunds by reason", ["Reason of refunds", "State", "Refunds", "Amount"], all.map(
  ({ reason, status, count: times, amount, currency }) => [title(reason ?? "none given"), words(status ?? "–"), count(times), money(amount, currency)],
));

// ---- credits and disputes

const FLOWS = { granted: "b", spent: "a", expired: "d", clawed_back: "c", reinstated: "b", debt_added: "c", debt_paid: "b" };

function credits({ credits: all }) {
  const kinds = all.by_type.map(({ credit_type: type, credits: some }) => `${count(some)} of ${words(type)}`);
  const now = `Now: ${count(all.outstanding)} outstanding${kinds.length ? ` (${kinds.join(", ")})` : ""}, ${count(all.debt)} owed, ${count(all.waiting)} waiting for their user.`;
  const most = Math.max(...Object.keys(FLOWS).map((name) => all[name]));
  const rows = Object.entries(FLOWS).filter(([name]) => all[name]).map(
    ([name, tone]) => [title(name), bar([{ amount: all[name], tone }], most), count(all[name])],
  );
  return [nothing(now), ...(rows.length ? [table("Credits in the window", ["What", "Compared", "Credits"], rows)] : [])];
}

function disputes({ disputes: all }) {
  const told = `${count(all.opened)} opened in the window, ${count(all.won)} won and ${count(all.lost)} lost of them; ${count(all.open)} open now`;
  const due = all.next_deadline ? `, the next answer is due on ${day(all.next_deadline)}` : "";
  return [nothing(`${told}${due}.`)];
}

// ---- the page

function link([name, address]) {
  return make("a", { href: address, rel: "noreferrer" }, words(name));
}

function showLinks(links) {
  const all = Object.entries(links).map(link);
  $("links").replaceChildren(...all.flatMap((one, place) => place ? [", ", one] : [one]));
}

let looks = 0;

/** Shows a window's numbers, unless another one has been chosen meanwhile. */
async function show() {
  const look = ++looks;
  const days = Number($("window").elements.days.value);
  $("numbers").setAttribute("aria-busy", "true");
  try {
    const start = new Date(Date.now() - days * DAY).toISOString();
    const numbers = await call("GET", `/financial/admin/dashboard?start=${encodeURIComponent(start)}`);
    if (look !== looks) return;
    $("when").textContent = `${day(numbers.start)} to ${day(numbers.end)}; states and outstanding credits are today's.`;
    $("cards").replaceChildren(...glance(numbers).map(card));
    for (const section of [revenue, plans, payments, credits, disputes]) $(section.name).replaceChildren(...section(numbers));
    showLinks(numbers.payments.links);
  } catch (error) {
    complain(error);
  } finally {
    if (look === looks) $("numbers").removeAttribute("aria-busy");
  }
}

const asked = new URLSearchParams(location.search).get("days");
const choices = [...$("window").elements.days];
(choices.find(({ value }) => value === asked) ?? choices[1]).checked = true;
$("window").addEventListener("change", () => {
  history.replaceState(null, "", `?days=${$("window").elements.days.value}`);
  show();
});
whenSeen(show);
await show();
