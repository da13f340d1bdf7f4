// The operations. Written by `make docs` from the code of the service; do not edit.

export class Operations {
  preset(name) {
    return this.then_(`preset=${encodeURIComponent(name)}`);
  }

  autocrop() {
    return this.then_(step("autocrop"));
  }

  background(colour) {
    return this.then_(step("background", [colour, null]));
  }

  blur(radius, given = {}) {
    const { cut = 0.2 } = options("blur", given, "cut");
    return this.then_(step("blur", [radius, null], [cut, 0.2]));
  }

  brightness(factor) {
    return this.then_(step("brightness", [factor, null]));
  }

  compress(quality) {
    return this.then_(step("compress", [quality, null]));
  }

  contrast(factor) {
    return this.then_(step("contrast", [factor, null]));
  }

  crop(width, height, given = {}) {
    const { left = null, top = null, place = "centre" } = options("crop", given, "left", "top", "place");
    return this.then_(step("crop", [left, null], [top, null], [box(width, height), null], [place, "centre"]));
  }

  flip() {
    return this.then_(step("flip"));
  }

  flop() {
    return this.then_(step("flop"));
  }

  grayscale() {
    return this.then_(step("grayscale"));
  }

  pad(width, height) {
    return this.then_(step("pad", [box(width, height), null]));
  }

  page(number) {
    return this.then_(step("page", [number, null]));
  }

  pixelate(side) {
    return this.then_(step("pixelate", [side, null]));
  }

  profile(colours) {
    return this.then_(step("profile", [colours, null]));
  }

  resize(width = null, height = null, given = {}) {
    const { fit = "inside", enlarge = false } = options("resize", given, "fit", "enlarge");
    return this.then_(step("resize", [box(width, height), null], [fit, "inside"], [enlarge ? "enlarge" : null, null]));
  }

  rotate(degrees) {
    return this.then_(step("rotate", [degrees, null]));
  }

  saturation(factor) {
    return this.then_(step("saturation", [factor, null]));
  }

  sharpen(sigma) {
    return this.then_(step("sharpen", [sigma, null]));
  }

  thumb(side) {
    return this.then_(step("thumb", [side, null]));
  }

  watermark(image_id, given = {}) {
    const { place = "centre", opacity = 1.0, scale = null } = options("watermark", given, "place", "opacity", "scale");
    return this.then_(step("watermark", [image_id, null], [place, "centre"], [opacity, 1.0], [scale, null]));
  }
}

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
