// Signing in with a key.

import { Field, html, explained, useState } from "./ui.js";
import { signIn } from "./session.js";
import { go, route } from "./routes.js";
import t from "./strings.js";

const KEY = /^ik_[0-9a-f]{12}_[A-Za-z0-9_-]{43}$/;

export function SignIn({ ended, optional }) {
  const [key, setKey] = useState("");
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    if (!KEY.test(key.trim())) return setError(t.signIn.wrongForm);
    setBusy(true);
    setError("");
    try {
      await signIn(key.trim());
      if (route.get().page === "signIn") go("/");
    } catch (refused) {
      setError(explained(refused));
      setBusy(false);
    }
  };
  return html`<div class="page narrow">
    <form class="card sign-in" onSubmit=${submit} novalidate>
      <h1>${t.signIn.title}</h1>
      ${ended && html`<p class="notice" role="alert">${t.signIn.ended}</p>`}
      <p>${optional ? t.signIn.optional : t.signIn.text}</p>
      <${Field} label=${t.signIn.key} hint=${optional ? t.signIn.make : t.signIn.hint} error=${error}>${(attributes) => html`
        <input ...${attributes} type="password" name="key" autocomplete="current-password" spellcheck="false" autocapitalize="off" value=${key}
          onInput=${(event) => setKey(event.target.value)} />`}<//>
      <button class="primary" disabled=${busy}>${t.signIn.button}</button>
    </form>
  </div>`;
}
