// Steps of a chain: what /chain.schema.json says about operations, as controls; to a URL, and back.

import { Chain } from "./client.js";
import t from "./strings.js";

/** Where a slider ends, if the range of the schema is too wide for one. Typing goes beyond it. */
const SLIDERS = {
  "blur.radius": [0, 40, 0.5],
  "blur.cut": [0.05, 1, 0.05],
  "brightness.factor": [0, 2, 0.05],
  "contrast.factor": [0, 2, 0.05],
  "saturation.factor": [0, 3, 0.05],
  "sharpen.sigma": [0, 5, 0.1],
  "pixelate.side": [1, 64, 1],
  "rotate.degrees": [-180, 180, 1],
  "thumb.side": [16, 2000, 1],
  "page.number": [0, 99, 1],
};
/** What a new step begins with. */
const FIRST_VALUES = {
  "blur.radius": 4, "brightness.factor": 1.1, "contrast.factor": 1.1, "saturation.factor": 1.3, "sharpen.sigma": 1, "pixelate.side": 12,
  "rotate.degrees": 90, "thumb.side": 600, "page.number": 0, "background.colour": "ffffff", "crop.box": [600, 600],
  "pad.box": [1200, 1200], "resize.box": [800, null], "profile.colours": "keep",
};
/** Quality belongs to the file, and has its place there. */
const ELSEWHERE = "compress";

let loading = null;

/** The operations by name, with their fields in the order of their arguments. */
export function operations() {
  loading ??= fetch("../chain.schema.json").then(async (response) => {
    if (!response.ok) throw new TypeError(`${response.status}`);
    return read(await response.json());
  });
  loading.catch(() => (loading = null));
  return loading;
}

function read(schema) {
  return new Map(Object.entries(schema.$defs).map(([name, { description, properties, required }]) => {
    const { operation: _, ...rest } = properties;
    const fields = Object.entries(rest).map(([field, about]) => fieldOf(name, field, about, required.includes(field)));
    const known = t.operations[name] ?? {};
    return [name, { name, title: known.name ?? name, text: known.text ?? description.split(". ")[0], fields, listed: name !== ELSEWHERE }];
  }));
}

function fieldOf(operation, name, about, required) {
  const schema = about.anyOf ? about.anyOf.find((each) => each.type !== "null") : about;
  const key = `${operation}.${name}`;
  const label = t.operations[operation]?.[name] ?? about.title ?? name;
  const field = { key, name, label, required, schema, initial: about.default ?? null };
  if (name === "box") return { ...field, kind: "box", bothSides: new RegExp(schema.pattern).test("1x1") && !new RegExp(schema.pattern).test("1x") };
  if (schema.enum) return { ...field, kind: "choice" };
  if (schema.type === "boolean") return { ...field, kind: "flag" };
  if (schema.type === "string") return { ...field, kind: name === "image_id" ? "image" : name === "colour" ? "colour" : "text" };
  const low = schema.minimum ?? schema.exclusiveMinimum;
  const step = schema.type === "integer" ? 1 : 0.05;
  const slider = SLIDERS[key] ?? (low !== undefined && schema.maximum <= 1000 ? [low, schema.maximum, step] : null);
  return { ...field, kind: "number", slider };
}

/** A new step. */
export function newStep(operation) {
  const values = {};
  for (const field of operation.fields) {
    const first = FIRST_VALUES[field.key] ?? field.initial;
    values[field.name] = first ?? (field.required && field.kind === "choice" ? field.schema.enum[0] : null);
  }
  return { id: unique(), name: operation.name, values };
}

let last = 0;
const unique = () => `step-${++last}`;

/** What is wrong with a value; empty if nothing is. */
export function mistake(field, value) {
  const { schema } = field;
  if (field.kind === "box") {
    const [width, height] = value ?? [null, null];
    if (field.bothSides ? !width || !height : !width && !height) return field.bothSides ? t.builder.bothSides : t.builder.sides;
    return [width, height].some((side) => side !== null && !(Number.isInteger(side) && side > 0)) ? t.builder.whole : "";
  }
  if (value === null || value === "") return field.required ? t.builder.required : "";
  if (field.kind === "number") {
    if (typeof value !== "number" || !Number.isFinite(value)) return t.builder.required;
    if (schema.type === "integer" && !Number.isInteger(value)) return t.builder.whole;
    const low = schema.minimum ?? schema.exclusiveMinimum ?? -Infinity;
    const high = schema.maximum ?? Infinity;
    const tooLow = "exclusiveMinimum" in schema ? value <= low : value < low;
    return tooLow || value > high ? t.builder.range(low, high) : "";
  }
  if (schema.pattern && !new RegExp(schema.pattern).test(value)) return field.kind === "image" ? t.builder.imageId : t.builder.colour;
  return "";
}

/** What a method of the client gets: arguments in order, then options by name. */
export function call(operation, step) {
  const given = [];
  const options = {};
  for (const field of operation.fields) {
    const value = step.values[field.name];
    if (field.kind === "box") given.push(...(value ?? [null, null]));
    else if (field.required) given.push(field.kind === "colour" ? value.replace(/^#/, "") : value);
    else if (value !== null && value !== "" && value !== field.initial) options[field.name] = value;
  }
  // Both of them, or none.
  if ("left" in options !== "top" in options) for (const name of ["left", "top"]) options[name] ??= 0;
  if ("left" in options) delete options.place;
  return { given, options };
}

/** The steps as a chain of the client. `quality` null: the service chooses. */
export function toChain(known, steps, quality = null) {
  return applied(new Chain(), known, steps, quality);
}

/** An image or a chain of the client, after these steps. */
export function applied(start, known, steps, quality = null) {
  let result = start;
  for (const step of steps) {
    const { given, options } = call(known.get(step.name), step);
    result = result[step.name](...given, options);
  }
  return quality === null ? result : result[ELSEWHERE](quality);
}

/** Steps, quality, and what is not a step, from a query. */
export function parse(known, query) {
  const steps = [];
  const rest = [];
  let quality = null;
  for (const pair of query.split("&").filter(Boolean)) {
    const [name, text = ""] = pair.split(/=(.*)/s);
    const operation = known.get(name);
    const values = operation && valuesOf(operation, decode(text));
    if (!values) rest.push(pair);
    else if (name === ELSEWHERE) quality = Math.min(quality ?? 100, values.quality);
    else steps.push({ id: unique(), name, values });
  }
  return { steps, quality, rest };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The arguments are in the order of the fields. Those that have a default may be missing. */
function valuesOf(operation, text) {
  const parts = operation.fields.length ? text.split(",").filter((part) => part !== "") : [];
  const values = {};
  for (const field of operation.fields) {
    const value = parts.length ? valueOf(field, parts[0]) : undefined;
    if (value !== undefined) parts.shift();
    else if (field.required) return null;
    values[field.name] = value ?? field.initial;
  }
  return parts.length ? null : values;
}

function valueOf(field, text) {
  if (field.kind === "box") {
    const sides = /^(\d*)(?:x(\d*))?$/.exec(text);
    return sides ? [sides[1] ? Number(sides[1]) : null, sides[2] ? Number(sides[2]) : null] : undefined;
  }
  if (field.kind === "choice") return field.schema.enum.includes(text) ? text : undefined;
  if (field.kind === "flag") return text === field.name ? true : undefined;
  if (field.kind === "number") return /^[+-]?(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : undefined;
  return text;
}

/** A step in words, such as `Blur 4`. */
export function inWords(known, step) {
  const operation = known.get(step.name);
  const texts = operation.fields.map((field) => {
    const value = step.values[field.name];
    if (value === null || value === field.initial) return "";
    if (field.kind === "box") return value.map((side) => side ?? "…").join(" × ");
    if (field.kind === "flag") return "";
    if (field.kind === "image") return "";
    return field.kind === "choice" ? (t.choices[value] ?? value).toLowerCase() : String(value);
  });
  return [operation.title, texts.filter(Boolean).join(", ")].filter(Boolean).join(" ");
}

/** Which step a problem is about: the one above the mark `^^^`, or the one that it names; -1 if none. */
export function markedStep(detail, query) {
  const pairs = query.split("&");
  const lines = detail.split("\n");
  const marks = lines.findIndex((line) => /^\s*\^+\s*$/.test(line));
  if (marks < 1) return pairs.findIndex((pair) => pair && (detail.startsWith(pair) || pair.split(/[=,]/).some((part) => part.length === 32 && detail.includes(part))));
  const line = lines[marks - 1];
  const indent = line.length - line.trimStart().length;
  const shown = line.trimStart();
  const offset = lines[marks].indexOf("^") - indent + Math.max(0, query.indexOf(shown));
  return query.slice(0, offset).split("&").length - 1;
}
