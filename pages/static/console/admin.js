// Keys and webhooks: making, replacing, testing and deleting them. Secrets are shown once.

import { CopyButton, Dialog, explained, Failure, Field, html, Icon, Loading, moment, useLoaded, useState } from "./ui.js";
import { ask, may, session } from "./session.js";
import { ForAdmins } from "./usage.js";
import t from "./strings.js";

const HOOKS = "/webhooks";

export function KeysPage() {
  const loaded = useLoaded((signal) => (may("admin") ? ask("/keys", { signal }) : Promise.resolve(null)), []);
  const [dialog, setDialog] = useState(null);
  const [showOld, setShowOld] = useState(false);
  if (!may("admin")) return html`<${ForAdmins} title=${t.keys.signIn} text=${t.keys.signInText} />`;
  const keys = [...(loaded.value?.keys ?? [])].reverse();
  const works = (key) => !key.revoked_at && !(key.expires_at && new Date(key.expires_at) < new Date());
  const old = keys.filter((key) => !works(key));
  const done = () => {
    setDialog(null);
    loaded.again();
  };
  return html`<div class="page keys">
    <div class="title-row"><h1 tabindex="-1">${t.keys.title}</h1>
      <button type="button" class="primary" onClick=${() => setDialog({ kind: "create" })}><${Icon} name="plus" />${t.keys.create}</button></div>
    <p class="lead">${t.keys.text}</p>
    ${loaded.error && html`<${Failure} error=${loaded.error} again=${loaded.again} />`}
    ${!loaded.value && !loaded.error && html`<${Loading} />`}
    <ul class="key-list">${keys.filter((key) => showOld || works(key)).map((key) => html`<${Key} key=${key.key_id} about=${key} works=${works(key)} open=${setDialog} />`)}</ul>
    ${old.length > 0 && !showOld && html`<button type="button" class="quiet" onClick=${() => setShowOld(true)}>${t.keys.showOld(old.length)}</button>`}
    ${dialog && html`<${{ create: CreateKey, made: Made, revoke: Revoke, rotate: Rotate }[dialog.kind]} ...${dialog} close=${done} show=${(made) => setDialog({ kind: "made", made })} />`}
  </div>`;
}

function Key({ about, works, open }) {
  const state = about.revoked_at ? t.keys.revoked : works ? t.keys.active : t.keys.expired;
  return html`<li class=${`card key ${works ? "" : "old"}`}>
    <div class="key-head"><h2>${about.name}</h2><span class="badge">${state}</span>${about.space && html`<span class="badge">${about.space}</span>`}<code>${about.prefix}…</code></div>
    <p class="rights">${about.scopes.map((scope) => t.keys.scopes[scope]?.[0] ?? scope).join(" · ")}</p>
    <p class="hint">${t.keys.created} ${moment(about.created_at)} · ${t.keys.used} ${about.used_at ? moment(about.used_at) : t.never} · ${t.keys.ends} ${about.expires_at ? moment(about.expires_at) : t.never}</p>
    ${works && html`<div class="row"><button type="button" aria-label=${`${t.keys.rotate}: ${about.name}`} onClick=${() => open({ kind: "rotate", about })}>${t.keys.rotate}</button>
      <button type="button" class="danger" aria-label=${`${t.keys.revoke}: ${about.name}`} onClick=${() => open({ kind: "revoke", about })}>${t.keys.revoke}</button></div>`}
  </li>`;
}

function CreateKey({ close, show }) {
  const [busy, setBusy] = useState(false);
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState(["list", "metadata"]);
  const [expires, setExpires] = useState("");
  const [space, setSpace] = useState("");
  const [errors, setErrors] = useState({});
  const toggle = (scope) => setScopes(scopes.includes(scope) ? scopes.filter((each) => each !== scope) : [...scopes, scope]);
  const submit = async (event) => {
    event.preventDefault();
    if (!name.trim()) return setErrors({ name: t.keys.nameMissing });
    if (!scopes.length) return setErrors({ scopes: t.keys.rightsMissing });
    if (busy) return;
    setBusy(true);
    const body = { name: name.trim(), scopes, ...(expires ? { expires_at: new Date(expires).toISOString() } : {}), ...(space.trim() ? { space: space.trim() } : {}) };
    try {
      show(await ask("/keys", { method: "POST", body }));
    } catch (error) {
      const detail = error.detail ?? "";
      const cause = [["expires_at", /expir/], ["space", /space/], ["scopes", /scope/], ["name", /name/]].find(([, words]) => words.test(detail));
      setErrors({ [cause?.[0] ?? "all"]: explained(error) });
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${t.keys.create} close=${close}><form onSubmit=${submit} novalidate>
    <${Field} label=${t.keys.name} hint=${t.keys.nameHint} error=${errors.name}>${(attributes) => html`<input ...${attributes} type="text" maxlength="64" value=${name} onInput=${(event) => setName(event.target.value)} />`}<//>
    <fieldset class="scopes"><legend>${t.keys.rights}</legend>
      ${Object.entries(t.keys.scopes).map(([scope, [title, text]]) => html`<label class="check"><input type="checkbox" name=${scope} checked=${scopes.includes(scope)} onChange=${() => toggle(scope)} /><span>${title} <small>${text}</small></span></label>`)}
      ${errors.scopes && html`<p class="mistake" role="alert">${errors.scopes}</p>`}</fieldset>
    <div class="two">
      <${Field} label=${t.keys.expires} hint=${t.keys.expiresHint} error=${errors.expires_at}>${(attributes) => html`<input ...${attributes} type="date" value=${expires} onInput=${(event) => setExpires(event.target.value)} />`}<//>
      <${Field} label=${t.keys.space} hint=${t.keys.spaceHint} error=${errors.space}>${(attributes) => html`<input ...${attributes} type="text" value=${space} onInput=${(event) => setSpace(event.target.value)} />`}<//>
    </div>
    ${errors.all && html`<p class="mistake" role="alert">${errors.all}</p>`}
    <div class="row end"><button class="primary">${t.keys.make}</button></div>
  </form><//>`;
}

/** The secrets of a new key or webhook. */
function Made({ made, close }) {
  const secret = (label, text) => html`<div class="secret"><h3>${label}</h3><pre class="code" tabindex="0"><code>${text}</code></pre><${CopyButton} text=${text} /></div>`;
  return html`<${Dialog} title=${t.keys.newTitle} close=${close}>
    <p>${t.keys.newText}</p>
    ${made.key && secret(t.keys.key, made.key)}
    ${made.secret && secret(t.keys.secret, made.secret)}
    ${made.signing_secret && secret(t.keys.secret, made.signing_secret)}
    <div class="row end"><button type="button" class="primary" onClick=${close}>${t.keys.done}</button></div>
  <//>`;
}

function Revoke({ about, close }) {
  const [error, setError] = useState("");
  const isOwn = session.get().me.key_id === about.key_id;
  const revoke = async () => {
    try {
      await ask(`/keys/${about.key_id}`, { method: "DELETE" });
      close();
    } catch (refused) {
      setError(explained(refused));
    }
  };
  return html`<${Dialog} title=${t.keys.revokeTitle(about.name)} close=${close}>
    <p>${t.keys.revokeText} ${isOwn && t.keys.revokeOwn}</p>
    ${error && html`<p class="mistake" role="alert">${error}</p>`}
    <div class="row end"><button type="button" onClick=${close}>${t.cancel}</button><button type="button" class="danger solid" onClick=${revoke}>${t.keys.revoke}</button></div>
  <//>`;
}

function Rotate({ about, close, show }) {
  const [overlap, setOverlap] = useState(t.keys.overlaps[1][0]);
  const [error, setError] = useState("");
  const rotate = async () => {
    try {
      show(await ask(`/keys/${about.key_id}/rotate`, { method: "POST", body: { overlap_seconds: overlap } }));
    } catch (refused) {
      setError(explained(refused));
    }
  };
  return html`<${Dialog} title=${t.keys.rotateTitle(about.name)} close=${close}>
    <${Field} label=${t.keys.rotateText} error=${error}>${(attributes) => html`<select ...${attributes} value=${overlap} onChange=${(event) => setOverlap(Number(event.target.value))}>
      ${t.keys.overlaps.map(([seconds, text]) => html`<option value=${seconds} selected=${seconds === overlap}>${text}</option>`)}</select>`}<//>
    <div class="row end"><button type="button" onClick=${close}>${t.cancel}</button><button type="button" class="primary" onClick=${rotate}>${t.keys.rotate}</button></div>
  <//>`;
}

export function WebhooksPage() {
  const loaded = useLoaded((signal) => (may("admin") ? ask(HOOKS, { signal }) : Promise.resolve(null)), []);
  const [dialog, setDialog] = useState(null);
  if (!may("admin")) return html`<${ForAdmins} title=${t.webhooks.signIn} text=${t.webhooks.signInText} />`;
  const done = () => {
    setDialog(null);
    loaded.again();
  };
  const webhooks = loaded.value?.webhooks;
  return html`<div class="page keys">
    <div class="title-row"><h1 tabindex="-1">${t.webhooks.title}</h1>
      <button type="button" class="primary" onClick=${() => setDialog({ show: CreateHook })}><${Icon} name="plus" />${t.webhooks.create}</button></div>
    <p class="lead">${t.webhooks.text}</p>
    ${loaded.error && html`<${Failure} error=${loaded.error} again=${loaded.again} />`}
    ${!webhooks && !loaded.error && html`<${Loading} />`}
    ${webhooks?.length === 0 && html`<div class="empty"><${Icon} name="bell" /><h2>${t.webhooks.none}</h2></div>`}
    <ul class="key-list">${webhooks?.map((each) => html`<${Hook} key=${each.webhook_id} about=${each} open=${setDialog} again=${loaded.again} />`)}</ul>
    ${dialog && html`<${dialog.show} ...${dialog} close=${done} open=${setDialog} />`}
  </div>`;
}

function Hook({ about, open, again }) {
  const [said, setSaid] = useState("");
  const [error, setError] = useState(null);
  const path = `${HOOKS}/${about.webhook_id}`;
  const run = async (work) => {
    setError(null);
    setSaid("");
    try {
      await work();
    } catch (refused) {
      setError(refused);
    }
  };
  const test = () => run(async () => {
    setSaid(t.webhooks.testing);
    const answer = await ask(`${path}/test`, { method: "POST" });
    setSaid(answer.delivered ? t.webhooks.delivered(answer.status, answer.milliseconds) : t.webhooks.refused(`${answer.reason} ${answer.answer}`.trim()));
  });
  const enable = () => run(async () => {
    await ask(path, { method: "PATCH", body: { enabled: true } });
    again();
  });
  const state = about.disabled_at ? t.webhooks.disabled : about.failing_since ? t.webhooks.failing : t.keys.active;
  const button = (text, act, style = "") => html`<button type="button" class=${style} aria-label=${`${text}: ${about.url}`} onClick=${act}>${text}</button>`;
  return html`<li class=${`card key ${about.disabled_at ? "old" : ""}`}>
    <div class="key-head"><h2>${about.url}</h2><span class="badge">${state}</span>${about.space && html`<span class="badge">${about.space}</span>`}</div>
    <p class="rights">${about.events.map((event) => t.webhooks.events[event] ?? event).join(" · ") || t.webhooks.all}</p>
    <p class="hint">${t.keys.created} ${moment(about.created_at)}${about.failing_since && ` · ${t.webhooks.since(moment(about.failing_since))}`}${about.reason && ` · ${about.reason}`}</p>
    <div class="row">${button(t.webhooks.test, test)}
      ${button(t.webhooks.failures, () => open({ show: Failures, path }))}
      ${about.disabled_at && button(t.webhooks.enable, enable)}
      ${button(t.gallery.delete, () => open({ show: Remove, about, path }), "danger")}</div>
    <p role="status">${said}</p>
    ${error && html`<${Failure} error=${error} small />`}
  </li>`;
}

function CreateHook({ close, open }) {
  const [busy, setBusy] = useState(false);
  const [url, setUrl] = useState("");
  const [events, setEvents] = useState([]);
  const [space, setSpace] = useState("");
  const [errors, setErrors] = useState({});
  const submit = async (event) => {
    event.preventDefault();
    if (!url.trim()) return setErrors({ url: t.webhooks.urlMissing });
    if (busy) return;
    setBusy(true);
    try {
      const body = { url: url.trim(), events, ...(space.trim() ? { space: space.trim() } : {}) };
      open({ show: Made, made: await ask(HOOKS, { method: "POST", body }) });
    } catch (error) {
      setErrors({ [/is not a name for a space/.test(error.detail) ? "space" : "url"]: explained(error, { atControl: true }) });
      setBusy(false);
    }
  };
  const toggle = (name) => setEvents(events.includes(name) ? events.filter((each) => each !== name) : [...events, name]);
  return html`<${Dialog} title=${t.webhooks.create} close=${close}><form onSubmit=${submit} novalidate>
    <${Field} label="URL" hint=${t.webhooks.urlHint} error=${errors.url}>${(attributes) => html`<input ...${attributes} type="text" inputmode="url" name="url" value=${url} onInput=${(event) => setUrl(event.target.value)} />`}<//>
    <fieldset class="scopes"><legend>${t.webhooks.when}</legend>
      ${Object.entries(t.webhooks.events).map(([name, text]) => html`<label class="check"><input type="checkbox" name=${name} checked=${events.includes(name)} onChange=${() => toggle(name)} /><span>${text}</span></label>`)}</fieldset>
    <${Field} label=${t.keys.space} hint=${t.webhooks.spaceHint} error=${errors.space}>${(attributes) => html`<input ...${attributes} type="text" value=${space} onInput=${(event) => setSpace(event.target.value)} />`}<//>
    <div class="row end"><button class="primary">${t.webhooks.make}</button></div>
  </form><//>`;
}

function Failures({ path, close }) {
  const loaded = useLoaded((signal) => ask(`${path}/failures`, { signal }), [path]);
  const [error, setError] = useState(null);
  const again = () => {
    setError(null);
    loaded.again();
  };
  const retry = async ({ event_id: id }) => {
    setError(null);
    try {
      await ask(`${path}/failures/${id}/retry`, { method: "POST" });
      loaded.again();
    } catch (refused) {
      setError(refused);
    }
  };
  const failed = loaded.error ?? error;
  return html`<${Dialog} title=${t.webhooks.failures} close=${close}>
    ${failed && html`<${Failure} error=${failed} again=${again} small />`}
    ${!loaded.value && !failed && html`<${Loading} />`}
    ${loaded.value?.waiting > 0 && html`<p>${t.webhooks.waiting(loaded.value.waiting)}${loaded.value.waiting_reason && `: ${loaded.value.waiting_reason}`}</p>`}
    ${loaded.value?.failures.length === 0 && html`<p role="status">${t.webhooks.noFailures}</p>`}
    <ul class="key-list">${loaded.value?.failures.map((each) => html`<li key=${each.event_id} class="card">
      <h3>${t.webhooks.events[each.type] ?? each.type}</h3><p class="hint">${moment(each.created_at)} · ${each.reason} ${each.answer}</p>
      <button type="button" aria-label=${`${t.webhooks.retry}: ${t.webhooks.events[each.type] ?? each.type}, ${moment(each.created_at)}`} onClick=${() => retry(each)}>${t.webhooks.retry}</button></li>`)}</ul>
  <//>`;
}

function Remove({ about, path, close }) {
  const [error, setError] = useState(null);
  const remove = () => ask(path, { method: "DELETE" }).then(close, setError);
  return html`<${Dialog} title=${t.webhooks.removeTitle} close=${close}>
    <p>${t.webhooks.removeText(about.url)}</p>
    ${error && html`<${Failure} error=${error} small />`}
    <div class="row end"><button type="button" onClick=${close}>${t.cancel}</button><button type="button" class="danger solid" onClick=${remove}>${t.gallery.delete}</button></div>
  <//>`;
}
