// A button that copies a text.

import { make } from "./dom.js";

const SAID_MS = 1500;

/** A button that copies what `text()` returns. */
export function copyButton(text, label = "Copy") {
  const name = make("span", {}, label);
  const button = make("button", { type: "button", class: "copy" }, name);
  let timer = 0;
  button.addEventListener("click", async () => {
    const done = await copy(text());
    name.textContent = done ? "Copied" : "Not allowed";
    clearTimeout(timer);
    timer = setTimeout(() => (name.textContent = label), SAID_MS);
  });
  return button;
}

/** Whether the text is in the clipboard now. Pages over plain http have no `navigator.clipboard`. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

function copyBySelection(text) {
  const had = document.activeElement;
  const field = make("textarea", { class: "for-readers", "aria-hidden": "true", readonly: true });
  field.value = text;
  document.body.append(field);
  field.select();
  try {
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    field.remove();
    had?.focus({ preventScroll: true });
  }
}
