// What frameworks call an image, and the URLs that they ask for.

const IMAGE = /^(?:(.*\/v1)\/images\/|\/)?([0-9a-f]{32})(?:\.([a-z]+))?(?:\?(.*))?$/;

/**
 * The URL of a variant. `src` is the ID of an image or its URL, with or without operations (`ID?rotate=90`). The
 * requested size comes after these operations; every other name is an operation, too.
 */
export function variantUrl(src, service, { width, height, fit, quality, format, ...operations } = {}) {
  const match = IMAGE.exec(src);
  if (!match) throw new TypeError(`${JSON.stringify(src)} is not an image of imgsvc; use its ID, or its URL`);
  const [, own, id, extension, chain] = match;
  const pairs = chain ? [chain] : [];
  for (const [name, value] of Object.entries(operations)) {
    if (value !== undefined && value !== null) pairs.push(`${name}=${encodeURIComponent(value).replaceAll("%2C", ",")}`);
  }
  if (width) pairs.push(`w=${Math.round(width)}`);
  if (height) pairs.push(`h=${Math.round(height)}`);
  if (width && height && fit) pairs.push(`fit=${fit}`);
  if (quality) pairs.push(`q=${quality}`);
  const root = own ?? `${service.replace(/\/+$/, "").replace(/\/v1$/, "")}/v1`;
  const suffix = extension ?? format;
  return `${root}/images/${id}${suffix ? `.${suffix}` : ""}${pairs.length ? `?${pairs.join("&")}` : ""}`;
}
