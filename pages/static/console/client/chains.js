import { Operations } from "./operations.js";
import { sign } from "./signing.js";

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
    // The end of a name does not choose the format.
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
