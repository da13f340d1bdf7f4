// Short messages at the bottom of the page.

import { html, IconButton, store, useStore } from "./ui.js";
import t from "./strings.js";

const toasts = store([]);
let last = 0;

/** Show a message: `{ text, action, act }`. Returns a function that removes it. It stays `seconds`, or until then. */
export function toast(message, seconds = 6) {
  const id = ++last;
  const remove = () => toasts.set((all) => all.filter((each) => each.id !== id));
  toasts.set((all) => [...all.slice(-3), { ...message, id, remove }]);
  if (seconds) setTimeout(remove, seconds * 1000);
  return remove;
}

export function Toasts() {
  const all = useStore(toasts);
  return html`<div class="toasts" role="status">
    ${all.map((each) => html`<div class=${`toast ${each.failed ? "failed" : ""}`} key=${each.id}>
      <p>${each.text} ${each.live && html`<${each.live} />`}</p>
      ${each.action && html`<button type="button" data-undo onClick=${each.act}>${each.action}</button>`}
      ${!each.action && html`<${IconButton} name="close" label=${t.close} onClick=${each.remove} />`}
    </div>`)}
  </div>`;
}
