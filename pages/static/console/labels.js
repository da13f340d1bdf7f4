// What people say about an image. A refusal is shown at the control that caused it.

import { explained, Field, html, useEffect, useState } from "./ui.js";
import { may, noting, service } from "./session.js";
import { unsaved } from "./routes.js";
import t from "./strings.js";

const NAMES = ["title", "alt", "tags", "visibility", "metadata", "focus"];

export function Labels({ image, focus, setFocus, saved }) {
  const known = (name) => ({ title: image.title, alt: image.alt, tags: image.tags.join(", "), visibility: image.visibility, metadata: pretty(image.metadata) })[name];
  const [values, setValues] = useState({});
  const [errors, setErrors] = useState({});
  const [state, setState] = useState("");
  const [focusChanged, setFocusChanged] = useState(false);
  const value = (name) => values[name] ?? known(name);
  const isChanged = focusChanged || Object.keys(values).some((name) => values[name] !== known(name));
  useEffect(() => {
    unsaved(isChanged ? t.labels.unsaved : "");
    return () => unsaved("");
  }, [isChanged]);
  const put = (name) => (event) => {
    setValues({ ...values, [name]: event.target.value });
    setErrors({ ...errors, [name]: "" });
    setState("");
  };
  const point = (next) => {
    setFocus(next);
    setFocusChanged(true);
    setState("");
  };
  const submit = async (event) => {
    event.preventDefault();
    const change = {};
    for (const name of Object.keys(values)) if (values[name] !== known(name)) change[name] = values[name];
    if ("tags" in change) change.tags = change.tags.split(",").map((tag) => tag.trim()).filter(Boolean);
    if ("metadata" in change) {
      const { object, error } = asObject(change.metadata);
      if (error) return setErrors({ metadata: error });
      change.metadata = object;
    }
    if (focusChanged || (focus && !same(focus, image.focus))) change.focus = focus;
    if (!Object.keys(change).length) return setState("saved");
    setState("saving");
    try {
      const next = await noting(service().change(image.image_id, change));
      setErrors({});
      setValues({});
      setFocusChanged(false);
      setFocus(null);
      saved({ ...change, ...JSON.parse(JSON.stringify(next)) });
      setState("saved");
    } catch (error) {
      const detail = error.detail ?? "";
      const cause = NAMES.find((name) => new RegExp(`^\\W*${name}\\b`).test(detail)) ?? "all";
      setErrors({ [cause]: explained(error, { atControl: cause !== "all" }) });
      setState("");
    }
  };
  if (!may("upload")) return html`<${Shown} image=${image} />`;
  const text = (name, label, hint, more = {}) => html`<${Field} label=${label} hint=${hint} error=${errors[name]}>${(attributes) => html`
    <input ...${attributes} type="text" name=${name} value=${value(name)} onInput=${put(name)} ...${more} />`}<//>`;
  const area = (name, label, hint, rows, more = {}) => html`<${Field} label=${label} hint=${hint} error=${errors[name]}>${(attributes) => html`
    <textarea ...${attributes} name=${name} rows=${rows} value=${value(name)} onInput=${put(name)} ...${more}></textarea>`}<//>`;
  return html`<form class="card labels" onSubmit=${submit} aria-labelledby="labels-title" novalidate>
    <h2 id="labels-title">${t.labels.title}</h2>
    ${text("title", t.labels.name, null)}
    ${area("alt", t.labels.alt, t.labels.altHint, 3)}
    ${text("tags", t.labels.tags, t.labels.tagsHint)}
    <${Field} label=${t.labels.visibility} error=${errors.visibility}>${(attributes) => html`<select ...${attributes} value=${value("visibility")} onChange=${put("visibility")}>
      ${image.visibility === "pending" && html`<option value="pending" selected=${value("visibility") === "pending"}>${t.labels.nobodyYet}</option>`}
      <option value="public" selected=${value("visibility") === "public"}>${t.labels.everybody}</option>
      <option value="private" selected=${value("visibility") === "private"}>${t.labels.keyHolders}</option></select>`}<//>
    <${Focus} focus=${focus} known=${focusChanged && !focus ? null : image.focus} change=${point} error=${errors.focus} />
    ${area("metadata", t.labels.metadata, t.labels.metadataHint, 4, { spellcheck: false, class: "mono" })}
    ${errors.all && html`<p class="mistake" role="alert">${errors.all}</p>`}
    <div class="save-row"><button class="primary" disabled=${state === "saving"}>${state === "saving" ? t.labels.saving : t.labels.save}</button>
      <span role="status">${state === "saved" ? t.labels.saved : ""}</span></div>
  </form>`;
}

function Focus({ focus, known, change, error }) {
  const begin = () => change(known ?? { x: 0.5, y: 0.5 });
  const slider = (label, axis) => html`<${Field} label=${label}>${(attributes) => html`<div class="slider"><input ...${attributes} type="range" min="0" max="100" value=${Math.round(focus[axis] * 100)}
      onInput=${(event) => change({ ...focus, [axis]: Number(event.target.value) / 100 })} /><output>${Math.round(focus[axis] * 100)} %</output></div>`}<//>`;
  return html`<fieldset class="focus"><legend>${t.labels.focus}</legend>
    <p class="hint">${t.labels.focusHint} ${focus && t.labels.focusHow}</p>
    ${focus ? html`${slider(t.labels.focusX, "x")}${slider(t.labels.focusY, "y")}` : null}
    <div class="row">
      ${!focus && html`<button type="button" onClick=${begin}>${known ? `${Math.round(known.x * 100)} %, ${Math.round(known.y * 100)} %` : t.labels.focusSet}</button>`}
      ${(focus || known) && html`<button type="button" class="quiet" onClick=${() => change(null)}>${t.labels.focusClear}</button>`}
    </div>
    ${error && html`<p class="mistake" role="alert">${error}</p>`}
  </fieldset>`;
}

/** The same for those who may not change it. */
function Shown({ image }) {
  const rows = [
    [t.labels.name, image.title], [t.labels.alt, image.alt], [t.labels.tags, image.tags.join(", ")],
    [t.labels.metadata, Object.keys(image.metadata ?? {}).length > 0 && html`<pre class="code">${pretty(image.metadata)}</pre>`],
  ].filter(([, value]) => value);
  return html`<section class="card" aria-labelledby="labels-title"><h2 id="labels-title">${t.labels.title}</h2>
    <p class="hint">${t.labels.mayNot}</p>
    <dl class="facts">${rows.map(([label, value]) => html`<dt>${label}</dt><dd>${value}</dd>`)}</dl></section>`;
}

const same = (one, other) => !!one && !!other && one.x === other.x && one.y === other.y;
const pretty = (metadata) => (metadata && Object.keys(metadata).length ? JSON.stringify(metadata, null, 2) : "");

function asObject(text) {
  if (!text.trim()) return { object: {} };
  try {
    const object = JSON.parse(text);
    return object && typeof object === "object" && !Array.isArray(object) ? { object } : { error: t.labels.notObject };
  } catch (error) {
    return { error: t.labels.notJson(error.message) };
  }
}
