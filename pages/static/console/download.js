// Saves the original. A link cannot send a key, so with one the file is fetched first.

import { html, Icon, explained, useState } from "./ui.js";
import { hasKey, request, service } from "./session.js";
import { toast } from "./toasts.js";
import t from "./strings.js";

export function Saver({ image }) {
  const [busy, setBusy] = useState(false);
  const url = service().image(image.image_id).url(null, { download: image.original_filename?.replace(/\.[^.]*$/, "") || true });
  const text = html`<${Icon} name="download" />${t.image.download}`;
  if (!hasKey() || image.visibility === "public") return html`<a class="button" href=${url} download>${text}</a>`;
  const save = async () => {
    setBusy(true);
    try {
      const picture = URL.createObjectURL(await (await request(url)).blob());
      Object.assign(document.createElement("a"), { href: picture, download: image.original_filename || image.filename }).click();
      setTimeout(() => URL.revokeObjectURL(picture), 60_000);
    } catch (error) {
      toast({ text: explained(error), failed: true });
    }
    setBusy(false);
  };
  return html`<button type="button" disabled=${busy} onClick=${save}>${text}</button>`;
}
