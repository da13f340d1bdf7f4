import { createHmac } from "node:crypto";

/** Signs a path with its query. `expires` is in seconds since 1970. */
export function sign(secret, target, expires) {
  target += (target.includes("?") ? "&" : "?") + "key=" + secret.slice(3, 15);
  if (expires !== undefined) target += `&expires=${expires}`;
  let text = target.replace(/^\/(v1\/)?images?\//, "/v1/images/").replace(/^\/transform\?/, "/v1/transform?");
  if (text.includes("&widths=")) text = text.replace(/([?&](thumb|w|width)=)[^&]*/, "$1*");
  if (text.includes("&presets=")) text = text.replace(/([?&]preset=)[^&]*/, "$1*");
  const signature = createHmac("sha256", secret.slice(16)).update(text).digest("base64url");
  return `${target}&signature=${signature}`;
}

console.log(sign(process.env.SIGNING_SECRET, ...process.argv.slice(2)));
