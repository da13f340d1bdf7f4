import { Operations } from "./operations.js";

export interface Named {
  /** Makes browsers save the picture, under this name if it is one. */
  download?: string | boolean | null;
  /** Scales the result down to so many pixels. */
  width?: number | null;
}

export interface Expiry {
  /** A moment, or seconds since 1970; without it, the URL works as long as the key. */
  expires?: Date | number | null;
  /** Widths that viewers may put in place of the one in the URL. */
  widths?: readonly number[];
}

/** Operations in the order in which they run: `new Chain().thumb(300).blur(2)`. Its text is a query. */
export class Chain extends Operations<Chain> {
  constructor(steps?: readonly string[]);
  readonly steps: readonly string[];
  toString(): string;
}

/** An image after some operations: `image.thumb(300).blur(2)`. */
export class Variant extends Operations<Variant> {
  constructor(original: string, chain?: Chain, secret?: string | null, isNamed?: boolean);
  /** The URL of the original. */
  readonly original: string;
  readonly chain: Chain;
  /** The URL, in a format such as `webp` or `auto`, or in that of the image. */
  url(format?: string | null, options?: Named): string;
  /** A signed URL; needs the signing secret of the client. */
  signedUrl(format?: string | null, options?: Expiry & { width?: number | null }): Promise<string>;
  /** The value of `srcset`, for widths in pixels. Escape it for HTML. */
  srcset(widths: readonly number[], format?: string | null): string;
  /** An `<img>` with these attributes, such as `sizes`, `alt` and `loading`. */
  img(widths?: readonly number[], format?: string | null, attributes?: Record<string, string>): string;
  /** A `<picture>` with formats in the order of preference, and these attributes of its `<img>`. */
  picture(widths: readonly number[], formats?: readonly string[], attributes?: Record<string, string>): string;
}

export interface Focus {
  /** Shares of the upright width and height, from the top left corner. */
  x: number;
  y: number;
}

export interface Facts {
  readonly image_id: string;
  /** The ID with the extension of the format. */
  readonly filename: string;
  readonly format: string;
  readonly content_type: string;
  /** Pixels, as stored. */
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  readonly bytes: number;
  readonly sha256: string;
  readonly visibility: "public" | "private" | "pending";
  readonly space: string;
  readonly created_at: string;
  readonly expires_at: string | null;
  readonly original_filename: string;
  readonly title: string;
  readonly alt: string;
  readonly tags: readonly string[];
  /** The dominant colour, such as `#fa8c0a`; null until a job has looked at the image. */
  readonly colour: string | null;
  /** A tiny picture to show while it loads, in base64. */
  readonly thumbhash: string | null;
}

export interface Details extends Facts {
  readonly orientation: number;
  readonly colour_space: string;
  readonly alpha: boolean;
  readonly unread_frames: number;
  readonly gain_map: boolean;
  readonly metadata: Record<string, unknown>;
  readonly focus: Focus | null;
  /** The basic colours that it has most of, such as `blue`. */
  readonly colours: readonly string[];
  readonly phash: string | null;
}

/** A stored image: what the service knows, and all that a variant does. */
export type Image = Facts & Variant;
export type ImageDetails = Details & Variant;

export interface Labels {
  title?: string;
  alt?: string;
  tags?: readonly string[];
  metadata?: Record<string, unknown>;
  focus?: Focus | readonly [number, number] | null;
}

export interface UploadOptions extends Labels {
  /** The name of the file, if it is not that of the File. */
  name?: string;
  /** Seconds after which the image is deleted. */
  ttl?: number;
  space?: string;
  visibility?: "public" | "private" | "pending";
  /** A text that only this upload has, to call `upload` again later for the same image; by default a new one. */
  idempotencyKey?: string;
  /** Called with the bytes that were sent, and all of them; null if their number is unknown. */
  progress?: (sent: number, total: number | null) => void;
  signal?: AbortSignal;
}

export interface Filters {
  q?: string;
  tags?: readonly string[];
  format?: string;
  visibility?: "public" | "private" | "pending";
  colour?: string;
  min_width?: number;
  max_width?: number;
  min_height?: number;
  max_height?: number;
  created_after?: Date;
  created_before?: Date;
  space?: string;
}

export interface UploadToken {
  readonly token: string;
  readonly upload_url: string;
  readonly max_bytes: number;
  readonly formats: readonly string[];
  readonly count: number;
  readonly expires_at: string;
  readonly visibility: "public" | "private" | "pending";
  readonly space: string;
}

/** A service at `url`, such as `https://images.example.com`. */
export class Client {
  constructor(
    url: string,
    options?: {
      /** For back ends. */
      key?: string | null;
      /** An upload token, for pages. */
      token?: string | null;
      /** For signed URLs, in back ends. */
      signingSecret?: string | null;
      /** How often a request is sent again that failed because of the connection, or because the service is busy. */
      retries?: number;
    },
  );
  /** Store an image: a Blob, a File or bytes. */
  upload(file: Blob | BufferSource, options?: UploadOptions): Promise<Image>;
  /** A stored image by its ID, for URLs. Sends nothing. */
  image(imageId: string): Variant;
  /** All that is known about an image. */
  info(image: string | Image): Promise<ImageDetails>;
  /** What a name shows, for URLs. Sends nothing. */
  named(name: string): Variant;
  /** Make a name show a file, an image that is stored already, or what it showed in a version. */
  point(name: string, shown: Blob | BufferSource | string | Image | number): Promise<Image>;
  /** Images that look the same, most similar first, and in how many of 64 bits their perceptual hashes differ. */
  similar(image: string | Image, limit?: number): Promise<{ image: Image; distance: number }[]>;
  /** All images that fit, newest first. Requests them in pages, as you read on. */
  images(options?: Filters & { page?: number }): AsyncGenerator<Image>;
  /** Change what is said about an image, or who may see it. */
  change(
    image: string | Image,
    values: Labels & { original_filename?: string; expires_at?: Date | string | null; visibility?: "public" | "private" | "pending" },
  ): Promise<Image>;
  /** Delete an image, with all its variants. */
  delete(image: string | Image): Promise<void>;
  /** The bytes of an image or a variant. */
  download(picture: Variant, format?: string | null): Promise<Uint8Array>;
  /** The bytes of an image after some operations. The service does not store it. */
  transform(file: Blob | BufferSource, chain: Chain, format?: string | null): Promise<Uint8Array>;
  /** A right to upload for a web page. */
  uploadToken(values?: {
    max_bytes?: number;
    formats?: readonly string[];
    count?: number;
    expires_in?: number;
    visibility?: "public" | "private" | "pending";
    space?: string;
  }): Promise<UploadToken>;
}

/** The signed URL of a picture. For back ends. */
export function sign(url: string, secret: string, options?: Expiry & { presets?: readonly string[] }): Promise<string>;

/** The service refused a request. `detail` says what is wrong, and what to do instead. */
export class ApiError extends Error {
  readonly status: number;
  readonly detail: string;
  /** Find it in the log of the service. */
  readonly requestId: string;
  /** Seconds after which the same request may succeed. */
  readonly retryAfter: number | null;
}

/** The service did not answer, also after the retries. */
export class ConnectionFailed extends Error {}
