"use strict";

// Everything works without this file; it only saves typing and double clicks.

const number = document.getElementById("number");

function grouped(text) {
  return text.replace(/\D/g, "").replace(/(\d{4})(?=\d)/g, "$1 ");
}

if (number) {
  number.addEventListener("change", () => {
    if (/^[\d\s-]+$/.test(number.value)) number.value = grouped(number.value);
  });
  for (const row of document.querySelectorAll("[data-number]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = row.dataset.number;
    button.setAttribute("aria-label", `Use ${row.dataset.number}: ${row.lastElementChild.textContent}`);
    button.addEventListener("click", () => {
      number.value = row.dataset.number;
      number.focus();
    });
    row.firstElementChild.replaceWith(button);
  }
}

for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
  });
}

// A page that comes back from the browser's cache may be sent again.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form")) delete form.dataset.sent;
  for (const button of document.querySelectorAll("form button")) button.removeAttribute("aria-disabled");
});
