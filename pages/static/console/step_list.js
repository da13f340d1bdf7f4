// The steps in their order, which people change by dragging, or with buttons.

import { explained, html, IconButton, useRef, useState } from "./ui.js";
import { Control } from "./controls.js";
import { inWords } from "./chain.js";
import t from "./strings.js";

/** So many pixels from the end of the window, the page scrolls under a step that is dragged. */
const EDGE = 60;

/** What is needed comes first, and plain numbers that are not have less room. */
function groups(fields) {
  const isPlain = (field) => !field.required && field.kind === "number" && !field.slider;
  const main = [...fields.filter((field) => field.required), ...fields.filter((field) => !field.required && !isPlain(field))];
  return [["main", main], ["two", fields.filter(isPlain)]].filter(([, some]) => some.length);
}

export function StepList({ image, known, steps, change, mistakes, refused, problem }) {
  const list = useRef();
  const [dragged, setDragged] = useState(null);
  const [said, setSaid] = useState("");

  const move = (from, to) => {
    if (to < 0 || to >= steps.length || from === to) return;
    const moved = [...steps];
    moved.splice(to, 0, ...moved.splice(from, 1));
    change(moved);
    setSaid(t.builder.moved(known.get(steps[from].name).title, to + 1, steps.length));
  };
  const moveByKey = (from, to, event) => {
    const { does } = event.currentTarget.dataset;
    const { id } = steps[from];
    move(from, to);
    // The focus stays on the step, also at the end of the list, where this button has no use.
    requestAnimationFrame(() => {
      const item = list.current.querySelector(`[data-step="${id}"]`);
      (item.querySelector(`[data-does="${does}"]:not(:disabled)`) ?? item.querySelector("[data-does]:not(:disabled)"))?.focus();
    });
  };
  const grab = (event, id) => {
    if (event.button) return;
    event.preventDefault();
    event.currentTarget.setPointerCapture(event.pointerId);
    setDragged(id);
  };
  const drag = (event) => {
    if (!dragged) return;
    if (event.clientY < EDGE * 2) scrollBy(0, -EDGE / 4);
    if (event.clientY > innerHeight - EDGE) scrollBy(0, EDGE / 4);
    const from = steps.findIndex((step) => step.id === dragged);
    const items = [...list.current.children];
    const to = items.findIndex((item) => {
      const { top, bottom } = item.getBoundingClientRect();
      return event.clientY >= top && event.clientY <= bottom;
    });
    if (to < 0 || to === from) return;
    const { top, bottom, height } = items[to].getBoundingClientRect();
    // Not before the pointer is so far that it stays over the step: large and small ones would change places for ever.
    const mine = items[from].getBoundingClientRect().height;
    const passed = to > from ? event.clientY > bottom - Math.min(mine, height) : event.clientY < top + Math.min(mine, height);
    if (passed) move(from, to);
  };
  const drop = () => setDragged(null);
  const remove = (index) => {
    change(steps.filter((_, each) => each !== index));
    requestAnimationFrame(() => (list.current?.children[Math.min(index, steps.length - 2)]?.querySelector('[data-does="remove"]') ?? document.querySelector(".palette button"))?.focus());
  };
  return html`<ol class="steps" ref=${list}>
    ${steps.map((step, index) => {
      const operation = known.get(step.name);
      const put = (name, value) => change(steps.map((each) => (each === step ? { ...each, values: { ...each.values, [name]: value } } : each)));
      const wrong = mistakes.get(step.id) ?? new Map();
      const isRefused = index === refused;
      return html`<li key=${step.id} data-step=${step.id} class=${`step ${dragged === step.id ? "dragged" : ""} ${isRefused || wrong.size ? "wrong" : ""}`} aria-label=${inWords(known, step)}>
        <div class="step-head">
          <span class="handle" aria-hidden="true" title=${t.builder.drag(operation.title)} onPointerDown=${(event) => grab(event, step.id)} onPointerMove=${drag} onPointerUp=${drop} onPointerCancel=${drop}>
            <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" fill="currentColor"><path d="M8 5h3v3H8zm5 0h3v3h-3zM8 10.5h3v3H8zm5 0h3v3h-3zM8 16h3v3H8zm5 0h3v3h-3z" /></svg>
          </span>
          <h3>${operation.title}</h3>
          <${IconButton} name="up" data-does="up" label=${t.builder.moveUp(operation.title)} disabled=${index === 0} onClick=${(event) => moveByKey(index, index - 1, event)} />
          <${IconButton} name="down" data-does="down" label=${t.builder.moveDown(operation.title)} disabled=${index === steps.length - 1} onClick=${(event) => moveByKey(index, index + 1, event)} />
          <${IconButton} name="close" data-does="remove" label=${t.builder.remove(operation.title)} onClick=${() => remove(index)} />
        </div>
        ${operation.fields.length === 0 && html`<p class="hint">${operation.text}</p>`}
        ${groups(operation.fields).map(([name, fields]) => html`<div key=${name} class=${name}>${fields.map((field) => html`
          <${Control} key=${field.name} field=${field} value=${step.values[field.name]} image=${image} error=${wrong.get(field.name)} change=${(value) => put(field.name, value)} />`)}</div>`)}
        ${isRefused && html`<p class="mistake" role="alert">${explained(problem, { atControl: true })}</p>`}
      </li>`;
    })}
  </ol>
  <p class="visually-hidden" role="status">${said}</p>`;
}
