// Makes a version of an image: steps, their controls, and what comes out.

import {
  Failure, Field, html, Icon, IconButton, Loading, nameOf, useEffect, useLoaded, useMemo, useRef, useState,
} from "./ui.js";
import { applied, inWords, markedStep, mistake, newStep, operations, parse, toChain } from "./chain.js";
import { ask, may, service } from "./session.js";
import { CopyAs } from "./copy_as.js";
import { Preview, Result, Session, usePreview } from "./preview.js";
import { Control } from "./controls.js";
import { StepList } from "./step_list.js";
import { replace } from "./routes.js";
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
  const [format, setFormat] = useState(firstFormat);
  const written = useRef(null);

  const mistakes = useMemo(() => new Map(steps.map((step) => [step.id, mistakesOf(known, step)])), [steps]);
  const valid = [...mistakes.values()].every((found) => found.size === 0);
  const query = valid ? [toChain(known, steps, quality).toString(), ...first.rest].filter(Boolean).join("&") : null;
  const variant = valid ? applied(service().image(image.image_id), known, steps, quality) : null;
  const preview = usePreview(image, query, format);
  const refused = preview.error ? markedStep(preview.error.detail ?? "", query ?? "") : -1;

  useEffect(() => {
    if (query === null) return;
    written.current = query;
    replace(`/images/${image.image_id}.${format}${query ? `?${query}` : ""}`);
  }, [query, format]);
  // The address was changed by hand, or by the way back.
  useEffect(() => {
    if (firstQuery === written.current || written.current === null) return;
    const next = parse(known, firstQuery);
    setSteps(next.steps);
    setQuality(next.quality);
  }, [firstQuery]);
  useEffect(() => setFormat(firstFormat), [firstFormat]);

  const begin = (preset) => {
    const next = parse(known, preset.chain);
    setSteps(next.steps);
    setQuality(next.quality);
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
        <${Preview} image=${image} preview=${preview} paused=${!valid} />
        <${Result} image=${image} preview=${preview} query=${query} format=${format} known=${known} />
      </div>
      <div class="side">
        <section class="card" aria-labelledby="steps-title">
          <div class="card-title"><h2 id="steps-title">${t.builder.steps}</h2><${Presets} begin=${begin} /></div>
          ${steps.length === 0 && html`<p class="hint">${t.builder.noSteps}</p><div class="chips">
            ${t.presets.map((preset) => html`<button type="button" class="chip" onClick=${() => begin(preset)}>${preset.name}</button>`)}</div>`}
          <${StepList} image=${image} known=${known} steps=${steps} change=${setSteps} mistakes=${mistakes} refused=${refused} problem=${preview.error} />
          <${AddStep} known=${known} add=${(operation) => setSteps([...steps, newStep(operation)])} />
        </section>
        <section class="card" aria-labelledby="output-title">
          <h2 id="output-title">${t.builder.output}</h2>
          <${Field} label=${t.builder.format}>${(attributes) => html`<select ...${attributes} value=${format} onChange=${(event) => setFormat(event.target.value)}>
            ${FORMATS.map((each) => html`<option value=${each} selected=${each === format}>${t.builder.formats[each]}</option>`)}</select>`}<//>
          <${Quality} value=${quality} change=${setQuality} schema=${known.get("compress").fields[0].schema} />
        </section>
        ${variant && html`<${CopyAs} image=${image} variant=${variant} known=${known} steps=${steps} quality=${quality} format=${format} />`}
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

function Presets({ begin }) {
  return html`<select class="compact" aria-label=${t.builder.presets} value="" onChange=${(event) => { begin(t.presets[event.target.value]); event.target.value = ""; }}>
    <option value="" disabled selected>${t.builder.presets}…</option>
    ${t.presets.map((preset, index) => html`<option value=${index}>${preset.name}</option>`)}
  </select>`;
}

function AddStep({ known, add }) {
  const listed = [...known.values()].filter((each) => each.listed).sort((one, other) => one.title.localeCompare(other.title));
  const choose = (event) => {
    add(known.get(event.target.value));
    event.target.value = "";
  };
  return html`<label class="add-step button"><${Icon} name="plus" /><span>${t.builder.add}</span>
    <select aria-label=${t.builder.add} value="" onChange=${choose}>
      <option value="" disabled selected>${t.builder.add}</option>
      ${listed.map((each) => html`<option value=${each.name}>${each.title}</option>`)}
    </select></label>`;
}

function Quality({ value, change, schema }) {
  return html`<${Field} label=${t.builder.quality}>${(attributes) => html`<div class="slider">
    <input ...${attributes} type="range" min=${Math.max(1, schema.minimum)} max=${schema.maximum} value=${value ?? 80} class=${value === null ? "unset" : ""}
      aria-valuetext=${value === null ? t.builder.automatic : String(value)} onInput=${(event) => change(Number(event.target.value))} />
    <output>${value ?? t.builder.automatic}</output>
    ${value !== null && html`<${IconButton} name="close" label=${t.builder.reset} onClick=${() => change(null)} />`}
  </div>`}<//>`;
}
