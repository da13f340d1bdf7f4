/** A loader for `next/image`: the default export of the file that `images.loaderFile` names. */
export function nextLoader(
  service: string,
  options?: { /** `auto` lets browsers choose. */ format?: string },
): (image: { src: string; width: number; quality?: number }) => string;
