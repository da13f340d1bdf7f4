import { variantUrl } from "./sources.js";

/** A provider for Nuxt Image. */
export default function provider() {
  return {
    getImage(src, { modifiers = {}, baseURL = "/" } = {}) {
      return { url: variantUrl(src, baseURL, { ...modifiers, format: modifiers.format ?? "auto" }) };
    },
  };
}
