"use strict";

// The inside of an element: it keeps what is typed, and gives the shop's page a payment method for it.

const $ = (id) => document.getElementById(id);
const NUMBERS = { card: "Card number", us_bank_account: "Account number", sepa_debit: "IBAN" };
const EXPIRY = /^\s*(\d{1,2})\s*\/?\s*(?:20)?(\d{2})\s*$/;
const COLORS = { colorPrimary: "accent", colorBackground: "paper", colorText: "ink", colorDanger: "bad" };
const VARIABLES = { ...COLORS, borderRadius: "radius", fontFamily: "font" };
const FIELDS = [$("number"), $("expiry"), $("cvc")];
let port = null;
let key = "";

const chosen = () => document.querySelector("[name=type]:checked").value;
const digits = (id) => $(id).value.replace(/\D/g, "");
const say = (event, about) => port?.postMessage({ event, about });

function luhn(number) {
  const parts = [...number].reverse().map((digit, place) => Number(digit) * (place % 2 ? 2 : 1));
  return parts.reduce((sum, part) => sum + (part > 9 ? part - 9 : part), 0) % 10 === 0;
}

function expires() {
  const [, month, year] = EXPIRY.exec($("expiry").value) ?? [];
  return { month: Number(month), year: 2000 + Number(year) };
}

const past = {
  year: () => expires().year < new Date().getFullYear(),
  month: () => new Date(expires().year, expires().month) <= new Date(),
};

/** What may be wrong, in Stripe's words; the rules are asked in turn. */
const RULES = {
  card: [
    ["number", "incomplete_number", "Your card number is incomplete.", () => digits("number").length < 13],
    ["number", "invalid_number", "Your card number is invalid.", () => !luhn(digits("number"))],
    ["expiry", "incomplete_expiry", "Your card's expiration date is incomplete.", () => !expires().month],
    ["expiry", "invalid_expiry_month", "Your card's expiration date is invalid.", () => expires().month > 12],
    ["expiry", "invalid_expiry_year_past", "Your card's expiration year is in the past.", past.year],
    ["expiry", "invalid_expiry_month_past", "Your card's expiration date is in the past.", past.month],
    ["cvc", "incomplete_cvc", "Your card's security code is incomplete.", () => digits("cvc").length < 3],
  ],
  us_bank_account: [
    ["number", "incomplete_account_number", "Your account number is incomplete.", () => digits("number").length < 4],
  ],
  sepa_debit: [["number", "incomplete_iban", "Your IBAN is incomplete.", () => $("number").value.length < 15]],
};

function problem() {
  const [field, code, message] = RULES[chosen()].find(([, , , wrong]) => wrong()) ?? [];
  return field ? { field, error: { type: "validation_error", code, message } } : null;
}

function show(found) {
  $("problem").textContent = found?.error.message ?? "";
  $("problem").hidden = !found;
  for (const field of FIELDS) field.setAttribute("aria-invalid", String(field.id === found?.field));
}

function validate() {
  const found = problem();
  show(found);
  if (found) $(found.field).focus();
  return found ? { error: found.error } : { selectedPaymentMethod: chosen() };
}

function typed() {
  const number = $("number").value.replace(/[\s-]/g, "");
  const { month, year } = expires();
  return {
    card: { "card[number]": number, "card[exp_month]": month, "card[exp_year]": year, "card[cvc]": digits("cvc") },
    us_bank_account: {
      "us_bank_account[account_number]": number,
      "us_bank_account[routing_number]": "110000000",
      "us_bank_account[account_holder_type]": "individual",
    },
    sepa_debit: { "sepa_debit[iban]": number },
  }[chosen()];
}

const ANSWERS = {
  submit: validate,
  focus: () => $("number").focus(),
  blur: () => document.activeElement?.blur(),
  clear() {
    for (const field of FIELDS) field.value = "";
    show(null);
    changed();
  },
  async method(details) {
    const checked = validate();
    if (checked.error) return checked;
    const body = new URLSearchParams({ ...details, type: chosen(), ...typed() });
    const asked = { method: "POST", headers: { Authorization: `Bearer ${key}` }, body };
    try {
      return await (await fetch("/v1/payment_methods", asked)).json();
    } catch {
      return { error: { type: "api_connection_error", message: "The offline Stripe cannot be reached." } };
    }
  },
};

function changed() {
  const found = problem();
  const empty = FIELDS.every((field) => !field.value);
  if (!found) show(null);
  const error = empty ? undefined : found?.error;
  say("change", { complete: !found, empty, collapsed: false, value: { type: chosen() }, error });
}

function choose() {
  const type = chosen();
  document.querySelector("label[for=number]").textContent = NUMBERS[type];
  $("number").inputMode = type === "sepa_debit" ? "text" : "numeric";
  for (const part of document.querySelectorAll("[data-for]")) part.hidden = part.dataset.for !== type;
  ANSWERS.clear();
}

function appear({ theme, variables }) {
  document.documentElement.dataset.theme = theme ?? "stripe";
  for (const [name, own] of Object.entries(VARIABLES)) {
    if (variables[name]) document.documentElement.style.setProperty(`--${own}`, variables[name]);
  }
}

addEventListener("message", ({ source, data, ports }) => {
  if (source !== parent || port) return;
  [port] = ports;
  key = data.key;
  port.onmessage = async ({ data: { id, what, about } }) => {
    port.postMessage({ id, answer: await ANSWERS[what](about) });
  };
  appear(data);
  const known = Object.keys(NUMBERS);
  const wanted = known.filter((type) => data.types?.includes(type));
  const types = wanted.length ? wanted : known;
  for (const choice of document.querySelectorAll("[name=type]")) {
    choice.parentElement.hidden = !types.includes(choice.value);
    choice.checked = choice.value === types[0];
  }
  $("types").hidden = types.length < 2;
  choose();
  document.querySelector("main").hidden = false;
  new ResizeObserver(() => say("height", document.body.offsetHeight)).observe(document.body);
  say("ready");
});

$("types").addEventListener("change", choose);
for (const field of FIELDS) {
  field.addEventListener("input", changed);
  field.addEventListener("focus", () => say("focus"));
  field.addEventListener("blur", () => say("blur"));
}
for (const button of document.querySelectorAll("[data-number] button")) {
  button.addEventListener("click", () => {
    $("number").value = button.textContent;
    if (chosen() === "card") [$("expiry").value, $("cvc").value] = [$("expiry").value || "12 / 34", $("cvc").value || "123"];
    changed();
  });
}
