// The control of one argument, by its kind.

import { Field, html } from "./ui.js";
import { recent } from "./gallery.js";
import { nameOf } from "./ui.js";
import t from "./strings.js";

export function Control({ field, value, change, error, image }) {
  const control = { number: Numeric, box: Box, choice: Choice, flag: Flag, colour: Colour, image: ImageId, text: Text }[field.kind];
  if (field.kind === "flag") return html`<${Flag} field=${field} value=${value} change=${change} />`;
  if (field.kind === "box") return html`<${Box} field=${field} value=${value} change=${change} error=${error} />`;
  return html`<${Field} label=${field.label} error=${error}>${(attributes) => html`<${control} ...${{ attributes, field, value, change, image }} />`}<//>`;
}

const asNumber = (text) => (text === "" ? null : Number(text));

function Numeric({ attributes, field, value, change, image }) {
  const { schema, slider } = field;
  const low = schema.minimum ?? schema.exclusiveMinimum;
  const step = schema.type === "integer" ? 1 : "any";
  const entry = html`<input ...${attributes} type="number" inputmode="decimal" step=${step} min=${low} max=${schema.maximum} value=${value ?? ""}
    placeholder=${t.builder.notSet} onInput=${(event) => change(asNumber(event.target.value))} />`;
  if (!slider) return entry;
  const [from, to, by] = range(field, slider, image);
  // People who cannot see the slider type the number.
  return html`<div class="slider">
    <input type="range" aria-label=${field.label} min=${from} max=${to} step=${by} value=${value ?? from} onInput=${(event) => change(Number(event.target.value))} />
    ${entry}
  </div>`;
}

/** No wider than the image, and no more frames than it has. */
function range(field, [from, to, by], image) {
  if (field.key === "page.number" && image.frames > 1) return [0, image.frames - 1, 1];
  if (field.key === "thumb.side" && image.width) return [from, Math.max(from + 1, Math.min(4000, Math.max(image.width, image.height))), by];
  return [from, to, by];
}

function Box({ field, value, change, error }) {
  const [width, height] = value ?? [null, null];
  const side = (label, own, put) => html`<${Field} label=${label}>${(attributes) => html`
    <input ...${attributes} type="number" inputmode="numeric" min="1" step="1" value=${own ?? ""} aria-invalid=${error ? "true" : undefined}
      placeholder=${field.bothSides ? "" : t.builder.automatic} onInput=${(event) => put(asNumber(event.target.value))} />`}<//>`;
  return html`<fieldset class="box"><legend class="visually-hidden">${field.label}</legend>
    <div class="sides">
      ${side(t.builder.width, width, (changed) => change([changed, height]))}<span aria-hidden="true">×</span>
      ${side(t.builder.height, height, (changed) => change([width, changed]))}
    </div>
    ${error && html`<p class="mistake" role="alert">${error}</p>`}
  </fieldset>`;
}

function Choice({ attributes, field, value, change }) {
  return html`<select ...${attributes} value=${value} onChange=${(event) => change(event.target.value)}>
    ${field.schema.enum.map((each) => html`<option value=${each} selected=${each === value}>${t.choices[each] ?? each}</option>`)}
  </select>`;
}

function Flag({ field, value, change }) {
  return html`<label class="check"><input type="checkbox" checked=${!!value} onChange=${(event) => change(event.target.checked)} />${field.label}</label>`;
}

function Colour({ attributes, value, change }) {
  const hex = /^#?[0-9a-f]{6}/i.test(value ?? "") ? `#${value.replace("#", "").slice(0, 6)}` : "#ffffff";
  return html`<div class="colour">
    <input type="color" aria-label=${t.operations.background.colour} value=${hex} onInput=${(event) => change(event.target.value.slice(1))} />
    <input ...${attributes} type="text" spellcheck="false" value=${value ?? ""} onInput=${(event) => change(event.target.value.trim())} />
  </div>`;
}

function ImageId({ attributes, value, change }) {
  const list = `${attributes.id}-list`;
  return html`<input ...${attributes} type="text" spellcheck="false" list=${list} value=${value ?? ""} onInput=${(event) => change(event.target.value.trim())} />
    <datalist id=${list}>${recent().map((each) => html`<option value=${each.image_id}>${nameOf(each)}</option>`)}</datalist>`;
}

function Text({ attributes, value, change }) {
  return html`<input ...${attributes} type="text" value=${value ?? ""} onInput=${(event) => change(event.target.value)} />`;
}
