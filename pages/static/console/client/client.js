import { Chain, Variant } from "./chains.js";
import { ConnectionFailed, fromResponse } from "./errors.js";

const RETRIED = new Set([429, 502, 503, 504]);
// Those of them after which a request has not arrived.
const REFUSED = new Set([429, 503]);
const LONGEST_PAUSE = 30;

function asImage(answer, variant) {
  const image = Object.create(variant);
  // `url` is a method of variants.
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
    // With it, an upload that is sent again is still one image. Tokens count their uploads themselves.
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
