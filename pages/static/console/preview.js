// What comes out of the steps: the picture, its size and time, where it came from, and how it is made.

import {
  duration, Failure, formatName, html, Icon, Loading, sentence, size, store, useEffect, useLoaded, useRef, useState, useStore,
} from "./ui.js";
import { ask, hasKey, headers, may, noted, service } from "./session.js";
import { Picture, whole } from "./picture.js";
import { inWords, parse } from "./chain.js";
import { ApiError } from "./client.js";
import t from "./strings.js";

const PAUSE = 180;
const KEPT = 20;
/** Parts of a plan that are written like URLs. */
const CODE = new Set(["as_written", "as_planned"]);

/** The variants that were looked at, newest first: `{ url, image, query, format, bytes, time, width, height, from }`. */
const seen = store([]);

/** The current variant: `{ url, picture, bytes, time, made, from, width, height, loading, error }`. */
export function usePreview(image, query, format) {
  const [state, setState] = useState({ loading: true });
  const [attempt, setAttempt] = useState(0);
  const picture = useRef(null);
  const url = query === null ? null : `${service().image(image.image_id).url(format)}${query ? `?${query}` : ""}`;
  useEffect(() => () => picture.current && URL.revokeObjectURL(picture.current), []);
  useEffect(() => {
    if (!url) return undefined;
    const control = new AbortController();
    setState((now) => ({ ...now, loading: true }));
    const timer = setTimeout(async () => {
      try {
        const found = await measured(url, control.signal);
        if (control.signal.aborted) return URL.revokeObjectURL(found.picture);
        if (picture.current) URL.revokeObjectURL(picture.current);
        picture.current = found.picture;
        setState({ ...found, loading: false });
        note({ ...found, image: image.image_id, query, format, picture: null });
      } catch (error) {
        if (!control.signal.aborted) setState((now) => ({ ...now, loading: false, error: noted(error) }));
      }
    }, state.url || attempt ? PAUSE : 0);
    return () => {
      clearTimeout(timer);
      control.abort();
    };
  }, [url, attempt]);
  return { ...state, again: () => setAttempt(attempt + 1) };
}

function note(variant) {
  seen.set((all) => [variant, ...all.filter((each) => each.url !== variant.url)].slice(0, KEPT));
}

/** Fetch a picture past the browser's own cache, to see what visitors would get. */
async function measured(url, signal) {
  const started = performance.now();
  const response = await fetch(url, { headers: headers(), signal, cache: "no-store" });
  if (!response.ok) {
    const text = await response.text();
    let detail = text.slice(0, 200);
    try {
      detail = JSON.parse(text).detail;
    } catch {
      // From a proxy.
    }
    throw new ApiError(response.status, detail);
  }
  const blob = await response.blob();
  const time = performance.now() - started;
  const picture = URL.createObjectURL(blob);
  const { width, height } = await dimensions(picture);
  return { url, picture, bytes: blob.size, type: blob.type, time, made: madeIn(response), from: cameFrom(response), width, height };
}

async function dimensions(picture) {
  const image = new Image();
  image.src = picture;
  try {
    await image.decode();
  } catch {
    // Browsers do not show TIFF.
  }
  return { width: image.naturalWidth, height: image.naturalHeight };
}

/** Milliseconds of the renderer; null if nothing was rendered. */
function madeIn(response) {
  const timing = response.headers.get("Server-Timing") ?? "";
  const spans = [...timing.matchAll(/(render|encode);dur=([\d.]+)/g)].map((found) => Number(found[2]));
  return spans.length ? spans.reduce((sum, each) => sum + each, 0) : null;
}

function cameFrom(response) {
  const cache = response.headers.get("X-Cache");
  const result = response.headers.get("Cache-Status") ?? "";
  if (cache === "HIT") return t.builder.cached;
  if (cache === "STALE") return t.builder.old;
  if (result.includes("hit")) return t.builder.stored;
  return result.includes("fwd=miss") ? t.builder.fresh : t.builder.untouched;
}

/** The picture, beside the original if people want to compare. */
export function Preview({ image, preview, paused }) {
  const [compare, setCompare] = useState(false);
  const [cut, setCut] = useState(50);
  const shown = preview.picture && preview.width > 0;
  return html`<figure class="stage-figure">
    <div class=${`stage ${compare ? "comparing" : ""}`} style=${{ "--cut": `${cut}%` }} aria-busy=${preview.loading ? "true" : "false"}>
      ${shown ? html`<img class="after" src=${preview.picture} alt=${image.alt || t.builder.preview} />` : paused ? html`<${Picture} className="after" image=${image} make=${whole} alt=${image.alt || t.builder.before} lazy=${false} />`
        : !preview.loading && !preview.error && html`<span class="no-preview"><${Icon} name="image" />${t.gallery.noPreview}</span>`}
      ${compare && html`<${Picture} className="before" image=${image} make=${whole} alt=${t.builder.before} lazy=${false} />
        <span class="divider" aria-hidden="true"></span>
        <input type="range" min="0" max="100" value=${cut} aria-label=${t.builder.divider} onInput=${(event) => setCut(Number(event.target.value))} />
        <span class="tag left" aria-hidden="true">${t.builder.before}</span><span class="tag right" aria-hidden="true">${t.builder.after}</span>`}
      <span class=${`busy ${preview.loading && !paused ? "on" : ""}`} role="status">${preview.loading && !paused ? html`<span class="spinner"></span>${t.builder.rendering}` : ""}</span>
      ${paused && html`<span class="busy on">${t.builder.fix}</span>`}
      ${preview.error && !preview.loading && !paused && html`<div class="stage-error"><${Failure} error=${preview.error} again=${preview.again} small /></div>`}
    </div>
    <figcaption>
      <label class="check"><input type="checkbox" checked=${compare} onChange=${(event) => setCompare(event.target.checked)} />${t.builder.compare}</label>
      ${preview.url && (image.visibility === "public" || !hasKey()) && html`<a href=${preview.url} target="_blank" rel="noopener">${t.builder.fullView}</a>`}
    </figcaption>
  </figure>`;
}

/** Its figures, and the plan for those who want to know. */
export function Result({ image, preview, query, format }) {
  const [open, setOpen] = useState(false);
  const share = image.bytes && preview.bytes ? Math.round((preview.bytes / image.bytes) * 100) : null;
  const fact = (label, value, more) => html`<div><dt>${label}</dt><dd>${value}${more && html`<small>${more}</small>`}</dd></div>`;
  return html`<section class="card result" aria-labelledby="result-title">
    <h2 id="result-title" class="visually-hidden">${t.builder.result}</h2>
    <dl class="figures">
      ${fact(t.builder.size, preview.bytes === undefined ? "–" : size(preview.bytes), share !== null && t.builder.share(share))}
      ${fact(t.builder.pixels, preview.width ? `${preview.width} × ${preview.height}` : "–", preview.type && formatName(preview.type.replace("image/", "")))}
      ${fact(t.builder.time, preview.time === undefined ? "–" : duration(preview.time), preview.made !== null && preview.made !== undefined && t.builder.made(duration(preview.made)))}
      ${fact(t.builder.cache, preview.from ?? "–")}
    </dl>
    ${may("metadata") && html`<details onToggle=${(event) => setOpen(event.target.open)}><summary>${t.builder.plan}</summary>
      ${open && query !== null && html`<${Plan} id=${image.image_id} format=${format} query=${query} />`}</details>`}
  </section>`;
}

function Plan({ id, format, query }) {
  const plan = useLoaded((signal) => ask(`/images/${id}.${format}/plan${query ? `?${query}` : ""}`, { signal }), [id, format, query]);
  if (plan.error) return html`<${Failure} error=${plan.error} again=${plan.again} small />`;
  if (!plan.value) return html`<${Loading} />`;
  return html`<dl class="plan">${Object.entries(t.builder.planLabels).filter(([name]) => plan.value[name]).map(([name, label]) => html`
    <dt>${label}</dt><dd>${CODE.has(name) ? html`<code>${plan.value[name]}</code>` : sentence(plan.value[name])}</dd>`)}</dl>`;
}

/** The variants of this image that were looked at in this tab. */
export function Session({ image, known, current }) {
  const all = useStore(seen).filter((each) => each.image === image.image_id);
  if (!all.length) return null;
  return html`<section class="card" aria-labelledby="session-title">
    <h2 id="session-title">${t.builder.session}</h2>
    <ul class="variants">${all.map((each) => html`<li key=${each.url} class=${each.url === current ? "current" : ""}>
      <a href=${`#/images/${each.image}.${each.format}${each.query ? `?${each.query}` : ""}`}>
        <span>${describe(known, each)}</span>
        <small>${size(each.bytes)} · ${duration(each.time)} · ${each.from}</small></a>
    </li>`)}</ul>
  </section>`;
}

export const variantsOf = (id) => seen.get().filter((each) => each.image === id);

/** A variant in words, such as `WebP: Resize 800 × …, Blur 4`. */
export function describe(known, { query, format }) {
  const { steps, quality, rest } = parse(known, query);
  const words = [...steps.map((step) => inWords(known, step)), ...(quality === null ? [] : [`${t.builder.quality} ${quality}`]), ...rest];
  return `${formatName(format)}${words.length ? `: ${words.join(", ")}` : ""}`;
}
