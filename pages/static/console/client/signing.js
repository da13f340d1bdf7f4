// Signed URLs. Use this in back ends only: anyone with a signing secret can see all private images.

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
