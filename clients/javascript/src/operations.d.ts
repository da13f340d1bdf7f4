// The operations. Written by `make docs` from the code of the service; do not edit.

/** What has operations. Each returns what comes out, and leaves this as it is. */
export class Operations<Then> {
  /** The operations of a preset that the service configures. */
  preset(name: string): Then;

  /** Remove a border that has the colour of the top left pixel. An image with only that colour does not change. The frames of an animation keep one size: what is inside the border in any of them. */
  autocrop(): Then;

  /** Put a `colour` behind the image, and into corners and margins that later operations add. A colour is RRGGBB, RRGGBBAA, RGB or RGBA in hex digits, with or without `#` (in a URL `%23`), or a name of CSS. */
  background(colour: string): Then;

  /** Blur with a Gaussian whose standard deviation is `radius` pixels. Its tails are cut off below `cut` times the peak (default: 0.2, as in libvips). A lower cut is smoother and slower. */
  blur(radius: number, options?: { cut?: number }): Then;

  /** Multiply all colours by `factor`, as `brightness()` does in CSS. 1 changes nothing, 0 is black. */
  brightness(factor: number): Then;

  /** Encode with a `quality` from 0 to 100 (best). The lowest of several wins. PNG and GIF get fewer colours. */
  compress(quality: number): Then;

  /** Multiply the distance of colours from mid-grey by `factor`, as `contrast()` does in CSS. 1 changes nothing. */
  contrast(factor: number): Then;

  /** Cut out a `box` of `WxH` pixels, either at a `place` or, as `X,Y,WxH`, at `left` and `top`. The place is centre (default), north, northeast, east, southeast, south, southwest, west, northwest, smart: where the eye looks first (skin, saturation, edges), or focus: around the focal point of the image, and `smart` without one or behind `autocrop`. The box is clipped to the image. */
  crop(width: number, height: number, options?: { left?: number | null; top?: number | null; place?: "centre" | "north" | "northeast" | "east" | "southeast" | "south" | "southwest" | "west" | "northwest" | "smart" | "focus" }): Then;

  /** Mirror vertically: swap top and bottom. */
  flip(): Then;

  /** Mirror left and right. */
  flop(): Then;

  /** Reduce colours to their luma (ITU-R BT.709), as `grayscale(1)` does in CSS. */
  grayscale(): Then;

  /** Centre the image on a canvas of `WxH` pixels. The margins are transparent or in the background's colour. Sides that are already larger do not change. */
  pad(width: number, height: number): Then;

  /** Take one frame of an animation or one page of a TIFF. `number` counts from 0. */
  page(number: number): Then;

  /** Replace squares of `side` pixels with their mean colour. */
  pixelate(side: number): Then;

  /** Choose the `colours` of the result: `srgb` (default), or `keep` for those of the image, with its ICC profile. `keep` is for wide gamuts, such as Display P3. CMYK, grey, HDR and GIF become sRGB in any case. Watermarks and backgrounds are in sRGB, and look the same with both. */
  profile(colours: "srgb" | "keep"): Then;

  /** Scale to a `box` of `WxH`, `Wx` or `xH` pixels. Enlarges only with `enlarge`. With the `fit` `inside` (default), the result is the largest size that fits into the box; with `outside`, the smallest that covers it. `cover` is `outside`, cropped to the box. `contain` is `inside`, padded to the box (transparent, or in the background's colour). `fill` takes both sides of the box and ignores the aspect ratio. An omitted side follows from the aspect ratio. */
  resize(width?: number | null, height?: number | null, options?: { fit?: "inside" | "outside" | "cover" | "contain" | "fill"; enlarge?: boolean }): Then;

  /** Turn clockwise by `degrees`. The canvas grows; its corners are transparent or in the background's colour. */
  rotate(degrees: number): Then;

  /** Multiply the distance of colours from their grey by `factor`, as `saturate()` does in CSS. 1 changes nothing. */
  saturation(factor: number): Then;

  /** Sharpen the lightness with an unsharp mask of `sigma` pixels, as libvips does. Flat areas do not change. */
  sharpen(sigma: number): Then;

  /** Fit inside a square of `side` pixels. Keeps the aspect ratio and never enlarges. */
  thumb(side: number): Then;

  /** Lay the stored image `image_id` over this one, at a `place` (default: centre), with an `opacity` from 0 to 1. With a `scale` above 0 and up to 1, the watermark is as large as fits into that share of the image's width and height. Without a scale, it keeps its size, or shrinks to fit. */
  watermark(image_id: string, options?: { place?: "centre" | "north" | "northeast" | "east" | "southeast" | "south" | "southwest" | "west" | "northwest"; opacity?: number; scale?: number | null }): Then;
}
