// The images: search, an endless grid of which only the visible part exists, and a selection.

import {
  explained, Failure, Field, formatName, html, Icon, IconButton, Loading, nameOf, store, useEffect, useLayoutEffect, useRef, useState, useStore,
} from "./ui.js";
import { Feed } from "./feed.js";
import { Picture, thumbnail } from "./picture.js";
import { ask, may, session } from "./session.js";
import { add, onAdded } from "./upload.js";
import { deleteSoon, hidden } from "./deletion.js";
import { route, replace } from "./routes.js";
import t from "./strings.js";

const SMALLEST = 200;
const GAP = 16;
const CAPTION = 46;
const MORE_ROWS = 2;
const FAST = 3;
/** Rows a frame: pictures that fly by are not requested. */
const FORMATS = ["jpeg", "png", "webp", "avif", "gif", "tiff"];
const FILTERS = ["format", "colour", "tags", "visibility", "min_width", "created_after"];

/** The list as it was left, so that the way back leads to the same place. */
const kept = { feed: null, query: null, top: 0, me: null };
const version = store(0);
const selection = store(new Map());

function feedFor(query) {
  const { me } = session.get();
  if (kept.feed && kept.query === query && kept.me === me) return kept.feed;
  const load = (cursor, limit) => {
    const wanted = new URLSearchParams(query);
    wanted.set("limit", limit);
    if (cursor) wanted.set("cursor", cursor);
    return ask(`/images?${wanted}`);
  };
  const listing = may("list") ? load : async () => ({ images: [], cursor: null });
  const feed = new Feed(listing, () => version.set((count) => count + 1));
  feed.hidden = hidden.get();
  Object.assign(kept, { feed, query, me, top: 0 });
  return feed;
}

onAdded((image) => kept.feed && !kept.query && kept.feed.prepend(image));
hidden.watch((ids) => {
  kept.feed?.hide(ids);
  selection.set((chosen) => new Map([...chosen].filter(([id]) => !ids.has(id))));
});

/** An image has other labels now. */
export const updated = (image) => kept.feed?.update(image);

/** Images to choose from, such as for a watermark: those at the top of the list. */
export const recent = () => (kept.feed ? Array.from({ length: Math.min(30, kept.feed.count) }, (_, index) => kept.feed.at(index)).filter(Boolean) : []);

export function Gallery() {
  const { query } = useStore(route);
  useStore(version);
  const feed = feedFor(query);
  const chosen = useStore(selection);
  const empty = feed.done && feed.count === 0;
  const cause = ["q", ...FILTERS].find((name) => feed.error?.detail?.startsWith(`${name}=`));
  return html`<div class="page gallery">
    <div class="title-row">
      <h1 tabindex="-1">${t.gallery.title}</h1>
      <p class="count" aria-live="polite">${feed.pages.length > 0 && feed.count > 0 && (query ? t.gallery.found : t.gallery.count)(feed.count, !feed.done)}</p>
      ${may("upload") && (!empty || query) && html`<${Chooser} primary />`}
    </div>
    ${may("list") && (!empty || query) && html`<${Search} query=${query} cause=${cause} error=${feed.error} />`}
    ${feed.error && !cause ? html`<${Failure} error=${feed.error} again=${() => feed.again()} />` : null}
    ${empty ? html`<${Empty} query=${query} />` : html`<${Grid} feed=${feed} chosen=${chosen} key=${query} />`}
    ${chosen.size > 0 && html`<${Selection} chosen=${chosen} />`}
  </div>`;
}

/** A button that lets people choose files. */
function Chooser({ primary, label = t.gallery.add }) {
  const input = useRef();
  const choose = (event) => {
    add(event.target.files);
    event.target.value = "";
  };
  return html`<span class="chooser"><button type="button" class=${primary ? "primary" : ""} onClick=${() => input.current.click()}><${Icon} name="upload" />${label}</button>
    <input ref=${input} type="file" multiple accept="image/*" hidden data-files onChange=${choose} /></span>`;
}

function Empty({ query }) {
  if (query) {
    return html`<div class="empty"><${Icon} name="search" /><h2>${t.gallery.noneTitle}</h2><p>${t.gallery.noneText}</p>
      <a class="button" href="#/">${/^q=[^&]*$/.test(query) ? t.gallery.clearWords : t.gallery.clear}</a></div>`;
  }
  if (!may("upload")) {
    const [title, text] = may("list") ? [t.gallery.noImages, t.gallery.noImagesText] : [t.gallery.mayNotList, t.gallery.mayNotAnything];
    return html`<div class="empty"><${Icon} name="image" /><h2>${title}</h2><p>${text}</p></div>`;
  }
  return html`<div class="empty invites"><${Icon} name="upload" />
    <h2>${may("list") ? t.gallery.emptyTitle : t.gallery.mayNotList}</h2>
    <p>${may("list") ? t.gallery.emptyText : t.gallery.mayNotListText}</p>
    <${Chooser} primary label=${t.gallery.choose} />
  </div>`;
}

function Search({ query, cause, error }) {
  const given = Object.fromEntries(new URLSearchParams(query));
  const [words, setWords] = useState(given.q ?? "");
  const [open, setOpen] = useState(FILTERS.some((name) => given[name]));
  const mistake = (name) => cause === name && explained(error, { atControl: true });
  const count = FILTERS.filter((name) => given[name]).length;
  const apply = (values) => {
    const wanted = new URLSearchParams();
    for (const [name, value] of Object.entries({ ...given, ...values })) if (String(value).trim()) wanted.set(name, value.trim());
    const text = wanted.toString();
    if (text !== query) replace(text ? `/?${text}` : "/");
  };
  useEffect(() => {
    if (words === (given.q ?? "")) return undefined;
    const timer = setTimeout(() => apply({ q: words }), 250);
    return () => clearTimeout(timer);
  }, [words]);
  useEffect(() => {
    if (!query) setWords("");
  }, [query]);
  const choice = (name, label, options) => html`<${Field} label=${label} error=${mistake(name)}>${(attributes) => html`
    <select ...${attributes} value=${given[name] ?? ""} onChange=${(event) => apply({ [name]: event.target.value })}>
      <option value="">${t.gallery.any}</option>
      ${options.map(([value, text]) => html`<option value=${value} selected=${given[name] === value}>${text}</option>`)}
    </select>`}<//>`;
  const entry = (name, label, more) => html`<${Field} label=${label} error=${mistake(name)}>${(attributes) => html`
    <input ...${attributes} ...${more} value=${given[name] ?? ""} onChange=${(event) => apply({ [name]: event.target.value })} />`}<//>`;
  return html`<search class="search">
    <form onSubmit=${(event) => { event.preventDefault(); apply({ q: words }); }}>
      <div class="search-box"><${Icon} name="search" />
        <input type="search" aria-label=${t.gallery.search} aria-invalid=${cause === "q" ? "true" : undefined} aria-describedby=${cause === "q" ? "search-mistake" : undefined} placeholder=${t.gallery.searchHint} value=${words} onInput=${(event) => setWords(event.target.value)} />
      </div>
      <button type="button" aria-expanded=${open} aria-controls="filters" onClick=${() => setOpen(!open)}>${count ? t.gallery.filtersSet(count) : t.gallery.filters}</button>
    </form>
    ${cause === "q" && html`<p class="mistake" id="search-mistake" role="alert">${mistake("q")}</p>`}
    <div id="filters" class="filters" hidden=${!open}>
      ${choice("format", t.gallery.format, FORMATS.map((format) => [format, formatName(format)]))}
      ${choice("colour", t.gallery.colour, Object.entries(t.colours))}
      ${entry("tags", t.gallery.tags, { placeholder: t.gallery.tagsHint })}
      ${entry("min_width", t.gallery.minWidth, { type: "number", min: 1, max: 1000000, inputmode: "numeric" })}
      ${entry("created_after", t.gallery.since, { type: "date" })}
      ${choice("visibility", t.gallery.visibility, [["public", t.gallery.public], ["private", t.gallery.private], ["pending", t.gallery.pending]])}
      ${count > 0 && html`<button type="button" class="quiet" onClick=${() => replace(given.q ? `/?q=${encodeURIComponent(given.q)}` : "/")}>${t.gallery.clear}</button>`}
    </div>
  </search>`;
}

function measure(element) {
  const width = element?.clientWidth || document.documentElement.clientWidth - 2 * GAP;
  const phone = width < 520;
  const gap = phone ? GAP / 2 : GAP;
  const columns = Math.max(2, Math.floor((width + gap) / (SMALLEST + gap)));
  const side = Math.floor((width - gap * (columns - 1)) / columns);
  return { columns, gap, side, height: Math.round(side * 0.75) + CAPTION + gap };
}

function Grid({ feed, chosen }) {
  const element = useRef();
  const [layout, setLayout] = useState(() => measure(document.querySelector("main")));
  const [view, setView] = useState({ first: 0, last: 8, fast: false });
  const before = useRef(0);

  const look = () => {
    if (!element.current) return;
    const top = -element.current.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / layout.height) - MORE_ROWS);
    const last = Math.ceil((top + innerHeight) / layout.height) + MORE_ROWS;
    const fast = Math.abs(scrollY - before.current) > FAST * layout.height;
    before.current = scrollY;
    kept.top = scrollY;
    setView((now) => (now.first === first && now.last === last && now.fast === fast ? now : { first, last, fast }));
  };
  useLayoutEffect(() => {
    const resize = new ResizeObserver(() => setLayout((now) => {
      const next = measure(element.current);
      return Object.keys(next).every((name) => next[name] === now[name]) ? now : next;
    }));
    resize.observe(element.current);
    return () => resize.disconnect();
  }, []);
  useLayoutEffect(() => {
    before.current = kept.top;
    scrollTo(0, kept.top);
  }, [feed]);
  useLayoutEffect(() => {
    look();
    let frame = 0;
    let idle = 0;
    const scrolled = () => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(look);
      clearTimeout(idle);
      idle = setTimeout(look, 150);
    };
    addEventListener("scroll", scrolled, { passive: true });
    return () => {
      removeEventListener("scroll", scrolled);
      cancelAnimationFrame(frame);
      clearTimeout(idle);
    };
  }, [layout]);

  const { columns, gap, side, height } = layout;
  const first = view.first * columns;
  const last = Math.max(view.last * columns, first);
  useEffect(() => {
    feed.show(first, last);
  });

  const places = [];
  for (let index = first; index < Math.min(last, feed.count); index++) places.push(index);
  const waiting = !feed.done && !feed.error;
  const skeletons = waiting ? Math.max(0, Math.min(last, feed.count + 3 * columns) - Math.max(first, feed.count)) : 0;
  const rows = Math.ceil((feed.count + (waiting ? 3 * columns : 0)) / columns);
  const at = (index) => ({
    transform: `translate(${(index % columns) * (side + gap)}px, ${Math.floor(index / columns) * height}px)`,
    width: `${side}px`,
    height: `${height - gap}px`,
  });
  const move = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -Infinity, End: Infinity }[event.key];
    const tile = event.target.closest("[data-index]");
    if (!step || !tile || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    focusOn(Math.min(feed.count - 1, Math.max(0, Number(tile.dataset.index) + step)));
  };
  const focusOn = (index) => {
    const row = Math.floor(index / columns) * height + element.current.getBoundingClientRect().top + scrollY;
    if (row < scrollY + 80 || row + height > scrollY + innerHeight) scrollTo(0, Math.max(0, row - innerHeight / 3));
    look();
    requestAnimationFrame(() => requestAnimationFrame(() => element.current?.querySelector(`[data-index="${index}"] a`)?.focus({ preventScroll: true })));
  };
  return html`<ul ref=${element} class="grid" style=${{ height: `${rows * height}px` }} aria-busy=${waiting && feed.loading ? "true" : "false"} onKeyDown=${move}>
    ${places.map((index) => {
      const image = feed.at(index);
      return image
        ? html`<${Tile} key=${image.image_id} image=${image} index=${index} style=${at(index)} side=${side} waits=${view.fast} isChosen=${chosen.has(image.image_id)} selecting=${chosen.size > 0} />`
        : html`<li key=${`page-${index}`} class="tile skeleton" style=${at(index)}><span class="tile-picture"></span></li>`;
    })}
    ${Array.from({ length: skeletons }, (_, index) => html`<li key=${`more-${index}`} class="tile skeleton" aria-hidden="true" style=${at(Math.max(first, feed.count) + index)}><span class="tile-picture"></span></li>`)}
  </ul>
  ${waiting && feed.pages.length === 0 && html`<div class="visually-hidden"><${Loading} /></div>`}`;
}

function Tile({ image, index, style, side, waits, isChosen, selecting }) {
  const name = nameOf(image);
  const choose = () => selection.set((now) => {
    const next = new Map(now);
    next.delete(image.image_id) || next.set(image.image_id, image);
    return next;
  });
  return html`<li class=${`tile ${isChosen ? "chosen" : ""} ${selecting ? "selecting" : ""}`} style=${style} data-index=${index}>
    <a href=${`#/images/${image.image_id}`}>
      <span class="tile-picture" style=${image.colour ? { backgroundColor: image.colour } : {}}>
        <${Picture} image=${image} make=${thumbnail} alt="" width=${side} height=${Math.round(side * 0.75)} waits=${waits} lazy=${false} />
      </span>
      <span class="tile-name">${name}</span>
      <span class="tile-facts">${image.visibility !== "public" && html`<span title=${t.gallery.private_}><${Icon} name="lock" /><span class="visually-hidden">${t.gallery.private_}, </span></span>`}${t.gallery.facts(image, formatName(image.format))}</span>
    </a>
    ${may("delete") && html`<label class="tile-check"><input type="checkbox" checked=${isChosen} aria-label=${t.gallery.select(name)} onChange=${choose} /></label>`}
  </li>`;
}

function Selection({ chosen }) {
  const remove = () => {
    deleteSoon([...chosen.values()]);
    selection.set(new Map());
    requestAnimationFrame(() => document.querySelector("[data-undo]")?.focus());
  };
  return html`<div class="selection" role="toolbar" aria-label=${t.gallery.selected(chosen.size)}>
    <span role="status">${t.gallery.selected(chosen.size)}</span>
    <button type="button" class="danger" onClick=${remove}><${Icon} name="trash" />${t.gallery.delete}</button>
    <${IconButton} name="close" label=${t.gallery.unselect} onClick=${() => selection.set(new Map())} />
  </div>`;
}
