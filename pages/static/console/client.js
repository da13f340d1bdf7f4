// The JavaScript client. Written by `make docs`; do not edit.

export class ApiError extends Error {
  constructor(status, detail, requestId = "", retryAfter = null) {
    super(`${status}: ${detail}`);
    this.name = "ApiError";
    this.status = status;
    this.detail = detail;
    this.requestId = requestId;
    this.retryAfter = retryAfter;
  }
}

export class ConnectionFailed extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = "ConnectionFailed";
  }
}

export function fromResponse(status, header, text) {
  let detail = text.slice(0, 200).trim() || "the response has no body";
  try {
    detail = JSON.parse(text).detail ?? detail;
  } catch {
  }
  const after = header("Retry-After") ?? "";
  return new ApiError(status, detail, header("X-Request-ID") ?? "", /^\d+$/.test(after) ? Number(after) : null);
}

const SECRET = /^sk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})$/;
const PICTURE = /^(.*?)(\/(?:v1\/)?(?:images?\/[^/?]+(?:\?.*)?|transform\?.*))$/;
const SIGNED = /[?&](?:key|expires|signature|widths|presets)=/;

export async function sign(url, secret, { expires = null, widths = [], presets = [] } = {}) {
  const key = SECRET.exec(secret.trim());
  const match = PICTURE.exec(url);
  if (!key) throw new TypeError("the secret is not a signing secret; it begins with sk_");
  if (!match || url.includes("#")) {
    throw new TypeError(`${JSON.stringify(url)} is not the URL of a picture, such as https://HOST/v1/images/ID.webp?thumb=300`);
  }
  if (SIGNED.test(url)) throw new TypeError("the URL is signed already, or has a parameter of signed URLs; remove it");
  const [, base, target] = match;
  const ends = [];
  if (widths.length) ends.push(`widths=${widths.join(",")}`);
  if (presets.length) ends.push(`presets=${presets.join(",")}`);
  ends.push(`key=${key[1]}`);
  if (expires !== null) ends.push(`expires=${seconds(expires)}`);
  const signed = `${target}${target.includes("?") ? "&" : "?"}${ends.join("&")}`;
  let text = signed.replace(/^\/(?:v1\/)?transform\?/, "/v1/transform?").replace(/^\/(?:v1\/)?images?\//, "/v1/images/");
  if (widths.length) text = covered(text, /([?&](?:thumb|w|width)=)[^&]*/g, "width");
  if (presets.length) text = covered(text, /([?&]preset=)[^&]*/g, "preset");
  return `${base}${signed}&signature=${await hmac(key[2], text)}`;
}

function seconds(expires) {
  const found = expires instanceof Date ? Math.floor(expires / 1000) : expires;
  if (!Number.isInteger(found) || found * 1000 <= Date.now()) {
    throw new TypeError(`expires: ${expires} is not a time in the future; use new Date(Date.now() + 3_600_000), for example`);
  }
  return found;
}

function covered(text, pattern, what) {
  if ((text.match(pattern) ?? []).length !== 1) {
    throw new TypeError(`the URL needs one ${what}, since the signature is for several`);
  }
  return text.replace(pattern, "$1*");
}

async function hmac(secret, text) {
  const bytes = new TextEncoder();
  const key = await crypto.subtle.importKey("raw", bytes.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const digest = new Uint8Array(await crypto.subtle.sign("HMAC", key, bytes.encode(text)));
  return btoa(String.fromCharCode(...digest)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

export class Operations {
  preset(name) {
    return this.then_(`preset=${encodeURIComponent(name)}`);
  }

  autocrop() {
    return this.then_(step("autocrop"));
  }

  background(colour) {
    return this.then_(step("background", [colour, null]));
  }

  blur(radius, given = {}) {
    const { cut = 0.2 } = options("blur", given, "cut");
    return this.then_(step("blur", [radius, null], [cut, 0.2]));
  }

  brightness(factor) {
    return this.then_(step("brightness", [factor, null]));
  }

  compress(quality) {
    return this.then_(step("compress", [quality, null]));
  }

  contrast(factor) {
    return this.then_(step("contrast", [factor, null]));
  }

  crop(width, height, given = {}) {
    const { left = null, top = null, place = "centre" } = options("crop", given, "left", "top", "place");
    return this.then_(step("crop", [left, null], [top, null], [box(width, height), null], [place, "centre"]));
  }

  flip() {
    return this.then_(step("flip"));
  }

  flop() {
    return this.then_(step("flop"));
  }

  grayscale() {
    return this.then_(step("grayscale"));
  }

  pad(width, height) {
    return this.then_(step("pad", [box(width, height), null]));
  }

  page(number) {
    return this.then_(step("page", [number, null]));
  }

  pixelate(side) {
    return this.then_(step("pixelate", [side, null]));
  }

  profile(colours) {
    return this.then_(step("profile", [colours, null]));
  }

  resize(width = null, height = null, given = {}) {
    const { fit = "inside", enlarge = false } = options("resize", given, "fit", "enlarge");
    return this.then_(step("resize", [box(width, height), null], [fit, "inside"], [enlarge ? "enlarge" : null, null]));
  }

  rotate(degrees) {
    return this.then_(step("rotate", [degrees, null]));
  }

  saturation(factor) {
    return this.then_(step("saturation", [factor, null]));
  }

  sharpen(sigma) {
    return this.then_(step("sharpen", [sigma, null]));
  }

  thumb(side) {
    return this.then_(step("thumb", [side, null]));
  }

  watermark(image_id, given = {}) {
    const { place = "centre", opacity = 1.0, scale = null } = options("watermark", given, "place", "opacity", "scale");
    return this.then_(step("watermark", [image_id, null], [place, "centre"], [opacity, 1.0], [scale, null]));
  }
}

function options(operation, given, ...known) {
  if (typeof given !== "object" || given === null) {
    throw new TypeError(`${operation} takes options behind its arguments, such as { ${known[0]}: … }`);
  }
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) throw new TypeError(`${operation} has no option ${name}; use ${known.join(", ")}`);
  }
  return given;
}

function box(width, height) {
  return `${width ?? ""}x${height ?? ""}`;
}

function step(name, ...pairs) {
  const given = [...pairs];
  while (given.length && given.at(-1)[0] === given.at(-1)[1]) given.pop();
  const texts = given.map(([value]) => value).filter((value) => value !== null);
  return texts.length ? `${name}=${texts.map(text).join(",")}` : name;
}

function text(value) {
  if (value === undefined) throw new TypeError("an argument is missing");
  if (typeof value !== "number") return encodeURIComponent(value);
  if (!Number.isFinite(value)) throw new TypeError(`${value} is not a number for a picture`);
  return Number.isInteger(value) ? String(value) : value.toFixed(15).replace(/0+$/, "");
}

export class Chain extends Operations {
  constructor(steps = []) {
    super();
    this.steps = Object.freeze([...steps]);
    Object.freeze(this);
  }

  then_(step) {
    return new Chain([...this.steps, step]);
  }

  toString() {
    return this.steps.join("&");
  }
}

export class Variant extends Operations {
  constructor(original, chain = new Chain(), secret = null, isNamed = false) {
    super();
    this.original = original;
    this.chain = chain;
    Object.defineProperty(this, "isNamed", { value: isNamed });
    Object.defineProperty(this, "secret", { value: secret });
    Object.freeze(this);
  }

  then_(step) {
    return new Variant(this.original, this.chain.then_(step), this.secret, this.isNamed);
  }

  url(format = null, { width = null, download = null } = {}) {
    const pairs = [...this.chain.steps];
    if (width) pairs.push(`w=${width}`);
    if (download) pairs.push(download === true ? "download" : `download=${encodeURIComponent(download)}`);
    if (format && this.isNamed) pairs.push(`format=${format}`);
    const extension = format && !this.isNamed ? `.${format}` : "";
    return `${this.original}${extension}${pairs.length ? `?${pairs.join("&")}` : ""}`;
  }

  async signedUrl(format = null, { expires = null, width = null, widths = [] } = {}) {
    if (this.isNamed) throw new TypeError("names are not signed; sign the URL of the image: client.image(…)");
    if (!this.secret) throw new TypeError("there is no signing secret; give one to the client: { signingSecret: 'sk_…' }");
    return sign(this.url(format, { width }), this.secret, { expires, widths });
  }

  srcset(widths, format = null) {
    return widths.map((width) => `${this.url(format, { width })} ${width}w`).join(", ");
  }

  img(widths = [], format = null, attributes = {}) {
    const source = { src: this.url(format, { width: widths.at(-1) ?? null }) };
    if (widths.length) source.srcset = this.srcset(widths, format);
    return `<img ${html({ ...source, ...attributes })}>`;
  }

  picture(widths, formats = ["avif", "webp", "jpg"], attributes = {}) {
    const sizes = "sizes" in attributes ? { sizes: attributes.sizes } : {};
    const sources = formats
      .slice(0, -1)
      .map((format) => `  <source ${html({ type: `image/${format}`, srcset: this.srcset(widths, format), ...sizes })}>`);
    return ["<picture>", ...sources, `  ${this.img(widths, formats.at(-1), attributes)}`, "</picture>"].join("\n");
  }
}

const ESCAPED = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;" };

function html(attributes) {
  return Object.entries(attributes)
    .map(([name, value]) => `${name}="${String(value).replace(/[&<>"']/g, (char) => ESCAPED[char])}"`)
    .join(" ");
}

const RETRIED = new Set([429, 502, 503, 504]);
const REFUSED = new Set([429, 503]);
const LONGEST_PAUSE = 30;

function asImage(answer, variant) {
  const image = Object.create(variant);
  const { url: _, ...facts } = answer;
  Object.assign(image, facts);
  return Object.freeze(image);
}

export class Client {
  #base;
  #headers = {};
  #retries;
  #secret;
  #isToken;

  constructor(url, { key = null, token = null, signingSecret = null, retries = 4 } = {}) {
    const { protocol, search, hash } = new URL(url);
    if (!/^https?:$/.test(protocol) || search || hash) {
      throw new TypeError(`${JSON.stringify(url)} is not the URL of a service, such as https://images.example.com`);
    }
    this.#base = `${url.replace(/\/+$/, "").replace(/\/v1$/, "")}/v1`;
    if (key ?? token) this.#headers.Authorization = `Bearer ${key ?? token}`;
    this.#isToken = !key && token !== null;
    this.#retries = retries;
    this.#secret = signingSecret;
  }

  async upload(file, { name = file?.name ?? "image", space, visibility, idempotencyKey, progress, signal, ...labels } = {}) {
    const blob = asBlob(file);
    const form = new FormData();
    for (const [label, value] of Object.entries(labels)) {
      if (value !== undefined && value !== null) form.append(label, asText(label, value));
    }
    form.append("image", blob, name);
    const query = asQuery({ space, visibility });
    const headers = this.#isToken ? {} : { "Idempotency-Key": idempotencyKey ?? unique() };
    const request = { method: "POST", body: form, headers, progress, signal, repeats: !this.#isToken };
    const answer = await this.#send(`/images${query}`, request);
    return this.#image(JSON.parse(answer));
  }

  image(imageId) {
    return new Variant(`${this.#base}/images/${asId(imageId)}`, new Chain(), this.#secret);
  }

  async info(imageId) {
    return this.#image(JSON.parse(await this.#send(`/images/${asId(imageId)}/info`)));
  }

  named(name) {
    return new Variant(`${this.#base}/names/${asName(name)}`, new Chain(), null, true);
  }

  async point(name, shown) {
    const path = `/names/${asName(name)}`;
    if (typeof shown === "number") return this.#pointed(await this.#json("PUT", path, { version: shown }, { repeats: false }));
    if (typeof shown === "string" || shown?.image_id) {
      return this.#pointed(await this.#json("PUT", path, { image_id: asId(shown) }, { repeats: false }));
    }
    const form = new FormData();
    form.append("image", asBlob(shown), shown.name ?? "image");
    return this.#pointed(await this.#send(path, { method: "PUT", body: form, repeats: false }));
  }

  #pointed(answer) {
    return this.#image(JSON.parse(answer).image);
  }

  async similar(imageId, limit = 20) {
    const answer = JSON.parse(await this.#send(`/images/${asId(imageId)}/similar${asQuery({ limit })}`));
    return answer.images.map(({ image, distance }) => ({ image: this.#image(image), distance }));
  }

  async *images(options = {}) {
    if (typeof options !== "object") throw new TypeError('images takes an object, such as { q: "beach" }');
    const { page = 100, ...filters } = options;
    let cursor;
    do {
      const answer = JSON.parse(await this.#send(`/images${asQuery({ limit: page, cursor, ...filters })}`));
      for (const each of answer.images) yield this.#image(each);
      cursor = answer.cursor;
    } while (cursor !== null);
  }

  async change(imageId, values) {
    return this.#image(JSON.parse(await this.#json("PATCH", `/images/${asId(imageId)}`, values)));
  }

  async delete(imageId) {
    await this.#send(`/images/${asId(imageId)}`, { method: "DELETE" });
  }

  async download(picture, format = null) {
    return this.#send(picture.url(format).slice(this.#base.length), { bytes: true });
  }

  async transform(file, chain, format = null) {
    const form = new FormData();
    form.append("image", asBlob(file), "image");
    const pairs = [...chain.steps, ...(format ? [`format=${format}`] : [])];
    return this.#send(`/transform${pairs.length ? `?${pairs.join("&")}` : ""}`, { method: "POST", body: form, bytes: true });
  }

  async uploadToken(values = {}) {
    return JSON.parse(await this.#json("POST", "/uploads", values, { repeats: false }));
  }

  #image(answer) {
    return asImage(answer, this.image(answer.image_id));
  }

  #json(method, path, values, more = {}) {
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify(values.focus ? { ...values, focus: asPoint(values.focus) } : values);
    return this.#send(path, { method, headers, body, ...more });
  }

  async #send(path, { repeats = true, ...request } = {}) {
    for (let attempt = 0; ; attempt++) {
      let error;
      try {
        const { status, header, body } = await this.#try(path, request);
        if (status < 400) return request.bytes ? body : new TextDecoder().decode(body);
        error = fromResponse(status, header, new TextDecoder().decode(body));
        if (attempt && request.method === "DELETE" && status === 410) return ""; // the first attempt has arrived
        if (!RETRIED.has(status) || (!repeats && !REFUSED.has(status))) throw error;
      } catch (caught) {
        if (caught === error || caught.name === "AbortError" || caught.name === "TimeoutError") throw caught;
        error = new ConnectionFailed(`${this.#base} does not answer: ${caught.cause?.message ?? caught.message}`, { cause: caught });
        if (!repeats) throw error;
      }
      if (attempt >= this.#retries) throw error;
      const seconds = Math.min(LONGEST_PAUSE, error.retryAfter ?? 0.2 * 2 ** attempt) * (1 + Math.random() / 4);
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    }
  }

  async #try(path, { method = "GET", headers = {}, body, progress, signal }) {
    const url = this.#base + path;
    const all = { ...this.#headers, ...headers };
    if (progress && globalThis.XMLHttpRequest) return sendWithProgress(url, { method, headers: all, body, progress, signal });
    let options = { method, headers: all, body, signal };
    if (progress) options = counted(url, options, progress);
    const response = await fetch(url, options);
    const received = new Uint8Array(await response.arrayBuffer());
    return { status: response.status, header: (name) => response.headers.get(name), body: received };
  }
}

function sendWithProgress(url, { method, headers, body, progress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    request.responseType = "arraybuffer";
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => progress(event.loaded, event.lengthComputable ? event.total : null);
    request.onload = () =>
      resolve({
        status: request.status,
        header: (name) => request.getResponseHeader(name),
        body: new Uint8Array(request.response ?? 0),
      });
    request.onerror = () => reject(new TypeError("the connection failed"));
    request.onabort = () => reject(signal?.reason ?? new DOMException("aborted", "AbortError"));
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    if (signal?.aborted) return request.onabort();
    request.send(body);
  });
}

function counted(url, options, progress) {
  const whole = new Request(url, options);
  const total = options.body.get("image").size;
  let sent = 0;
  const counter = new TransformStream({
    transform(chunk, controller) {
      sent += chunk.length;
      progress(Math.min(sent, total), total);
      controller.enqueue(chunk);
    },
  });
  const headers = { ...options.headers, "Content-Type": whole.headers.get("Content-Type") };
  return { ...options, headers, body: whole.body.pipeThrough(counter), duplex: "half" };
}

function unique() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function asBlob(file) {
  if (file instanceof Blob) return file;
  if (file instanceof ArrayBuffer || ArrayBuffer.isView(file)) return new Blob([file]);
  throw new TypeError('an image is a Blob, a File or bytes; in Node.js: await openAsBlob("photo.jpg")');
}

function asId(image) {
  const id = String(image?.image_id ?? image);
  if (!/^[0-9a-f]{32}$/.test(id)) throw new TypeError(`${JSON.stringify(id)} is not an image or the ID of one`);
  return id;
}

function asName(name) {
  if (!/^[\w~-][\w.~-]*(\/[\w~-][\w.~-]*)*$/.test(name)) {
    throw new TypeError(`${JSON.stringify(name)} is not a name; use letters, digits, -, _, ~, . and /`);
  }
  return name;
}

function asPoint(focus) {
  const [x, y] = Array.isArray(focus) ? focus : [focus?.x, focus?.y];
  if (typeof x !== "number" || typeof y !== "number") throw new TypeError("focus is a point, such as { x: 0.3, y: 0.6 }");
  return { x, y };
}

function asText(label, value) {
  if (label === "metadata") return JSON.stringify(value);
  if (label === "focus") return Object.values(asPoint(value)).join(",");
  if (label === "tags" && !Array.isArray(value)) throw new TypeError('tags is a list, such as ["sea"]');
  if (label === "tags" && value.some((tag) => tag.includes(","))) throw new TypeError("a tag has a comma; tags are separated by commas");
  return Array.isArray(value) ? value.join(",") : String(value);
}

function asQuery(given) {
  const pairs = Object.entries(given)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => `${name}=${encodeURIComponent(value instanceof Date ? value.toISOString() : String(value))}`);
  return pairs.length ? `?${pairs.join("&")}` : "";
}
