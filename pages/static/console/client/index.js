export { Chain, Variant } from "./chains.js";
export { Client } from "./client.js";
export { ApiError, ConnectionFailed } from "./errors.js";
export { sign } from "./signing.js";
