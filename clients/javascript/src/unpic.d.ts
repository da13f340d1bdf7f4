export interface ImgsvcOperations {
  width?: number | string;
  height?: number | string;
  quality?: number | string;
  /** `auto` lets browsers choose. */
  format?: string;
  /** Other operations, as in a URL. */
  [operation: string]: unknown;
}

/** A transformer for the base components of unpic (`@unpic/react/base` and so on). */
export function transform(src: string | URL, operations: ImgsvcOperations, options?: { service?: string }): string;
