// Makes a variant of an image: steps, their controls, and what comes out.

import {
  Failure, Field, formatName, html, Icon, IconButton, Loading, nameOf, useEffect, useLoaded, useMemo, useRef, useState,
} from "./ui.js";
import { applied, inWords, markedStep, mistake, newStep, operations, parse, toChain } from "./chain.js";
import { ask, may, service } from "./session.js";
import { CopyAs } from "./copy_as.js";
import { Preview, Result, Session, usePreview } from "./preview.js";
import { Control } from "./controls.js";
import { StepList } from "./step_list.js";
import { replace, route } from "./routes.js";
import { Gone } from "./image.js";
import t from "./strings.js";

const FORMATS = ["auto", "webp", "avif", "jpg", "png", "gif", "tiff"];

export default function Builder({ id, format, query }) {
  const known = useLoaded(operations, []);
  const about = useLoaded((signal) => (may("metadata") ? ask(`/images/${id}/info`, { signal }) : Promise.resolve({ image_id: id })), [id]);
  const failed = known.error ?? about.error;
  if (failed?.status === 404 || failed?.status === 410) return html`<${Gone} error=${failed} />`;
  if (failed) return html`<div class="page"><${Failure} error=${failed} again=${known.error ? known.again : about.again} /></div>`;
  if (!known.value || !about.value) return html`<div class="page"><${Loading} /></div>`;
  return html`<${Editor} key=${id} image=${about.value} known=${known.value} format=${format} query=${query} />`;
}

function Editor({ image, known, format: firstFormat, query: firstQuery }) {
  const first = useMemo(() => parse(known, firstQuery), []);
  const [steps, setSteps] = useState(first.steps);
  const [quality, setQuality] = useState(first.quality);
  const [rest, setRest] = useState(first.rest);
  const [format, setFormat] = useState(firstFormat);

  const mistakes = useMemo(() => new Map(steps.map((step) => [step.id, mistakesOf(known, step)])), [steps]);
  const valid = [...mistakes.values()].every((found) => found.size === 0);
  const query = valid ? [toChain(known, steps, quality).toString(), ...rest].filter(Boolean).join("&") : null;
  const variant = valid ? rest.reduce((made, pair) => made.then_(pair), applied(service().image(image.image_id), known, steps, quality)) : null;
  const preview = usePreview(image, query, format);
  const refused = preview.error ? markedStep(preview.error.detail ?? "", query ?? "") : -1;

  useEffect(() => {
    if (query !== null) replace(`/images/${image.image_id}.${format}${query ? `?${query}` : ""}`);
  }, [query, format]);
  const show = (next) => {
    setSteps(next.steps);
    setQuality(next.quality);
    setRest(next.rest);
  };
  // The address was changed by hand, by a link, or by the way back, and not by `replace`.
  useEffect(() => {
    const follow = () => {
      const next = route.get();
      if (next.id !== image.image_id || !next.format) return;
      show(parse(known, next.query));
      setFormat(next.format);
    };
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);

  const add = (operation) => {
    const step = newStep(operation);
    if (operation.name === "pad" && preview.width) {
      // Larger than what is there, so that there are margins to see.
      step.values.box = [preview.width, preview.height].map((side) => Math.min(16383, Math.round(side * 1.1)));
    }
    setSteps([...steps, step]);
    requestAnimationFrame(() => requestAnimationFrame(() => document.querySelector(`[data-step="${step.id}"]`)?.querySelector("input, select, [data-does]:not(:disabled)")?.focus()));
  };
  const begin = (preset) => {
    show(parse(known, preset.chain));
    setFormat(preset.format);
  };
  return html`<div class="page builder">
    <div class="title-row">
      <a class="quiet back" href=${`#/images/${image.image_id}`}><${Icon} name="back" />${t.builder.back}</a>
      <h1 tabindex="-1">${t.builder.title}</h1>
      <p class="count">${image.width ? nameOf(image) : ""}</p>
    </div>
    <div class="columns">
      <div class="stage-column">
        <${Preview} image=${image} preview=${preview} paused=${!valid || (refused >= 0 && refused < steps.length)} />
        <${Result} image=${image} preview=${preview} query=${query} format=${format} known=${known} />
      </div>
      <div class="side">
        <section class="card" aria-labelledby="steps-title">
          <h2 id="steps-title">${t.builder.steps}</h2>
          ${steps.length === 0 && html`<p class="hint">${t.builder.noSteps}</p><div class="chips">
            ${t.presets.map((preset) => html`<button type="button" class="chip" onClick=${() => begin(preset)}>${preset.name}</button>`)}</div>`}
          <${StepList} image=${image} known=${known} steps=${steps} change=${setSteps} mistakes=${mistakes} refused=${refused} problem=${preview.error} />
          ${rest.map((pair) => html`<div key=${pair} class="step"><div class="step-head"><h3><code>${pair}</code></h3>
            <${IconButton} name="close" label=${t.builder.remove(pair)} onClick=${() => setRest(rest.filter((each) => each !== pair))} /></div></div>`)}
          <${AddStep} known=${known} add=${add} />
          ${steps.length > 0 && html`<${Palette} label=${t.builder.presets} icon="edit" options=${t.presets} choose=${begin} />`}
        </section>
        <section class="card" aria-labelledby="output-title">
          <h2 id="output-title">${t.builder.output}</h2>
          <${Field} label=${t.builder.format}>${(attributes) => html`<select ...${attributes} value=${format} onChange=${(event) => setFormat(event.target.value)}>
            ${[...new Set([...FORMATS, format])].map((each) => html`<option value=${each} selected=${each === format}>${formatName(each)}</option>`)}</select>`}<//>
          <${Quality} value=${quality} change=${setQuality} schema=${known.get("compress").fields[0].schema} />
        </section>
        ${variant && html`<${CopyAs} image=${image} variant=${variant} known=${known} steps=${steps} quality=${quality} format=${format} preview=${preview} />`}
        <${Session} image=${image} known=${known} current=${preview.url} />
      </div>
    </div>
  </div>`;
}

function mistakesOf(known, step) {
  const found = new Map();
  for (const field of known.get(step.name).fields) {
    const text = mistake(field, step.values[field.name]);
    if (text) found.set(field.name, text);
  }
  return found;
}

/** A button, and what it offers once it is pressed. */
function Palette({ label, icon, options, choose }) {
  const [open, setOpen] = useState(false);
  const button = useRef();
  const list = useRef();
  useEffect(() => {
    if (open) list.current.querySelector("button")?.focus();
  }, [open]);
  const keys = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") {
      setOpen(false);
      button.current.focus();
    } else if (step) {
      event.preventDefault();
      const all = [...list.current.querySelectorAll("button")];
      all[(all.indexOf(document.activeElement) + step + all.length) % all.length].focus();
    }
  };
  return html`<div class="palette" onKeyDown=${keys}>
    <button type="button" ref=${button} aria-expanded=${open} onClick=${() => setOpen(!open)}><${Icon} name=${icon} />${label}</button>
    ${open && html`<div class="chips" role="group" aria-label=${label} ref=${list}>
      ${options.map((each) => html`<button type="button" class="chip" title=${each.text} onClick=${() => { setOpen(false); choose(each); }}>${each.title ?? each.name}</button>`)}
    </div>`}
  </div>`;
}

function AddStep({ known, add }) {
  const listed = [...known.values()].filter((each) => each.listed).sort((one, other) => one.title.localeCompare(other.title));
  return html`<${Palette} label=${t.builder.add} icon="plus" options=${listed} choose=${add} />`;
}

function Quality({ value, change, schema }) {
  return html`<${Field} label=${t.builder.quality}>${(attributes) => html`<div class="slider">
    <input ...${attributes} type="range" min=${Math.max(1, schema.minimum)} max=${schema.maximum} value=${value ?? 80} class=${value === null ? "unset" : ""}
      aria-valuetext=${value === null ? t.builder.automatic : String(value)} onInput=${(event) => change(Number(event.target.value))} />
    <output>${value ?? t.builder.automatic}</output>
    ${value !== null && html`<${IconButton} name="close" label=${t.builder.reset} onClick=${() => change(null)} />`}
  </div>`}<//>`;
}
