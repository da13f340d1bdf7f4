// Whose key the requests have, what it may do, and the requests themselves.

import { ApiError, Client } from "./client.js";
import { store } from "./ui.js";

export const BASE = new URL("..", location.href.split("#")[0]).href.replace(/\/$/, "");
const KEY = "imgsvc-key";

let key = sessionStorage.getItem(KEY);
let client = makeClient();

/** `me` is the answer of /v1/me; null until it is there. `ended`: the key stopped working. */
export const session = store({ me: null, error: null, ended: false });

export const service = () => client;
export const hasKey = () => key !== null;
export const headers = () => (key ? { Authorization: `Bearer ${key}` } : {});
/** Whether who is signed in may do something. */
export const may = (scope) => {
  const { me } = session.get();
  return !!me && (me.scopes.includes(scope) || me.scopes.includes("admin"));
};

function makeClient() {
  return new Client(BASE, { key, retries: 2 });
}

/** Learn what the current key may do. */
export async function start() {
  session.set((now) => ({ ...now, error: null }));
  try {
    session.set({ me: await ask("/me"), error: null, ended: false });
  } catch (error) {
    if (key && error.status === 403) return end();
    session.set((now) => ({ ...now, error }));
  }
}

/** Use another key. Throws the refusal if it does not work. */
export async function signIn(given) {
  const before = key;
  key = given;
  try {
    const me = await ask("/me");
    sessionStorage.setItem(KEY, key);
    client = makeClient();
    session.set({ me, error: null, ended: false });
  } catch (error) {
    key = before;
    throw error;
  }
}

/** Leave. The page starts anew, so that nothing of this key stays in it. */
export function signOut() {
  sessionStorage.removeItem(KEY);
  location.hash = "#/";
  location.reload();
}

/** The key no longer works. */
async function end() {
  key = null;
  sessionStorage.removeItem(KEY);
  client = makeClient();
  session.set({ me: null, error: null, ended: true });
  await start();
  session.set((now) => ({ ...now, ended: true }));
}

let checking = null;

/** After a refusal: whether the key still works. If not, people have to sign in again. */
export function noted(error) {
  if (key && (error.status === 401 || error.status === 403)) {
    checking ??= ask("/me").then(
      (me) => session.set({ me, error: null, ended: false }),
      (refused) => refused.status === 403 && end(),
    ).finally(() => (checking = null));
  }
  return error;
}

/** A request to the API, for what the client has no method for. Returns the response; throws ApiError. */
export async function request(path, { method = "GET", body, signal, keepalive, cache } = {}) {
  const sent = { ...headers(), ...(body ? { "Content-Type": "application/json" } : {}) };
  const url = path.startsWith("http") ? path : `${BASE}/v1${path}`;
  const response = await fetch(url, { method, headers: sent, body: body && JSON.stringify(body), signal, keepalive, cache });
  if (response.ok) return response;
  const text = await response.text();
  let detail = text.slice(0, 200);
  try {
    detail = JSON.parse(text).detail ?? detail;
  } catch {
    // From a proxy in front of the service.
  }
  const after = Number(response.headers.get("Retry-After"));
  throw new ApiError(response.status, detail, response.headers.get("X-Request-ID") ?? "", after || null);
}

/** The JSON of a response; null without a body. */
export async function ask(path, options) {
  try {
    const response = await request(path, options);
    const text = await response.text();
    return text ? JSON.parse(text) : null;
  } catch (error) {
    throw path === "/me" ? error : noted(error);
  }
}

/** What `work` returns; a refusal is noted. For calls of the client. */
export async function noting(work) {
  try {
    return await work;
  } catch (error) {
    throw noted(error);
  }
}
