// What all pages are built from: components without a page of their own.

import { h, render } from "../vendored/preact/preact.js";
import { useCallback, useEffect, useErrorBoundary, useLayoutEffect, useMemo, useRef, useState } from "../vendored/preact/hooks.js";
import htm from "../vendored/htm/htm.js";
import t from "./strings.js";

export const html = htm.bind(h);
export { render, useCallback, useEffect, useErrorBoundary, useLayoutEffect, useMemo, useRef, useState };

/** A value that components follow: `get`, `set` and `watch`. */
export function store(value) {
  const watchers = new Set();
  return {
    get: () => value,
    set(change) {
      value = typeof change === "function" ? change(value) : change;
      for (const watcher of [...watchers]) watcher(value);
    },
    watch(watcher) {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
  };
}

/** The value of a store, and a render whenever it changes. */
export function useStore(from) {
  const [value, setValue] = useState(from.get());
  useLayoutEffect(() => {
    setValue(from.get());
    return from.watch((changed) => setValue(() => changed));
  }, [from]);
  return value;
}

/** What an asynchronous function returns: `{ value, error, loading, again }`. Runs again when `inputs` change. */
export function useLoaded(load, inputs) {
  const [state, setState] = useState({ loading: true });
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    const control = new AbortController();
    setState((before) => ({ value: before.value, loading: true }));
    load(control.signal).then(
      (value) => control.signal.aborted || setState({ value, loading: false }),
      (error) => control.signal.aborted || setState({ error, loading: false }),
    );
    return () => control.abort();
  }, [...inputs, attempt]);
  return { ...state, again: () => setAttempt(attempt + 1) };
}

const ICONS = {
  alert: "M12 8v5m0 3.2v.1M12 3 2.5 20h19z",
  back: "M15 5l-7 7 7 7",
  bell: "M6 17h12l-1.5-2.5V10a4.5 4.5 0 0 0-9 0v4.5zm4.5 0a1.5 1.5 0 0 0 3 0",
  chart: "M5 20V11m7 9V4m7 16v-6",
  check: "M5 12.5l4.5 4.5L19 7",
  close: "M6 6l12 12M18 6L6 18",
  copy: "M9 9h11v11H9zM15 9V4H4v11h5",
  down: "M6 9l6 6 6-6",
  download: "M12 4v11m-5-4l5 5 5-5M5 20h14",
  drag: "M9 6h.1M15 6h.1M9 12h.1M15 12h.1M9 18h.1M15 18h.1",
  edit: "M4 20h4L19 9l-4-4L4 16z",
  image: "M4 5h16v14H4zm0 11l5-5 4 4 3-3 4 4M15.5 9.5h.1",
  key: "M14.5 9.5a4.5 4.5 0 1 1-9 0 4.5 4.5 0 0 1 9 0zM13.2 12.7L21 20.5M18 17.5l2-2",
  lock: "M6 11h12v9H6zm2.5 0V8a3.5 3.5 0 0 1 7 0v3",
  moon: "M20 14.5A8 8 0 1 1 9.5 4a6.5 6.5 0 0 0 10.5 10.5z",
  plus: "M12 5v14M5 12h14",
  search: "M16.5 10.5a6 6 0 1 1-12 0 6 6 0 0 1 12 0zM15 15l5.5 5.5",
  sun: "M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0zM12 2v2m0 16v2M2 12h2m16 0h2M5 5l1.4 1.4M17.6 17.6L19 19M5 19l1.4-1.4M17.6 6.4L19 5",
  trash: "M4 7h16M9 7V4h6v3M6.5 7l1 13h9l1-13",
  up: "M6 15l6-6 6 6",
  upload: "M12 16V5m-5 4l5-5 5 5M5 20h14",
};

export function Icon({ name }) {
  const thick = name === "drag" ? 2.6 : 1.7;
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" fill="none" stroke="currentColor"
    stroke-width=${thick} stroke-linecap="round" stroke-linejoin="round"><path d=${ICONS[name]} /></svg>`;
}

/** A button with an icon and no text; `label` names it. */
export function IconButton({ name, label, ...more }) {
  return html`<button type="button" class="quiet icon-only" aria-label=${label} title=${label} ...${more}><${Icon} name=${name} /></button>`;
}

/** What went wrong, as the service says it, and a way to try again. */
export function Failure({ error, again, small }) {
  return html`<div class=${small ? "failure small" : "failure"} role="alert">
    <${Icon} name="alert" />
    <p>${explained(error)}</p>
    ${again && html`<button type="button" onClick=${again}>${t.again}</button>`}
  </div>`;
}

/** The name of a parameter or a field at the beginning of a detail, and an example in the words of a URL. */
const NAME = /^[a-z_]+(?:(?:\.\w+)*: |=(?=')|=[^\s':]+:? )/;
const EXAMPLE = /; example: \S+$/;

/** The text of an error. The detail of a problem says what to do. At the control that caused it, it needs no name. */
export function explained(error, { atControl = false } = {}) {
  if (error.detail) {
    const [first] = error.detail.split("\n");
    return sentence(atControl ? first.replace(EXAMPLE, "").replace(NAME, "") : first);
  }
  return error.name === "ConnectionFailed" || error instanceof TypeError ? t.offline : sentence(error.message);
}

export function sentence(text) {
  const trimmed = text.trim();
  return trimmed.charAt(0).toUpperCase() + trimmed.slice(1) + (/[.!?…]$/.test(trimmed) ? "" : ".");
}

export function Loading({ text = t.loading }) {
  return html`<p class="loading" role="status"><span class="spinner" aria-hidden="true"></span>${text}</p>`;
}

let lastId = 0;

/** A labelled control, with a hint, and the mistake right below it. `children` gets the attributes of the control. */
export function Field({ label, hint, error, children, className = "" }) {
  const id = useMemo(() => `field-${++lastId}`, []);
  const says = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  const attributes = { id, "aria-describedby": says || undefined, "aria-invalid": error ? "true" : undefined };
  return html`<div class=${`field ${className}`}>
    <label for=${id}>${label}</label>
    ${children(attributes)}
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
    ${error && html`<p class="mistake" id=${`${id}-error`} role="alert">${error}</p>`}
  </div>`;
}

/** A dialog over the page. The browser keeps the focus in it, and Escape closes it. */
export function Dialog({ title, close, children }) {
  const element = useRef();
  useEffect(() => element.current.showModal(), []);
  return html`<dialog ref=${element} onClose=${close} aria-labelledby="dialog-title">
    <header><h2 id="dialog-title">${title}</h2><${IconButton} name="close" label=${t.close} onClick=${() => element.current.close()} /></header>
    ${children}
  </dialog>`;
}

/** Copies a text. Without https, browsers offer no clipboard, but a selection can be copied. */
export async function copyText(text) {
  if (navigator.clipboard) {
    try {
      return await navigator.clipboard.writeText(text);
    } catch {
      // Not allowed: the old way.
    }
  }
  const area = Object.assign(document.createElement("textarea"), { value: text, readOnly: true });
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

export function CopyButton({ text, label = t.copy.button, primary, small }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    const timer = done && setTimeout(() => setDone(false), 2000);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = async () => {
    await copyText(text);
    setDone(true);
  };
  return html`<button type="button" class=${small ? "quiet icon-only" : primary ? "primary" : ""} title=${small ? label : undefined} onClick=${copy}>
    <${Icon} name=${done ? "check" : "copy"} /><span aria-live="polite" class=${small ? "visually-hidden" : ""}>${done ? t.copy.done : label}</span>
  </button>`;
}

const language = document.documentElement.lang;
const moments = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const numbers = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
const UNITS = ["B", "kB", "MB", "GB", "TB"];

export const moment = (text) => moments.format(new Date(text));
export const number = (value) => numbers.format(value);

export function size(bytes) {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const value = bytes / 1000 ** power;
  return `${power && value < 99.95 ? numbers.format(value) : Math.round(value)} ${UNITS[power]}`;
}

export const duration = (milliseconds) => (milliseconds < 999.5 ? `${Math.round(milliseconds)} ms` : `${numbers.format(milliseconds / 1000)} s`);

/** How people call a format. */
export const formatName = (name) => t.builder.formats[name] ?? name.toUpperCase();

/** How people call an image. */
export const nameOf = (image) => image.title || image.original_filename || t.untitled;
