// Deletes images after ten seconds in which people may change their minds, or when they leave the page before.

import { html, nameOf, explained, store, useEffect, useState } from "./ui.js";
import { request, noted, BASE, headers } from "./session.js";
import { toast } from "./toasts.js";
import t from "./strings.js";

const SECONDS = 10;
const AT_ONCE = 4;

/** The IDs that lists leave out: of images that are about to be deleted, or were. */
export const hidden = store(new Set());

const pending = new Set();

function hide(images, isHidden) {
  hidden.set((ids) => {
    const changed = new Set(ids);
    for (const { image_id: id } of images) isHidden ? changed.add(id) : changed.delete(id);
    return changed;
  });
}

export function deleteSoon(images) {
  const group = { images, until: Date.now() + SECONDS * 1000 };
  pending.add(group);
  hide(images, true);
  const close = toast({
    text: t.deletion.done(images.length, nameOf(images[0])),
    live: () => html`<${Countdown} until=${group.until} />`,
    action: t.deletion.undo,
    act: () => {
      clearTimeout(group.timer);
      pending.delete(group);
      close();
      hide(images, false);
      toast({ text: t.deletion.undone }, 3);
    },
  }, 0);
  group.timer = setTimeout(async () => {
    close();
    pending.delete(group);
    await deleteNow(images);
  }, SECONDS * 1000);
}

function Countdown({ until }) {
  const left = () => Math.max(0, Math.ceil((until - Date.now()) / 1000));
  const [seconds, setSeconds] = useState(left());
  useEffect(() => {
    const timer = setInterval(() => setSeconds(left()), 250);
    return () => clearInterval(timer);
  }, []);
  return html`<span class="countdown" aria-hidden="true">${t.deletion.seconds(seconds)}</span>`;
}

async function deleteNow(images) {
  const waiting = [...images];
  const work = async () => {
    for (let image = waiting.pop(); image; image = waiting.pop()) await deleteOne(image);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function deleteOne(image) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await request(`/images/${image.image_id}`, { method: "DELETE", keepalive: true });
    } catch (error) {
      if (error.status === 410 || error.status === 404) return;
      if ((error.status === 429 || error.status === 503) && attempt < 3) {
        await new Promise((resolve) => setTimeout(resolve, (error.retryAfter ?? 1) * 1000));
        continue;
      }
      hide([image], false);
      toast({ text: `${t.deletion.failed(nameOf(image))} ${explained(noted(error))}`, failed: true }, 12);
      return;
    }
  }
}

// The page goes, and the requests do not.
addEventListener("pagehide", () => {
  for (const group of pending) {
    clearTimeout(group.timer);
    for (const { image_id: id } of group.images) {
      fetch(`${BASE}/v1/images/${id}`, { method: "DELETE", headers: headers(), keepalive: true }).catch(() => {});
    }
  }
  pending.clear();
});
