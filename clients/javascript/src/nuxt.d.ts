/** A provider for Nuxt Image. */
export default function provider(): {
  getImage(src: string, options?: { modifiers?: Record<string, unknown>; baseURL?: string }): { url: string };
};
