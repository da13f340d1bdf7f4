// Adds images: a few at once, each with its progress, its errors, and a way to try again.

import { html, Icon, IconButton, explained, store, useEffect, useRef, useState, useStore } from "./ui.js";
import { noted, service } from "./session.js";
import { route } from "./routes.js";
import t from "./strings.js";

const AT_ONCE = 3;
const LISTED = 200;
/** How long the list stays when all is well, in milliseconds. */
const STAYS = 8000;
const ENDED = new Set(["done", "failed"]);
/** What needs people comes first, and what needs nobody last. */
const ORDER = ["failed", "checking", "sending", "waiting", "done"];

/** The files: `{ id, file, name, state, sent, error, image }`. States: waiting, sending, checking, done, failed. */
export const uploads = store([]);

/** Statuses that another attempt will not change: the file is to blame. */
const FINAL = new Set([400, 413, 415, 422]);

const listeners = new Set();
let last = 0;
let running = 0;

/** Hear of every image that was added. */
export function onAdded(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function add(files) {
  const items = [...files].map((file) => ({
    id: ++last,
    file,
    name: file.name || t.untitled,
    // Under the same name, an upload that is sent again is one image.
    repeat: unique(),
    state: file.size ? "waiting" : "failed",
    final: !file.size,
    error: file.size ? null : t.upload.empty,
    sent: 0,
  }));
  if (!items.length) return;
  const ended = uploads.get().every((each) => ENDED.has(each.state));
  uploads.set((all) => [...(ended ? all.filter((each) => each.state === "failed") : all), ...items]);
  advance();
}

function unique() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function change(item, values) {
  Object.assign(item, values);
  uploads.set((all) => [...all]);
}

function advance() {
  while (running < AT_ONCE) {
    const next = uploads.get().find((each) => each.state === "waiting");
    if (!next) return;
    running++;
    send(next).finally(() => {
      running--;
      advance();
    });
  }
}

async function send(item) {
  item.control = new AbortController();
  change(item, { state: "sending", sent: 0, error: null });
  const progress = (sent, total) => {
    const share = total ? sent / total : 0;
    if (share === 1) change(item, { state: "checking", sent: 1 });
    else if (share - item.sent >= 0.01) change(item, { sent: share });
  };
  try {
    const { signal } = item.control;
    const image = await service().upload(item.file, { name: item.name, idempotencyKey: item.repeat, progress, signal });
    change(item, { state: "done", image, file: null });
    for (const listener of listeners) listener(image);
  } catch (error) {
    const stopped = item.control.signal.aborted;
    if (!stopped) noted(error);
    change(item, { state: "failed", final: FINAL.has(error.status), error: stopped ? t.upload.stopped : explained(error) });
  }
}

function retry(item) {
  change(item, { state: "waiting", sent: 0, error: null });
  advance();
}

function stop(item) {
  if (item.state === "waiting") change(item, { state: "failed", error: t.upload.stopped });
  else item.control?.abort();
}

addEventListener("beforeunload", (event) => {
  if (uploads.get().some((each) => !ENDED.has(each.state))) event.preventDefault();
});

/** The list of uploads, over the corner of the page. */
export function Uploads() {
  const all = useStore(uploads);
  const [small, setSmall] = useState(false);
  const element = useRef();
  const done = all.filter((each) => ENDED.has(each.state)).length;
  const failed = all.filter((each) => each.state === "failed");
  const isEnded = done === all.length;
  const isFine = isEnded && !failed.length;
  const { page, id } = useStore(route);
  useEffect(() => all.length && isEnded && setSmall(true), [page, id]);
  useEffect(() => {
    if (!isFine) return undefined;
    const timer = setInterval(() => element.current?.matches(":hover, :focus-within") || uploads.set([]), STAYS);
    return () => clearInterval(timer);
  }, [isFine]);
  if (!all.length) return null;
  const again = failed.filter((each) => !each.final);
  const share = all.reduce((sum, each) => sum + (ENDED.has(each.state) ? 1 : each.sent * 0.95), 0) / all.length;
  return html`<section ref=${element} class="uploads" aria-label=${t.upload.title}>
    <header>
      <div>
        <h2>${isFine ? t.upload.done : isEnded ? t.upload.incomplete : t.upload.title}</h2>
        <p role="status">${failed.length && isEnded ? t.upload.failed(failed.length) : t.upload.progress(done, all.length)}</p>
      </div>
      <${IconButton} name=${small ? "up" : "down"} label=${small ? t.upload.more : t.upload.less} aria-expanded=${!small} onClick=${() => setSmall(!small)} />
      ${isEnded && html`<${IconButton} name="close" label=${t.upload.hide} onClick=${() => uploads.set([])} />`}
    </header>
    <progress class="all" max="1" value=${share} aria-label=${t.upload.title}></progress>
    <ul hidden=${small}>${again.length > 1 && html`<li class="retry-all"><button type="button" onClick=${() => again.forEach(retry)}>${t.upload.retryAll}</button></li>`}
      ${ORDER.flatMap((state) => all.filter((each) => each.state === state)).slice(0, LISTED).map((each) => html`<${Item} key=${each.id} item=${each} />`)}</ul>
  </section>`;
}

function Item({ item }) {
  // Chromium misses a rule about the row when that gets another class and another place at once.
  const failed = item.state === "failed" ? "failed" : "";
  const percent = Math.floor(item.sent * 100);
  const said = {
    waiting: t.upload.waiting,
    sending: t.upload.sending(percent),
    checking: t.upload.checking,
    done: t.upload.done,
    failed: item.error,
  }[item.state];
  return html`<li class=${`upload ${item.state}`}>
    <div class=${`upload-name ${failed}`}>
      ${item.image ? html`<a href=${`#/images/${item.image.image_id}`} aria-label=${t.upload.open(item.name)}>${item.name}</a>` : html`<span>${item.name}</span>`}
      <span class=${`upload-state ${failed}`}>${item.state === "done" && html`<${Icon} name="check" />`}${said}</span>
    </div>
    ${item.state === "failed" && !item.final && html`<button type="button" aria-label=${`${t.upload.retry}: ${item.name}`} onClick=${() => retry(item)}>${t.upload.retry}</button>`}
    ${!ENDED.has(item.state) && html`<${IconButton} name="close" label=${t.upload.stop(item.name)} onClick=${() => stop(item)} />`}
    ${(item.state === "sending" || item.state === "checking") && html`<progress max="1" value=${item.state === "checking" ? undefined : item.sent} aria-label=${item.name}></progress>`}
  </li>`;
}

/** The files of a drop, also those in folders. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const files = [];
  const read = async (entry) => {
    if (entry.isFile) return files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) return undefined;
      for (const each of some) await read(each);
    }
  };
  for (const entry of entries) await read(entry);
  return files.filter((file) => !file.name.startsWith("."));
}
