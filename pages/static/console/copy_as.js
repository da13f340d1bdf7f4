// The variant for pages and programs: URLs, HTML, and code.

import { CopyButton, explained, Field, html, useEffect, useState } from "./ui.js";
import { ask, BASE, hasKey, may, session } from "./session.js";
import { call } from "./chain.js";
import t from "./strings.js";

const KINDS = ["url", "signed", "srcset", "picture", "curl", "python", "javascript"];
const HTML = new Set(["srcset", "picture"]);

export function CopyAs({ image, variant, known, steps, quality, format, preview }) {
  const [kind, setKind] = useState("url");
  const [widths, setWidths] = useState("400, 800, 1600");
  const [sizes, setSizes] = useState("");
  const list = widths.split(/[\s,]+/).filter(Boolean).map(Number);
  const wrong = !list.length || list.some((width) => !Number.isInteger(width) || width < 1 || width > 16383);
  const kinds = KINDS.filter((each) => each !== "signed" || may("sign"));
  const written = sizes.trim().replace(/(^|[\s,])(\d+)(?=\s*(,|$))/g, "$1$2px");
  const wrongSizes = !isLength(written);
  // Nothing is enlarged: a browser that is told of a wider one than there is shows it too small.
  const result = preview.url === variant.url(format) ? preview.width : 0;
  const candidates = [...new Set(list.map((width) => Math.min(width, result)))].sort((one, other) => one - other);
  const widest = candidates.at(-1);
  const onPage = {
    sizes: written || `(max-width: ${widest}px) 100vw, ${widest}px`, width: widest, height: Math.round((preview.height * widest) / result),
    alt: image.alt ?? "", loading: "lazy", style: "max-width: 100%; height: auto",
  };
  const given = { image, variant, known, steps, quality, format, widths: candidates, onPage };
  const text = kind === "signed" || (HTML.has(kind) && (wrong || wrongSizes || !result)) ? "" : texts[kind](given);
  return html`<section class="card copy-as" aria-labelledby="copy-title">
    <h2 id="copy-title">${t.copy.title}</h2>
    ${image.visibility && image.visibility !== "public" && session.get().me.keys_required && kind !== "signed" && html`<p class="hint">${t.copy.privateNote} ${!may("sign") && t.copy.noSigning}</p>`}
    <div class="chips" role="radiogroup" aria-label=${t.copy.as}>
      ${kinds.map((each) => html`<label class="chip"><input type="radio" name="copy-as" value=${each} checked=${kind === each} onChange=${() => setKind(each)} />${t.copy.kinds[each]}</label>`)}
    </div>
    ${HTML.has(kind) && html`<div class="two">
      <${Field} label=${t.copy.widths} hint=${t.copy.widthsHint} error=${wrong && t.copy.widthsWrong}>${(attributes) => html`<input ...${attributes} type="text" inputmode="numeric" value=${widths} onInput=${(event) => setWidths(event.target.value)} />`}<//>
      <${Field} label=${t.copy.sizes} hint=${t.copy.sizesHint} error=${wrongSizes && t.copy.sizesWrong}>${(attributes) => html`<input ...${attributes} type="text" value=${sizes} placeholder=${result && widest ? onPage.sizes : ""} onInput=${(event) => setSizes(event.target.value)} />`}<//>
    </div>`}
    ${kind === "signed" ? html`<${Signed} url=${variant.url(format)} />` : text && html`<${Code} text=${text} />`}
  </section>`;
}

function Code({ text }) {
  return html`<pre tabindex="0" class="code"><code>${text}</code></pre><${CopyButton} text=${text} primary />`;
}

function Signed({ url }) {
  const [expires, setExpires] = useState(t.copy.expiresChoices[1][0]);
  const [state, setState] = useState({});
  useEffect(() => setState({}), [url, expires]);
  const sign = async () => {
    setState({ busy: true });
    try {
      const { url: signed } = await ask("/sign", { method: "POST", body: { url, ...(expires ? { expires_in: Number(expires) } : {}) } });
      setState({ signed });
    } catch (error) {
      setState({ error: explained(error) });
    }
  };
  return html`<${Field} label=${t.copy.expires} error=${state.error}>${(attributes) => html`<select ...${attributes} value=${expires} onChange=${(event) => setExpires(event.target.value)}>
      ${t.copy.expiresChoices.map(([seconds, text]) => html`<option value=${seconds} selected=${seconds === expires}>${text}</option>`)}</select>`}<//>
    ${state.signed ? html`<p class="hint">${t.copy.signed}</p><${Code} text=${state.signed} />` : html`<button type="button" class="primary" disabled=${state.busy} onClick=${sign}>${t.copy.sign}</button>`}`;
}

/** Whether each of some widths can be one. Those with functions or conditions are left to the browser. */
const isLength = (sizes) => !sizes || (!sizes.includes("%") && (sizes.includes("(") || sizes.split(",").every((each) => CSS.supports("width", each.trim()))));
const needsKey = ({ image }) => session.get().me.keys_required && image.visibility !== "public";

const texts = {
  url: ({ variant, format }) => variant.url(format),
  srcset: (given) => given.variant.img(given.widths, given.format, given.onPage),
  picture: (given) => given.variant.picture(given.widths, formats(given.format), given.onPage),
  curl: (given) => `curl -f${needsKey(given) ? ' -H "Authorization: Bearer $KEY"' : ""} -o picture.${given.format === "auto" ? "img" : given.format} '${given.variant.url(given.format)}'`,
  python: (given) => [
    "from imgsvc_client import Client", "",
    `client = Client(${JSON.stringify(BASE)}${needsKey(given) ? ', key="ik_…"' : ""})`,
    `image = client.image("${given.image.image_id}")`,
    `url = image${calls(given, python)}.url("${given.format}")`,
  ].join("\n"),
  javascript: (given) => [
    'import { Client } from "imgsvc-client";', "",
    `const client = new Client(${JSON.stringify(BASE)}${needsKey(given) ? ', { key: "ik_…" }' : ""});`,
    `const image = client.image("${given.image.image_id}");`,
    `const url = image${calls(given, javascript)}.url("${given.format}");`,
  ].join("\n"),
};

/** The chosen format last, behind the smaller ones. */
function formats(format) {
  const last = format === "auto" || format === "avif" || format === "webp" ? "jpg" : format;
  return [...new Set(["avif", "webp", last])];
}

/** Methods of the clients, which have the names of the operations. */
function calls({ known, steps, quality }, write) {
  const written = steps.map((step) => {
    const { given, options } = call(known.get(step.name), step);
    return `.${step.name}(${write(given, options)})`;
  });
  return [...written, ...(quality === null ? [] : [`.compress(${quality})`])].join("");
}

function javascript(given, options) {
  const named = Object.entries(options).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
  return [...given.map((value) => JSON.stringify(value)), ...(named.length ? [`{ ${named.join(", ")} }`] : [])].join(", ");
}

function python(given, options) {
  const literal = (value) => ({ null: "None", true: "True", false: "False" })[String(value)] ?? JSON.stringify(value);
  return [...given.map(literal), ...Object.entries(options).map(([name, value]) => `${name}=${literal(value)}`)].join(", ");
}
