// How the demo's pages speak to the API: what a front end does, and nothing that only a demo could.

const API = "/api/v1";
export const USER = "dev-user"; // he and the tokens exist in the development stack alone
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A function that asks as the owner of a token; it throws what the server says of a refusal. */
export const as = (token) => async (method, path, body, headers = {}) => {
  let response;
  try {
    response = await fetch(API + path, {
      method,
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json", ...headers },
      body: body && JSON.stringify(body),
    });
  } catch {
    throw new Error("The server cannot be reached. Is the stack still running?");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.detail ?? answer.title ?? `The server says ${response.status}.`);
  return answer;
};

export const call = as("dev-token");

/** Asks until there is an answer, less often each time. */
export async function until(ask) {
  for (let wait = 400; ; wait = Math.min(wait * 1.3, 3000)) {
    const answer = await ask();
    if (answer) return answer;
    await pause(wait);
  }
}

/** What became of a payment page, once the server knows that it is paid. */
export const paid = (session) => until(async () => {
  const state = await call("GET", `/stripe/checkout-sessions/${session}`);
  if (state.status === "expired") throw new Error("This payment page has expired. Nothing was charged.");
  return state.paid && state;
});

/** Opens Stripe's page for something, and comes back to this one. */
export async function checkout(target) {
  const back = location.origin + location.pathname;
  const session = await call("POST", "/stripe/create-checkout-session", {
    ...target,
    success_url: `${back}?session_id={CHECKOUT_SESSION_ID}`,
    cancel_url: `${back}?canceled=1`,
  });
  await leave(session.url);
}

export async function leave(url) {
  location.assign(url);
  await pause(10_000); // the button stays busy while the browser leaves
}

const STRIPES_OWN = { isk: 2, ugx: 2, mga: 0 }; // where Stripe's minor units are not ISO's

export function money(amount, currency) {
  const style = { style: "currency", currency };
  const digits = STRIPES_OWN[currency] ?? new Intl.NumberFormat("en", style).resolvedOptions().maximumFractionDigits;
  const format = new Intl.NumberFormat(undefined, { ...style, minimumFractionDigits: digits, maximumFractionDigits: digits });
  return format.format(`${amount}e-${digits}`); // in text: no float loses a cent
}
