// What the pages do beyond htmx: parts that load themselves again while they are looked at, the switch between light and
// dark, dropped files, and a word when the service does not answer.
"use strict";

const DEFAULT_SECONDS = 5;

/* Parts that keep themselves true: <div data-every="2" hx-trigger="again" …>. A hidden page asks for nothing. */
const due = new WeakMap();
setInterval(() => {
  if (document.hidden) return;
  const now = Date.now();
  for (const part of document.querySelectorAll("[data-every]")) {
    const seconds = Number(part.dataset.every) || DEFAULT_SECONDS;
    if (!due.has(part)) due.set(part, now + 1000 * seconds);
    if (now < due.get(part)) continue;
    due.set(part, now + 1000 * seconds);
    htmx.trigger(part, "again");
  }
}, 500);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) for (const part of document.querySelectorAll("[data-every]")) htmx.trigger(part, "again");
});

/* The service does not answer: what is shown may not be true any more, and the page says so. */
const away = document.getElementById("away");
const showAway = (isAway) => {
  if (away && away.hidden === isAway) away.hidden = !isAway;
};
document.addEventListener("htmx:sendError", () => showAway(true));
document.addEventListener("htmx:sseError", (event) => {
  if (event.detail.source.readyState !== EventSource.OPEN) showAway(true);
});
document.addEventListener("htmx:sseOpen", () => showAway(false));
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful) showAway(false);
});

/* Light, dark, or as the system has it. */
const root = document.documentElement;
const themeButton = document.getElementById("theme");
const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
const nameTheme = () => themeButton && themeButton.setAttribute("aria-pressed", String(isDark()));
if (themeButton) {
  nameTheme();
  themeButton.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem("engrain-theme", root.dataset.theme);
    nameTheme();
  });
}

/* Files dropped on a form, and the names of those that were chosen. */
for (const zone of document.querySelectorAll("[data-drop]")) {
  const input = zone.querySelector("input[type=file]");
  const names = zone.querySelector("[data-names]");
  const tell = () => {
    names.textContent = Array.from(input.files, (file) => file.name).join(", ");
  };
  input.addEventListener("change", tell);
  for (const kind of ["dragenter", "dragover"]) {
    zone.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
  }
  for (const kind of ["dragleave", "drop"]) zone.addEventListener(kind, () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) {
      input.files = event.dataTransfer.files;
      tell();
    }
  });
}

/* At most so many boxes of a group may be ticked: <fieldset data-most="4">. */
for (const group of document.querySelectorAll("[data-most]")) {
  const boxes = Array.from(group.querySelectorAll("input[type=checkbox]"));
  const limit = () => {
    const full = boxes.filter((box) => box.checked).length >= Number(group.dataset.most);
    for (const box of boxes) box.disabled = full && !box.checked;
  };
  group.addEventListener("change", limit);
  limit();
}

/* A form is sent once, however often its button is pressed. */
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

/* Forms that choose what a page shows are sent when the choice changes. */
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
});

/* A secret that is shown once can be copied. */
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.querySelector("[data-word]").textContent = "Copied";
});
