// The demo shop: what a front end does with this API, and nothing that only a demo could do.

import { call, checkout, money, paid, until } from "./api.js";
import { $, busy, complain, copy, notify, returned, whenSeen } from "./page.js";

function when(booking) {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });
  return format.format(new Date(`${booking.date}T${booking.time}`));
}

// ---- my bookings

const WHAT_IS_DUE = {
  pending: [["deposit", "Pay deposit"], ["full", "Pay in full"]],
  confirmed: [["balance", "Pay the rest"]],
};

function amountOf(purpose, booking) {
  return purpose === "deposit" ? Math.min(booking.deposit_cents, booking.due_cents) : booking.due_cents;
}

function payButtons(booking) {
  const offers = (WHAT_IS_DUE[booking.state] ?? []).filter(([purpose]) => amountOf(purpose, booking) > 0);
  return offers.map(([purpose, label], place) => {
    const button = document.createElement("button");
    button.textContent = `${label} · ${money(amountOf(purpose, booking), booking.currency)}`;
    button.className = place === 0 ? "primary" : "";
    button.addEventListener("click", () => pay(booking, purpose, button));
    return button;
  });
}

function card(booking) {
  const [item, part] = copy("booking");
  item.dataset.booking = booking.id;
  part("when").textContent = when(booking);
  part("what").textContent = `${booking.guests} guests, ${booking.menu} menu, ${booking.location}`;
  part("state").textContent = part("state").dataset.state = booking.state;
  part("total").textContent = money(booking.total_cents, booking.currency);
  part("paid").textContent = money(booking.paid_cents, booking.currency);
  part("due").textContent = money(booking.due_cents, booking.currency);
  const share = Math.min(1, booking.paid_cents / booking.total_cents) || 0;
  item.querySelector(".meter span").style.width = `${share * 100}%`;
  item.querySelector(".meter").setAttribute("aria-label", `${Math.round(share * 100)} % paid`);
  part("actions").append(...payButtons(booking));
  return item;
}

async function show() {
  const list = $("bookings");
  try {
    const { data } = await call("GET", "/bookings?limit=20");
    list.replaceChildren(...data.map(card));
    $("none").hidden = data.length > 0;
  } catch (error) {
    complain(error);
  }
  list.removeAttribute("aria-busy");
}

// ---- booking and paying

const CONFIRMING = "Your payment is being confirmed …";

async function showMenus() {
  const { data } = await call("GET", "/stripe/products");
  const prices = data.flatMap((product) => product.prices.map((price) => ({ ...price, product })));
  const menus = prices.filter((price) => price.lookup_key?.startsWith("menu_"));
  menus.sort((a, b) => a.unit_amount - b.unit_amount);
  $("menus").replaceChildren(...menus.map(menuChoice));
  ($("menus").querySelector("[value=adult]") ?? $("menus").querySelector("input"))?.click();
  $("menus").closest("form").querySelector("[type=submit]").disabled = menus.length === 0;
}

function menuChoice({ lookup_key, amount, product }) {
  const [choice] = copy("menu");
  choice.querySelector("input").value = lookup_key.replace("menu_", "");
  choice.querySelector("b").textContent = `${amount} a guest`;
  choice.querySelector("em").textContent = product.name;
  choice.querySelector("small").textContent = product.description ?? "";
  return choice;
}

async function book(event) {
  event.preventDefault();
  const form = event.currentTarget;
  const wish = Object.fromEntries(new FormData(form));
  $("problem").hidden = true;
  const key = (form.dataset.key ??= crypto.randomUUID()); // a repeated click books once
  await busy(form.querySelector("button"), refuse, async () => {
    const booking = await call("POST", "/bookings", { ...wish, guests: Number(wish.guests) }, { "Idempotency-Key": key });
    delete form.dataset.key;
    notify("good", `Booked: ${when(booking)} for ${money(booking.total_cents, booking.currency)}. The deposit holds the date.`);
    await show();
    document.querySelector(`[data-booking="${booking.id}"] button`)?.focus();
  });
}

async function pay(booking, purpose, button) {
  $("problem").hidden = true;
  await busy(button, complain, async () => {
    if ($("here").checked) return payHere(booking, purpose);
    await checkout({ booking_id: booking.id, payment_type: purpose });
  });
}

async function payHere(booking, purpose) {
  const { publishable_key, stripe_js } = await call("GET", "/stripe/config");
  if (!publishable_key) throw new Error("The server has no STRIPE_PUBLISHABLE_KEY.");
  await script(stripe_js);
  const payment = await call("POST", "/stripe/create-payment-intent", { booking_id: booking.id, payment_type: purpose });
  const stripe = Stripe(publishable_key);
  const elements = stripe.elements({ clientSecret: payment.client_secret, appearance: appearance() });
  const [form] = copy("payment");
  const [submit, later] = form.querySelectorAll("button");
  const element = elements.create("payment");
  submit.textContent = `Pay ${money(payment.amount_cents, payment.currency)}`;
  element.on("ready", () => { submit.disabled = false; element.focus(); });
  element.on("loaderror", ({ error }) => { show(); notify("bad", error.message); });
  later.addEventListener("click", show);
  form.addEventListener("submit", (event) => { event.preventDefault(); payWith(stripe, elements, payment, form); });
  document.querySelector(`[data-booking="${booking.id}"]`).append(form);
  element.mount(form.querySelector("[data-part=element]"));
}

async function payWith(stripe, elements, payment, form) {
  const problem = form.querySelector("[data-part=problem]");
  problem.hidden = true;
  const refuse = ({ message }) => Object.assign(problem, { textContent: message, hidden: false });
  await busy(form.querySelector("button"), refuse, async () => {
    const { error, paymentIntent } = await stripe.confirmPayment({
      elements,
      redirect: "if_required",
      confirmParams: { return_url: `${location.origin}/demo` },
    });
    if (error?.type === "validation_error") return; // the element says it itself
    if (error) throw error;
    form.remove();
    notify("wait", paymentIntent.status === "processing" ? "Your bank has been asked for the money …" : CONFIRMING);
    await follow(paymentIntent.id);
  });
}

function appearance() {
  const ours = getComputedStyle(document.documentElement);
  const variables = { colorPrimary: ours.getPropertyValue("--ember"), colorBackground: ours.getPropertyValue("--paper"), borderRadius: "10px" };
  return { theme: matchMedia("(prefers-color-scheme: dark)").matches ? "night" : "stripe", variables };
}

const scripts = {};

function script(src) {
  scripts[src] ??= new Promise((resolve, reject) => {
    const failed = () => { delete scripts[src]; reject(new Error(`${src} cannot be loaded.`)); };
    document.head.append(Object.assign(document.createElement("script"), { src, onload: resolve, onerror: failed }));
  });
  return scripts[src];
}

async function follow(intent) {
  await celebrate(await until(async () => {
    const payment = await call("GET", `/stripe/payments/${intent}`);
    return payment.status === "succeeded" && payment;
  }));
}

async function settle(session) {
  notify("wait", CONFIRMING);
  await celebrate(await paid(session));
}

async function celebrate(state) {
  const booking = await call("GET", `/bookings/${state.booking_id}`);
  notify("good", `Paid ${money(state.amount_cents, state.currency)}. Your booking is ${booking.state}.`);
  await show();
}

// ---- the page

function refuse(error) {
  $("problem").textContent = error.message;
  $("problem").hidden = false;
}

function comeBack() {
  const query = returned();
  if (query.has("session_id")) return settle(query.get("session_id")).catch(complain);
  if (query.get("redirect_status") === "failed") return notify("bad", "The payment has failed. Nothing was charged.");
  if (query.has("payment_intent")) return follow(query.get("payment_intent")).catch(complain);
  if (query.has("canceled")) notify("info", "Nothing was charged. The booking waits for you below.");
}

const date = document.querySelector("[name=date]");
const day = (ahead) => new Date(Date.now() + ahead * 864e5).toISOString().slice(0, 10);
date.min = day(1);
date.value = day(14);
$("book").addEventListener("submit", book);
$("book").addEventListener("input", (event) => delete event.currentTarget.dataset.key);
whenSeen(() => document.querySelector(".payment") || show());
await Promise.all([show(), comeBack(), showMenus().catch(complain)]);
