// The operations. Written by `make docs` from the code of the service; do not edit.

/** What has operations. Each returns what comes out, and leaves this as it is. */
export class Operations {
  /** The operations of a preset that the service configures. */
  preset(name) {
    return this.then_(`preset=${encodeURIComponent(name)}`);
  }

  /** Remove a border that has the colour of the top left pixel. An image with only that colour does not change. The frames of an animation keep one size: what is inside the border in any of them. */
  autocrop() {
    return this.then_(step("autocrop"));
  }

  /** Put a `colour` behind the image, and into corners and margins that later operations add. A colour is RRGGBB, RRGGBBAA, RGB or RGBA in hex digits, with or without `#` (in a URL `%23`), or a name of CSS. */
  background(colour) {
    return this.then_(step("background", [colour, null]));
  }

  /** Blur with a Gaussian whose standard deviation is `radius` pixels. Its tails are cut off below `cut` times the peak (default: 0.2, as in libvips). A lower cut is smoother and slower. */
  blur(radius, given = {}) {
    const { cut = 0.2 } = options("blur", given, "cut");
    return this.then_(step("blur", [radius, null], [cut, 0.2]));
  }

  /** Multiply all colours by `factor`, as `brightness()` does in CSS. 1 changes nothing, 0 is black. */
  brightness(factor) {
    return this.then_(step("brightness", [factor, null]));
  }

  /** Encode with a `quality` from 0 to 100 (best). The lowest of several wins. PNG and GIF get fewer colours. */
  compress(quality) {
    return this.then_(step("compress", [quality, null]));
  }

  /** Multiply the distance of colours from mid-grey by `factor`, as `contrast()` does in CSS. 1 changes nothing. */
  contrast(factor) {
    return this.then_(step("contrast", [factor, null]));
  }

  /** Cut out a `box` of `WxH` pixels, either at a `place` or, as `X,Y,WxH`, at `left` and `top`. The place is centre (default), north, northeast, east, southeast, south, southwest, west, northwest, smart: where the eye looks first (skin, saturation, edges), or focus: around the focal point of the image, and `smart` without one or behind `autocrop`. The box is clipped to the image. */
  crop(width, height, given = {}) {
    const { left = null, top = null, place = "centre" } = options("crop", given, "left", "top", "place");
    return this.then_(step("crop", [left, null], [top, null], [box(width, height), null], [place, "centre"]));
  }

  /** Mirror vertically: swap top and bottom. */
  flip() {
    return this.then_(step("flip"));
  }

  /** Mirror left and right. */
  flop() {
    return this.then_(step("flop"));
  }

  /** Reduce colours to their luma (ITU-R BT.709), as `grayscale(1)` does in CSS. */
  grayscale() {
    return this.then_(step("grayscale"));
  }

  /** Centre the image on a canvas of `WxH` pixels. The margins are transparent or in the background's colour. Sides that are already larger do not change. */
  pad(width, height) {
    return this.then_(step("pad", [box(width, height), null]));
  }

  /** Take one frame of an animation or one page of a TIFF. `number` counts from 0. */
  page(number) {
    return this.then_(step("page", [number, null]));
  }

  /** Replace squares of `side` pixels with their mean colour. */
  pixelate(side) {
    return this.then_(step("pixelate", [side, null]));
  }

  /** Choose the `colours` of the result: `srgb` (default), or `keep` for those of the image, with its ICC profile. `keep` is for wide gamuts, such as Display P3. CMYK, grey, HDR and GIF become sRGB in any case. Watermarks and backgrounds are in sRGB, and look the same with both. */
  profile(colours) {
    return this.then_(step("profile", [colours, null]));
  }

  /** Scale to a `box` of `WxH`, `Wx` or `xH` pixels. Enlarges only with `enlarge`. With the `fit` `inside` (default), the result is the largest size that fits into the box; with `outside`, the smallest that covers it. `cover` is `outside`, cropped to the box. `contain` is `inside`, padded to the box (transparent, or in the background's colour). `fill` takes both sides of the box and ignores the aspect ratio. An omitted side follows from the aspect ratio. */
  resize(width = null, height = null, given = {}) {
    const { fit = "inside", enlarge = false } = options("resize", given, "fit", "enlarge");
    return this.then_(step("resize", [box(width, height), null], [fit, "inside"], [enlarge ? "enlarge" : null, null]));
  }

  /** Turn clockwise by `degrees`. The canvas grows; its corners are transparent or in the background's colour. */
  rotate(degrees) {
    return this.then_(step("rotate", [degrees, null]));
  }

  /** Multiply the distance of colours from their grey by `factor`, as `saturate()` does in CSS. 1 changes nothing. */
  saturation(factor) {
    return this.then_(step("saturation", [factor, null]));
  }

  /** Sharpen the lightness with an unsharp mask of `sigma` pixels, as libvips does. Flat areas do not change. */
  sharpen(sigma) {
    return this.then_(step("sharpen", [sigma, null]));
  }

  /** Fit inside a square of `side` pixels. Keeps the aspect ratio and never enlarges. */
  thumb(side) {
    return this.then_(step("thumb", [side, null]));
  }

  /** Lay the stored image `image_id` over this one, at a `place` (default: centre), with an `opacity` from 0 to 1. With a `scale` above 0 and up to 1, the watermark is as large as fits into that share of the image's width and height. Without a scale, it keeps its size, or shrinks to fit. */
  watermark(image_id, given = {}) {
    const { place = "centre", opacity = 1.0, scale = null } = options("watermark", given, "place", "opacity", "scale");
    return this.then_(step("watermark", [image_id, null], [place, "centre"], [opacity, 1.0], [scale, null]));
  }
}

/** The options of an operation. Others would be ignored, and make another picture than was meant. */
function options(operation, given, ...known) {
  if (typeof given !== "object" || given === null) {
    throw new TypeError(`${operation} takes options behind its arguments, such as { ${known[0]}: … }`);
  }
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) throw new TypeError(`${operation} has no option ${name}; use ${known.join(", ")}`);
  }
  return given;
}

function box(width, height) {
  return `${width ?? ""}x${height ?? ""}`;
}

/** The text of an operation, without defaults at its end. Each argument comes with its default. */
function step(name, ...pairs) {
  const given = [...pairs];
  while (given.length && given.at(-1)[0] === given.at(-1)[1]) given.pop();
  const texts = given.map(([value]) => value).filter((value) => value !== null);
  return texts.length ? `${name}=${texts.map(text).join(",")}` : name;
}

function text(value) {
  if (value === undefined) throw new TypeError("an argument is missing");
  if (typeof value !== "number") return encodeURIComponent(value);
  if (!Number.isFinite(value)) throw new TypeError(`${value} is not a number for a picture`);
  return Number.isInteger(value) ? String(value) : value.toFixed(15).replace(/0+$/, "");
}
