// Changing the plan: what it costs now is shown first, and exactly that is paid on a yes.

import { call, money } from "./api.js";
import { $, busy } from "./page.js";

export async function askToChange({ subscription, product, price, every, done }) {
  const path = `/stripe/subscriptions/${subscription}/change-plan`;
  const preview = await call("POST", path, { product_id: price.id, preview: true });
  const dialog = $("change");
  const part = (name) => dialog.querySelector(`[data-part=${name}]`);
  $("change-title").textContent = `Change to ${product.name}?`;
  part("cost").textContent = cost(preview);
  part("later").textContent = `From then on ${price.amount} ${every}.`;
  part("problem").hidden = true;
  part("later-button").onclick = () => dialog.close();
  dialog.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    confirm(event.submitter);
  };
  dialog.showModal();

  async function confirm(button) {
    const refuse = ({ message }) => Object.assign(part("problem"), { textContent: message, hidden: false });
    part("problem").hidden = true;
    await busy(button, refuse, async () => {
      await call("POST", path, { product_id: price.id, proration_date: preview.proration_date });
      dialog.close();
      await done(`You have the ${product.name} now.`);
    });
  }
}

function cost({ amount_cents: difference, amount_due_cents: due, currency }) {
  if (due > 0) return `You pay ${money(due, currency)} now, the difference for what is left of this period.`;
  if (difference < 0) return `Nothing is charged now. ${money(-difference, currency)} is credited to your next invoices.`;
  return "Nothing is charged now.";
}
