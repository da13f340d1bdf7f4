// Which page the address shows: `#/`, `#/images/ID`, `#/images/ID.webp?OPERATIONS`, `#/usage`, `#/keys`, `#/webhooks`, `#/sign-in`.

import { store } from "./ui.js";

const IMAGE = /^\/images\/([0-9a-f]{32})(?:\.([a-z]+))?$/;

function read() {
  const [path, query = ""] = location.hash.slice(1).split(/\?(.*)/s);
  const image = IMAGE.exec(path);
  if (image) return { page: image[2] ? "builder" : "image", id: image[1], format: image[2], query };
  const page = { "/": "gallery", "": "gallery", "/usage": "usage", "/keys": "keys", "/webhooks": "webhooks", "/sign-in": "signIn" }[path];
  return { page: page ?? "missing", query };
}

export const route = store(read());

/** What people are asked before they leave, since they would lose it; empty if nothing. */
let question = "";
export const unsaved = (text) => (question = text);
addEventListener("beforeunload", (event) => question && event.preventDefault());
addEventListener("hashchange", ({ oldURL }) => {
  if (question && !confirm(question)) return history.replaceState(null, "", oldURL);
  question = "";
  route.set(read());
});

export const go = (path) => (location.hash = path);

/** Change the address of the current page, without an entry in the history. */
export function replace(path) {
  history.replaceState(null, "", `#${path}`);
  route.set(read());
}
