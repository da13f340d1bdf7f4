// The list of images, page by page. Pages that are far from the view are forgotten, and loaded again by their cursor, so
// that memory stays flat however long the list is.

const FIRST = 60;
const LATER = 500;
const KEPT = 8;

export class Feed {
  /** `load(cursor, limit)` returns a page of the API. `changed` is called after every change. */
  constructor(load, changed) {
    this.load = load;
    this.changed = changed;
    this.pages = [];
    this.loading = null;
    this.error = null;
    this.hidden = new Set();
  }

  get count() {
    const last = this.pages.at(-1);
    return last ? last.start + last.count : 0;
  }

  get done() {
    return this.pages.length > 0 && this.pages.at(-1).next === null;
  }

  /** The image at a place; undefined if its page is not loaded. */
  at(index) {
    const page = this.#pageOf(index);
    return page?.shown?.[index - page.start];
  }

  #pageOf(index) {
    let low = 0;
    let high = this.pages.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const page = this.pages[middle];
      if (index < page.start) high = middle - 1;
      else if (index >= page.start + page.count) low = middle + 1;
      else return page;
    }
    return undefined;
  }

  /** Make sure that these places are loaded, if they exist, and forget the pages far from them. */
  show(first, last) {
    for (const page of this.pages) {
      if (page.images === null && page.start <= last && page.start + page.count > first) return this.#fetch(page);
    }
    this.#forget(first, last);
    if (!this.done && last >= this.count - FIRST / 2) return this.#fetch(null);
    return this.loading;
  }

  #fetch(page) {
    if (this.loading) return this.loading;
    if (this.error) return null;
    const work = page ? this.#reload(page) : this.#more();
    this.loading = work.catch((error) => (this.error = error)).finally(() => {
      this.loading = null;
      this.changed();
    });
    return this.loading;
  }

  again() {
    this.error = null;
    this.changed();
  }

  async #more() {
    const cursor = this.pages.at(-1)?.next ?? null;
    const limit = this.pages.length < 2 ? FIRST : LATER;
    const { images, cursor: next } = await this.load(cursor, limit);
    this.pages.push({ cursor, next, limit, images, shown: images, count: 0, start: 0 });
    this.#arrange();
  }

  async #reload(page) {
    page.images = (await this.load(page.cursor, page.limit)).images;
    this.#arrange();
  }

  #forget(first, last) {
    const distance = (page) => Math.max(first - page.start - page.count, page.start - last, 0);
    // The first one has no cursor to load it by: new images come in front of it.
    const loaded = this.pages.slice(1).filter((page) => page.images);
    if (loaded.length <= KEPT) return;
    loaded.sort((one, other) => distance(other) - distance(one));
    for (const page of loaded.slice(0, loaded.length - KEPT)) page.images = page.shown = null;
  }

  #arrange() {
    let start = 0;
    for (const page of this.pages) {
      if (page.images) {
        page.shown = page.images.filter((image) => !this.hidden.has(image.image_id));
        page.count = page.shown.length;
      }
      page.start = start;
      start += page.count;
    }
  }

  /** Leave out the images with these IDs, and no others. */
  hide(ids) {
    this.hidden = ids;
    this.#arrange();
    this.changed();
  }

  /** Put a new image in front. */
  prepend(image) {
    const [first] = this.pages;
    if (!first || first.images.some((each) => each.image_id === image.image_id)) return;
    first.images.unshift(image);
    this.#arrange();
    this.changed();
  }

  /** What is known about an image has changed. */
  update(image) {
    for (const page of this.pages) {
      const place = page.images?.findIndex((each) => each.image_id === image.image_id) ?? -1;
      if (place >= 0) page.images[place] = image;
    }
    this.#arrange();
    this.changed();
  }
}
