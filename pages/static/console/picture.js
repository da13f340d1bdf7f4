// Pictures by their URL. Those that need a key are fetched with it, since <img> cannot send one.

import { html, Icon, useEffect, useRef, useState } from "./ui.js";
import { hasKey, headers, service } from "./session.js";
import t from "./strings.js";

const PAUSES = [1500, 4000, 10000];
const GONE = new Set([403, 404, 410]);
/** With a key, it may be the key that was missing. */
const pause = (failed) => (failed === 0 && hasKey() ? 0 : PAUSES[failed] ?? 0);

/** The URL of a picture as an object URL, fetched with the key; null until it is there. */
export async function fetched(url, signal) {
  const response = await fetch(url, { headers: headers(), signal });
  if (!response.ok) throw Object.assign(new Error(`${response.status}`), { status: response.status });
  return URL.createObjectURL(await response.blob());
}

/** A variant of an image: `make(image, scale)` returns its URL for screens with `scale` pixels per CSS pixel. */
export function Picture({ image, make, alt, width, height, waits, lazy = true, className = "" }) {
  const [failed, setFailed] = useState(0);
  const [source, setSource] = useState(null);
  const element = useRef();
  const url = make(image, 1);
  const withKey = hasKey() && ((image.visibility ?? "public") !== "public" || failed > 0);

  useEffect(() => {
    if (!withKey || waits || source) return undefined;
    const control = new AbortController();
    fetched(make(image, Math.min(2, devicePixelRatio)), control.signal).then(
      setSource,
      ({ status }) => control.signal.aborted || (GONE.has(status) ? setFailed(Infinity) : setTimeout(() => setFailed((count) => count + 1), pause(failed))),
    );
    return () => control.abort();
  }, [url, withKey, failed, waits]);
  useEffect(() => () => source && URL.revokeObjectURL(source), [source]);

  const again = () => {
    if (source) return;
    setTimeout(() => setFailed((count) => count + 1), pause(failed));
  };
  if (failed > PAUSES.length) {
    return html`<span class=${`no-preview ${className}`}><${Icon} name="image" />${t.gallery.noPreview}</span>`;
  }
  const colour = image.colour ? { backgroundColor: image.colour } : {};
  const attributes = withKey ? { src: source ?? undefined } : { src: url, srcset: `${url} 1x, ${make(image, 2)} 2x` };
  if (waits && !source) delete attributes.src, delete attributes.srcset;
  return html`<img ref=${element} key=${failed} class=${className} ...${attributes} alt=${alt} width=${width} height=${height}
    loading=${lazy ? "lazy" : "eager"} decoding="async" style=${colour} onLoad=${({ target }) => target.decode().then(() => (target.style.backgroundColor = ""), () => {})} onError=${attributes.src ? again : undefined} />`;
}

/** A thumbnail for a tile. */
export function thumbnail(image, scale) {
  const still = image.frames > 1 ? service().image(image.image_id).page(0) : service().image(image.image_id);
  return still.resize(320 * scale, 240 * scale, { fit: "cover" }).url("webp");
}

/** The whole picture, as large as a screen. */
export function whole(image, scale) {
  return service().image(image.image_id).thumb(scale > 1 ? 1920 : 960).url("webp");
}

/** Width and height of the upright picture. */
export function upright(image) {
  return image.orientation > 4 ? [image.height, image.width] : [image.width, image.height];
}
