// What the demo's pages have in common: elements, the notice at the top, and busy buttons.

export const $ = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** A copy of a template's element, and its parts by name. */
export function copy(template) {
  const node = $(template).content.firstElementChild.cloneNode(true);
  return [node, (name) => node.querySelector(`[data-part=${name}]`)];
}

const drawn = new WeakMap();

/** Replaces what a node shows, if that has changed: focus and screen readers are left alone. */
export function draw(node, value, render) {
  const said = JSON.stringify(value);
  if (drawn.get(node) === said) return;
  drawn.set(node, said);
  node.replaceChildren(...render(value));
}

export function notify(tone, text) {
  const notice = $("notice");
  notice.dataset.tone = tone;
  notice.textContent = text;
  notice.hidden = false;
  notice.scrollIntoView({ block: "nearest" });
}

export const complain = (error) => notify("bad", error.message);

export async function busy(button, onError, work) {
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    onError(error);
  } finally {
    button.disabled = false;
  }
}

/** What the browser came back with from Stripe's page; the address forgets it. */
export function returned() {
  const query = new URLSearchParams(location.search);
  history.replaceState(null, "", location.pathname);
  return query;
}

/** Looks again whenever somebody comes back to the page. */
export function whenSeen(look) {
  addEventListener("pageshow", (event) => event.persisted && look());
  document.addEventListener("visibilitychange", () => document.hidden || look());
}
