// One image: the picture, facts, labels, and the variants in use.

import { CopyButton, Failure, formatName, html, Icon, Loading, moment, nameOf, number, size, useLoaded, useState } from "./ui.js";
import { ask, may, service } from "./session.js";
import { Picture, thumbnail, upright, whole } from "./picture.js";
import { deleteSoon } from "./deletion.js";
import { describe, variantsOf } from "./preview.js";
import { updated } from "./gallery.js";
import { operations } from "./chain.js";
import { Labels } from "./labels.js";
import { Saver } from "./download.js";
import { go, unsaved } from "./routes.js";
import t from "./strings.js";

export default function ImagePage({ id }) {
  const loaded = useLoaded((signal) => (may("metadata") ? ask(`/images/${id}/info`, { signal }) : Promise.resolve({ image_id: id })), [id]);
  const [changed, setChanged] = useState(null);
  const [focus, setFocus] = useState(null);
  const image = changed ?? loaded.value;
  if (loaded.error?.status === 404 || loaded.error?.status === 410) return html`<${Gone} error=${loaded.error} />`;
  if (loaded.error) return html`<div class="page"><${Failure} error=${loaded.error} again=${loaded.again} /></div>`;
  if (!image) return html`<div class="page"><${Back} /><${Skeleton} /></div>`;
  const remove = () => {
    unsaved("");
    deleteSoon([image]);
    go("/");
    requestAnimationFrame(() => requestAnimationFrame(() => document.querySelector("[data-undo]")?.focus()));
  };
  const save = (next) => {
    setChanged({ ...image, ...next });
    updated({ ...image, ...next });
  };
  return html`<div class="page image-page">
    <${Back} />
    <div class="title-row">
      <h1 tabindex="-1">${image.width ? nameOf(image) : image.image_id}</h1>
      <div class="actions">
        <${CopyButton} text=${service().image(id).url()} label=${t.image.copyUrl} />
        <${Saver} image=${image} />
        ${may("delete") && html`<button type="button" class="danger" onClick=${remove}><${Icon} name="trash" />${t.image.delete}</button>`}
        <a class="button primary" href=${`#/images/${id}.webp`}><${Icon} name="edit" />${t.image.edit}</a>
      </div>
    </div>
    <div class="columns">
      <div class="stage-column">
        <${FocusStage} image=${image} focus=${focus} change=${setFocus} />
        ${image.width && html`<${Facts} image=${image} />`}
        <${Variants} image=${image} />
        ${may("list") && html`<${Similar} image=${image} />`}
      </div>
      ${image.width && html`<div class="side"><${Labels} image=${image} focus=${focus} setFocus=${setFocus} saved=${save} /></div>`}
    </div>
  </div>`;
}

const Back = () => html`<a class="quiet back" href="#/"><${Icon} name="back" />${t.image.back}</a>`;
const Skeleton = () => html`<div class="columns"><div class="stage-column"><div class="stage"><${Loading} /></div></div><div class="side"></div></div>`;

export function Gone({ error }) {
  const gone = error.status === 410;
  return html`<div class="page"><div class="empty"><${Icon} name="image" /><h1>${gone ? t.image.gone : t.image.missing}</h1>
    <p>${gone ? t.image.goneText : t.image.missingText}</p><a class="button" href="#/">${t.image.back}</a></div></div>`;
}

/** The picture. While the focal point is edited, a click puts it there. */
function FocusStage({ image, focus, change }) {
  const place = (event) => {
    if (!focus) return;
    const { left, top, width, height } = event.currentTarget.getBoundingClientRect();
    const share = (value) => Math.round(Math.min(1, Math.max(0, value)) * 1000) / 1000;
    change({ x: share((event.clientX - left) / width), y: share((event.clientY - top) / height) });
  };
  const [width, height] = image.width ? upright(image) : [undefined, undefined];
  const shape = width ? { aspectRatio: `${width} / ${height}`, maxWidth: `min(100%, calc(62vh * ${width / height}))` } : {};
  return html`<div class="stage">
    <div class=${`whole ${focus ? "picking" : ""}`} style=${{ ...shape, width: width ? `${Math.max(width, 120)}px` : undefined }} onClick=${place}>
      <${Picture} image=${image} make=${whole} alt=${image.alt || (image.width ? nameOf(image) : "")} width=${width} height=${height} lazy=${false} />
      ${focus && html`<span class="focus-point" style=${{ left: `${focus.x * 100}%`, top: `${focus.y * 100}%` }}></span>`}
    </div>
  </div>`;
}

function Facts({ image }) {
  const colours = [t.image.colourSpaces[image.colour_space] ?? image.colour_space, image.alpha && t.image.transparent, image.gain_map && t.image.hdr].filter(Boolean).join(", ");
  const facts = [
    [t.image.fact.name, image.original_filename],
    [t.image.fact.format, formatName(image.format)],
    [t.image.fact.size, `${image.width} × ${image.height}`],
    [t.image.fact.bytes, size(image.bytes)],
    [t.image.fact.colours, colours],
    [t.image.fact.frames, image.frames > 1 && number(image.frames)],
    [t.image.fact.added, moment(image.created_at)],
    [t.image.fact.expires, image.expires_at && moment(image.expires_at)],
    [t.image.fact.space, image.space !== "default" && image.space],
    [t.image.fact.id, html`<code>${image.image_id}</code> <${CopyButton} text=${image.image_id} label=${t.image.copyId} small />`],
    [t.image.fact.fingerprint, html`<code>${image.sha256}</code>`],
  ];
  return html`<section class="card" aria-labelledby="facts-title"><h2 id="facts-title">${t.image.facts}</h2>
    <dl class="facts">${facts.filter(([, value]) => value).map(([label, value]) => html`<dt>${label}</dt><dd>${value}</dd>`)}</dl></section>`;
}

/** Copies in other sizes, and the like. */
function Similar({ image }) {
  const { value } = useLoaded((signal) => ask(`/images/${image.image_id}/similar`, { signal }), [image.image_id]);
  if (!value?.images.length) return null;
  return html`<section class="card" aria-labelledby="similar-title"><h2 id="similar-title">${t.image.similar}</h2>
    <ul class="top-images">${value.images.slice(0, 12).map(({ image: each }) => html`<li key=${each.image_id}><a href=${`#/images/${each.image_id}`}>
      <${Picture} image=${each} make=${thumbnail} alt=${nameOf(each)} width="96" height="72" /></a></li>`)}</ul></section>`;
}

/** What is stored of this image, what was made in this tab, and what visitors request most, for administrators. */
function Variants({ image }) {
  const id = image.image_id;
  const loaded = (path, scope, inputs) => useLoaded((signal) => (may(scope) ? ask(path, { signal }) : Promise.resolve(null)), inputs);
  const stored = loaded(`/images/${id}/variants`, "metadata", [id]);
  const kept = stored.value?.variants ?? [];
  const usage = loaded("/usage?hours=24&limit=12", "admin", []).value?.chains ?? [];
  const known = useLoaded(operations, []);
  const rows = new Map();
  const add = (chain, text) => rows.has(chain) || rows.set(chain, text);
  for (const { chain, bytes, precomputed } of kept) add(chain, `${size(bytes)} · ${precomputed ? t.image.precomputed : t.image.stored}`);
  for (const { format, query, bytes, from } of variantsOf(id)) add(query ? `${format}?${query}` : format, `${size(bytes)} · ${from}`);
  for (const { chain, requests } of usage) if (!["other", "original"].includes(chain)) add(chain, t.image.requests(requests));
  const shown = (chain) => {
    const [format, query = ""] = chain.split(/\?(.*)/s);
    return known.value ? describe(known.value, { format, query }) : chain;
  };
  return html`<section class="card" aria-labelledby="variants-title"><h2 id="variants-title">${t.image.variants}</h2>
    <p class="hint">${may("admin") ? t.image.variantsText : t.image.sessionText}</p>
    ${stored.error && html`<${Failure} error=${stored.error} again=${stored.again} small />`}
    ${!rows.size && !stored.error && !stored.loading && html`<p>${t.image.noVariants}</p>`}
    <ul class="variants">${[...rows].map(([chain, text]) => html`<li key=${chain}><a href=${`#/images/${id}.${chain}`}><span>${shown(chain)}</span><small>${text}</small></a></li>`)}</ul></section>`;
}
