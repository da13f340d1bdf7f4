import { variantUrl } from "./sources.js";

/** A loader for `next/image`: the default export of the file that `images.loaderFile` names. */
export function nextLoader(service, { format = "auto" } = {}) {
  return ({ src, width, quality }) => variantUrl(src, service, { width, quality, format });
}
