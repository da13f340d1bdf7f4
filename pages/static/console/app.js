// The frame around all pages: the menu, the drop of files, messages, and which page is shown.

import {
  Failure, html, Icon, IconButton, Loading, render, useEffect, useErrorBoundary, useLayoutEffect, useRef, useState, useStore,
} from "./ui.js";
import { may, session, signOut, start } from "./session.js";
import { Gallery } from "./gallery.js";
import { route } from "./routes.js";
import { SignIn } from "./sign_in.js";
import { Toasts } from "./toasts.js";
import { Uploads, add, dropped } from "./upload.js";
import t from "./strings.js";

/** Pages that are loaded when somebody opens them. */
const LATER = {
  image: async () => (await import("./image.js")).default,
  builder: async () => (await import("./builder.js")).default,
  usage: async () => (await import("./usage.js")).default,
  keys: async () => (await import("./admin.js")).KeysPage,
  webhooks: async () => (await import("./admin.js")).WebhooksPage,
};

function App() {
  const { me, error, ended } = useStore(session);
  const shown = useStore(route);
  const [broken, reset] = useErrorBoundary((failure) => console.error(failure));
  const main = useRef();
  const isFirst = useRef(true);
  const place = `${shown.page} ${shown.id ?? ""}`;

  useLayoutEffect(() => {
    document.title = `${titleOf(shown.page)} · ${t.product}`;
    if (broken) reset();
    if (isFirst.current || !me) return;
    if (shown.page !== "gallery") scrollTo(0, 0);
  }, [place]);
  useEffect(() => {
    // Readers of the screen begin at the new page. The first one begins at the top anyway.
    if (!isFirst.current && !document.activeElement?.matches("[data-undo]")) main.current?.focus({ preventScroll: true });
    isFirst.current = !me;
  }, [place, !me]);

  const locked = me && me.keys_required && me.name === null;
  let content = html`<${Loading} />`;
  if (error) content = html`<div class="page"><${Failure} error=${error} again=${start} /></div>`;
  else if (broken) content = html`<div class="page"><${Failure} error=${new Error(t.broken)} again=${() => location.reload()} /></div>`;
  else if (me && (locked || shown.page === "signIn")) content = html`<${SignIn} ended=${ended} optional=${!locked} />`;
  else if (me) content = html`<${Page} key=${place} shown=${shown} />`;

  return html`
    <a class="skip" href="#content" onClick=${(event) => { event.preventDefault(); main.current.focus(); }}>${t.skip}</a>
    <${Menu} me=${me} page=${shown.page} locked=${locked} />
    <main id="content" ref=${main} tabindex="-1">${content}</main>
    ${me && !locked && may("upload") && html`<${DropZone} />`}
    <${Uploads} />
    <${Toasts} />`;
}

function titleOf(page) {
  const titles = { gallery: t.gallery.title, image: t.gallery.title, builder: t.builder.title, usage: t.usage.title, keys: t.keys.title, webhooks: t.webhooks.title, signIn: t.signIn.title };
  return titles[page] ?? t.missing.title;
}

function Page({ shown }) {
  const { page } = shown;
  const [Shown, setShown] = useState(null);
  const [error, setError] = useState(null);
  const load = () => {
    setError(null);
    LATER[page]?.().then((found) => setShown(() => found), setError);
  };
  useEffect(load, [page]);
  if (page === "gallery") return html`<${Gallery} />`;
  if (page === "missing") {
    return html`<div class="page"><div class="empty"><h1>${t.missing.title}</h1><p>${t.missing.text}</p><a class="button" href="#/">${t.missing.link}</a></div></div>`;
  }
  if (error) return html`<div class="page"><${Failure} error=${error} again=${load} /></div>`;
  if (!Shown) return html`<div class="page"><${Loading} /></div>`;
  return html`<${Shown} ...${shown} />`;
}

function Menu({ me, page, locked }) {
  const link = (to, name, icon, current) => html`<a href=${to} title=${name} aria-current=${current ? "page" : undefined}><${Icon} name=${icon} /><span>${name}</span></a>`;
  const images = ["gallery", "image", "builder"].includes(page);
  return html`<header class="menu">
    <a class="brand" href="#/" aria-label=${t.product}><img src="../icon.svg" alt="" width="28" height="28" /><span>${t.product}</span></a>
    <nav aria-label=${t.menu.label}>
      ${me && !locked && html`
        ${link("#/", t.menu.images, "image", images)}
        ${may("admin") && link("#/usage", t.menu.usage, "chart", page === "usage")}
        ${may("admin") && link("#/keys", t.menu.keys, "key", page === "keys")}
        ${may("admin") && link("#/webhooks", t.menu.webhooks, "bell", page === "webhooks")}`}
    </nav>
    <a class="quiet reference" href="../docs/">${t.menu.reference}</a>
    <${ThemeButton} />
    ${me && me.name !== null && html`<button type="button" class="quiet" title=${me.name} onClick=${signOut}>${t.menu.signOut}</button>`}
    ${me && me.name === null && !locked && html`<a class="button quiet" href="#/sign-in" aria-current=${page === "signIn" ? "page" : undefined}>${t.menu.signIn}</a>`}
  </header>`;
}

function ThemeButton() {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const [dark, setDark] = useState(root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  useEffect(() => {
    const follow = () => root.dataset.theme || setDark(system.matches);
    system.addEventListener("change", follow);
    return () => system.removeEventListener("change", follow);
  }, []);
  const change = () => {
    const theme = dark ? "light" : "dark";
    root.dataset.theme = theme;
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // Then only until the page is closed.
    }
    setDark(!dark);
  };
  return html`<${IconButton} name=${dark ? "sun" : "moon"} label=${dark ? t.menu.light : t.menu.dark} onClick=${change} />`;
}

/** Takes files that are dropped anywhere, or pasted. */
function DropZone() {
  const [over, setOver] = useState(false);
  useEffect(() => {
    let depth = 0;
    // A picture of this page that is dragged counts as a file, too.
    let isOwn = false;
    const hasFiles = (event) => !isOwn && event.dataTransfer?.types.includes("Files");
    const listeners = {
      dragstart: () => (isOwn = true),
      dragend: () => (isOwn = false),
      dragenter: (event) => hasFiles(event) && (depth++, setOver(true)),
      dragleave: (event) => hasFiles(event) && --depth <= 0 && ((depth = 0), setOver(false)),
      dragover: (event) => hasFiles(event) && event.preventDefault(),
      drop: async (event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        depth = 0;
        setOver(false);
        add(await dropped(event.dataTransfer));
      },
      paste: (event) => event.clipboardData.files.length && (event.preventDefault(), add(event.clipboardData.files)),
    };
    for (const [name, listener] of Object.entries(listeners)) addEventListener(name, listener);
    return () => Object.entries(listeners).forEach(([name, listener]) => removeEventListener(name, listener));
  }, []);
  return over && html`<div class="drop-here" aria-hidden="true"><div><${Icon} name="upload" /><p>${t.gallery.drop}</p></div></div>`;
}

start();
render(html`<${App} />`, document.getElementById("app"));
