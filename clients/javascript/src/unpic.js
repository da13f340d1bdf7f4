import { variantUrl } from "./sources.js";

/** A transformer for the base components of unpic (`@unpic/react/base` and so on): `options.service` is the service. */
export function transform(src, operations, options = {}) {
  const { width, height, quality, format = "auto", ...others } = operations;
  return variantUrl(String(src), options.service ?? "", { width, height, fit: "cover", quality, format, ...others });
}
