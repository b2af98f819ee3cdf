// Plans and credits: what is for sale, what I have, and what I may do about it.

import { USER, call, checkout, leave, money, paid, pause } from "./api.js";
import { $, busy, complain, copy, draw, make, notify, returned, whenSeen } from "./page.js";
import { askToChange } from "./changing.js";

const MINE = `/financial/subscriptions/${USER}/summary`;
const CREDITS = `/financial/credits/${USER}`;
const count = (number) => new Intl.NumberFormat().format(number);
const words = (name) => name.replaceAll("_", " ");
const day = (time) => new Intl.DateTimeFormat(undefined, { dateStyle: "medium" }).format(new Date(time));
const minute = (time) => new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "short" }).format(new Date(time));

// ---- what is for sale

function every({ interval, interval_count: times }) {
  if (!interval) return "once";
  return times === 1 ? `a ${interval}` : `every ${times} ${interval}s`;
}

function offer({ product, price, held }) {
  const [item, part] = copy("offer");
  const mine = held?.plans.some((plan) => plan.price === price.id);
  const trial = product.trial_days;
  part("name").textContent = product.name;
  part("price").textContent = `${price.amount} ${every(price)}`;
  part("mine").hidden = !mine;
  part("brings").append(
    ...(product.credits ? [make("li", {}, make("b", {}, count(product.credits)), " credits")] : []),
    ...(trial ? [make("li", {}, `${trial} days free, once`)] : []),
    ...product.feature_flags.map((name) => make("li", {}, words(name))),
  );
  if (!mine) part("actions").append(buyButton(product, price, held));
  return item;
}

function buyButton(product, price, held) {
  const said = !price.interval ? "Buy" : held ? "Change to" : "Subscribe to";
  const button = make("button", { className: price.interval && !held ? "primary" : "" }, said.split(" ")[0]);
  button.setAttribute("aria-label", `${said} ${product.name}`);
  button.addEventListener("click", () => busy(button, complain, async () => {
    if (price.interval && held) return askToChange({ subscription: held.id, product, price, every: every(price), done: changed });
    await checkout({ product_id: price.id });
  }));
  return button;
}

function showOffers(products, living) {
  const offers = products.flatMap((product) => product.prices.map((price) => ({
    product,
    price,
    held: price.interval && living.find(({ plans }) => plans.some(({ group }) => group === (product.plan_group ?? "default"))),
  })));
  offers.sort((a, b) => a.price.unit_amount - b.price.unit_amount);
  draw($("plans"), offers.filter(({ price }) => price.interval), (some) => some.map(offer));
  draw($("packs"), offers.filter(({ product, price }) => !price.interval && product.credits), (some) => some.map(offer));
  $("plans").removeAttribute("aria-busy");
}

// ---- what I have

function mine({ subscriptions, entitlements, next_invoice: next }) {
  if (!subscriptions.length) {
    return [make("h3", {}, "No plan"), make("p", { className: "soft" }, "Choose one; its credits appear here by themselves.")];
  }
  const first = subscriptions.find(({ entitled }) => entitled) ?? subscriptions[0]; // whose invoice is next
  const chips = make("ul", { className: "chips" }, ...entitlements.map((name) => make("li", {}, words(name))));
  chips.setAttribute("aria-label", "What I may use");
  return [...subscriptions.map((one) => held(one, one === first ? next : null)), chips];
}

function held(subscription, next) {
  const { plans: [plan], status, cancel_at_period_end: ending, current_period_end: end } = subscription;
  const [item, part] = copy("held");
  part("name").textContent = plan.name ?? plan.price;
  part("what").textContent = plan.amount ? `${plan.amount} ${every(plan)}` : "";
  part("state").dataset.state = status;
  part("state").textContent = words(status);
  part("until").textContent = ending ? "Ends on" : "Renews on";
  part("end").textContent = end ? day(end) : "–";
  part("next").hidden = !next;
  if (next) part("invoice").textContent = `${next.amount}${next.at ? ` on ${day(next.at)}` : ""}`;
  part("actions").append(...acts(subscription));
  return item;
}

function acts(subscription) {
  const here = `/stripe/subscriptions/${subscription.id}`;
  const act = (label, method, path, said) => actButton(label, async () => {
    await call(method, here + path);
    notify("good", said);
    await watch();
  });
  const { status, cancel_at_period_end: ending } = subscription;
  const offered = [];
  if (["past_due", "unpaid"].includes(status)) offered.push(act("Pay what is overdue", "POST", "/retry-payment", "Paid."));
  if (status === "paused") offered.push(act("Go on", "POST", "/resume", "Your plan goes on."));
  else if (ending) offered.push(act("Keep the plan", "POST", "/resume", "You keep your plan."));
  else offered.push(act("Cancel the plan", "DELETE", "", "Canceled. What is paid for stays until it ends."));
  return offered;
}

async function openPortal() {
  const link = await call("POST", "/stripe/portal-link", { return_url: location.origin + location.pathname });
  await leave(link.url);
}

function actButton(label, work) {
  const button = make("button", { type: "button" }, label);
  button.addEventListener("click", () => busy(button, complain, work));
  return button;
}

const KINDS = { grant: "granted", spend: "spent", expiry: "ended", claw_back: "taken back", reinstatement: "given back", debt: "owed", debt_payment: "debt paid" };
const CAUSES = { invoice: "a plan", payment: "a pack" };

function entryRow({ kind, reason, source, amount, created_at: at }) {
  const cause = reason ?? CAUSES[source.split(":")[0]];
  const signed = new Intl.NumberFormat(undefined, { signDisplay: "exceptZero" }).format(amount);
  const figure = make("td", {}, signed);
  figure.dataset.sign = Math.sign(amount);
  const what = `${KINDS[kind] ?? words(kind)}${cause ? `: ${cause}` : ""}`;
  return make("tr", {}, make("td", {}, what), make("td", {}, minute(at)), figure);
}

function showCredits({ balance, debt, data }) {
  $("balance").textContent = count(balance);
  $("debt").textContent = `${count(debt)} owed`;
  $("debt").hidden = !debt;
  $("none").hidden = data.length > 0;
  draw($("entries"), data, (entries) => entries.map(entryRow));
}

async function spend(event) {
  event.preventDefault();
  const form = event.currentTarget;
  const problem = form.querySelector("[data-part=problem]");
  const key = (form.dataset.key ??= crypto.randomUUID()); // a repeated click spends once
  const refuse = ({ message }) => Object.assign(problem, { textContent: message, hidden: false });
  problem.hidden = true;
  await busy(form.querySelector("button"), refuse, async () => {
    const wish = { amount: Number(form.elements.amount.value), reason: "a picture" };
    const moved = await call("POST", `${CREDITS}/spend`, wish, { "Idempotency-Key": key });
    delete form.dataset.key;
    notify("good", `Spent ${count(wish.amount)} credits; ${count(moved.balance)} are left.`);
    await show();
  });
}

// ---- the page

let looks = 0;

/** Shows what is true now, unless a later look has begun meanwhile. */
async function show() {
  const look = ++looks;
  try {
    const asked = ["/stripe/products", MINE, `${CREDITS}?limit=5`].map((path) => call("GET", path));
    const [products, summary, credits] = await Promise.all(asked);
    if (look !== looks) return;
    showOffers(products.data, summary.subscriptions);
    draw($("plan"), summary, mine);
    showCredits(credits);
    $("plan").removeAttribute("aria-busy");
  } catch (error) {
    complain(error);
  }
}

let watches = 0;

/** Looks now; and again for a while, for what Stripe's events bring a little later. */
async function watch() {
  const own = ++watches;
  await show();
  (async () => {
    for (let wait = 500; wait < 10_000 && own === watches; wait *= 1.5) {
      await pause(wait);
      await show();
    }
  })();
}

async function changed(text) {
  notify("good", text);
  await watch();
}

async function comeBack() {
  const query = returned();
  if (query.has("canceled")) notify("info", "Nothing was charged.");
  if (!query.has("session_id")) return show();
  notify("wait", "Your payment is being confirmed …");
  const [state] = await Promise.all([paid(query.get("session_id")), show()]);
  const sum = state.amount_cents ? `Paid ${money(state.amount_cents, state.currency)}.` : "Nothing is to be paid now.";
  await changed(`${sum} What it brings appears below by itself.`);
}

$("spend").addEventListener("submit", spend);
$("spend").addEventListener("input", (event) => delete event.currentTarget.dataset.key);
$("portal").addEventListener("click", () => busy($("portal"), complain, openPortal));
whenSeen(show);
await comeBack().catch(complain);
