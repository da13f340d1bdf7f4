// What visitors request, with plots.

import { duration, Failure, html, Icon, Loading, number, size, useLoaded, useState } from "./ui.js";
import { ask, may } from "./session.js";
import { Picture, thumbnail } from "./picture.js";
import { describe } from "./preview.js";
import { operations } from "./chain.js";
import t from "./strings.js";

const BUCKETS = 12;
const LISTED = 12;
const SPECIAL = { original: t.usage.original, other: t.usage.other };

export default function UsagePage() {
  const [hours, setHours] = useState(t.usage.periods[0][0]);
  const report = useLoaded((signal) => (may("admin") ? ask(`/usage?hours=${hours}&limit=${LISTED}`, { signal }) : Promise.resolve(null)), [hours]);
  const known = useLoaded(operations, []);
  if (!may("admin")) return html`<${ForAdmins} title=${t.usage.signIn} text=${t.usage.signInText} />`;
  // Both at once, so that nothing moves when the second one arrives.
  const value = (known.value || known.error) && report.value;
  return html`<div class="page usage">
    <div class="title-row"><h1 tabindex="-1">${t.usage.title}</h1>
      <div class="segments" role="radiogroup" aria-label=${t.usage.period}>${t.usage.periods.map(([period, text]) => html`
        <label><input type="radio" name="period" checked=${period === hours} onChange=${() => setHours(period)} /><span>${text}</span></label>`)}</div>
    </div>
    ${report.error && html`<${Failure} error=${report.error} again=${report.again} />`}
    ${!value && !report.error && html`<${Loading} />`}
    ${value && html`<div aria-busy=${report.loading ? "true" : "false"}>
      <${Figures} report=${value} />
      ${value.requests === 0 ? html`<div class="empty"><${Icon} name="chart" /><h2>${t.usage.none}</h2><p>${t.usage.noneText}</p></div>` : html`
        <${OverTime} hours=${hours} />
        <${Chains} report=${value} known=${known.value} />
        <${Images} report=${value} />`}
    </div>`}
  </div>`;
}

export function ForAdmins({ title, text }) {
  return html`<div class="page"><div class="empty"><${Icon} name="lock" /><h1>${title}</h1><p>${text}</p><a class="button primary" href="#/sign-in">${t.menu.signIn}</a></div></div>`;
}

function Figures({ report }) {
  const cached = report.chains.reduce((sum, chain) => sum + chain.hit_ratio * chain.requests, 0);
  const counted = report.chains.reduce((sum, chain) => sum + chain.requests, 0);
  const hits = counted && cached ? `${Math.round((cached / counted) * 100)} %` : "–";
  const figure = (label, value, more) => html`<div><dt>${label}</dt><dd>${value}${more && html`<small>${more}</small>`}</dd></div>`;
  return html`<dl class="figures card">
    ${figure(t.usage.requests, number(report.requests))}
    ${figure(t.usage.fromCache, hits, !cached && report.requests > 0 && t.usage.noCache)}
    ${figure(t.usage.sent, size(report.bytes))}
    ${figure(t.usage.work, duration(report.render_seconds * 1000))}
  </dl>`;
}

/** Reports of longer and longer periods differ by the requests of the time between. */
async function counts(hours, signal) {
  const step = hours / BUCKETS;
  const ends = Array.from({ length: BUCKETS }, (_, index) => (index + 1) * step);
  const totals = [];
  for (const end of ends) totals.push((await ask(`/usage?hours=${end}&limit=1`, { signal })).requests);
  return totals.map((total, index) => ({ from: ends[index], to: ends[index] - step, count: Math.max(0, total - (totals[index - 1] ?? 0)) })).reverse();
}

function OverTime({ hours }) {
  const bars = useLoaded((signal) => counts(hours, signal), [hours]);
  const ago = (value) => (value === 0 ? t.usage.now : t.usage.before(value % 24 === 0 ? t.usage.days(value / 24) : t.usage.hours(Math.round(value))));
  const most = Math.max(1, ...(bars.value ?? []).map((bar) => bar.count));
  const [width, height, gap] = [600, 140, 6];
  const side = (width - gap * (BUCKETS - 1)) / BUCKETS;
  return html`<section class="card" aria-labelledby="time-title"><h2 id="time-title">${t.usage.overTime}</h2>
    ${bars.error && html`<${Failure} error=${bars.error} again=${bars.again} small />`}
    <div class="plot"><p class="most" aria-hidden="true">${bars.value && number(most)}</p>
      <svg viewBox=${`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label=${(bars.value ?? []).map((bar) => t.usage.bar(bar.count, ago(bar.from), ago(bar.to))).join("; ") || t.loading}>
        ${[0.25, 0.5, 0.75, 1].map((share) => html`<line x1="0" x2=${width} y1=${height - share * (height - 4)} y2=${height - share * (height - 4)} />`)}
        ${(bars.value ?? []).map((bar, index) => {
          const tall = bar.count ? Math.max(2, (bar.count / most) * (height - 4)) : 0;
          return html`<rect x=${index * (side + gap)} y=${height - tall} width=${side} height=${tall}><title>${t.usage.bar(bar.count, ago(bar.from), ago(bar.to))}</title></rect>`;
        })}
      </svg>
      <p class="axis" aria-hidden="true"><span>${ago(hours)}</span><span>${t.usage.now}</span></p>
    </div></section>`;
}

function Chains({ report, known }) {
  const most = Math.max(1, ...report.chains.map((chain) => chain.requests));
  const title = (chain) => {
    if (SPECIAL[chain]) return SPECIAL[chain];
    const [format, query = ""] = chain.split(/\?(.*)/s);
    return known ? describe(known, { format, query }) : chain;
  };
  return html`<section class="card" aria-labelledby="chains-title"><h2 id="chains-title">${t.usage.variants}</h2>
    <div class="table-wrap" tabindex="0" role="region" aria-labelledby="chains-title"><table>
      <thead><tr><th scope="col">${t.usage.variant}</th><th scope="col">${t.usage.requests}</th><th scope="col" class="number">${t.usage.share}</th>
        <th scope="col" class="number">${t.usage.fromCache}</th><th scope="col" class="number">${t.usage.renders}</th><th scope="col" class="number">${t.usage.seconds}</th><th scope="col">${t.usage.advice}</th></tr></thead>
      <tbody>${report.chains.map((chain) => html`<tr key=${chain.chain}>
        <th scope="row" title=${chain.chain}>${title(chain.chain)}</th>
        <td><svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
          <rect class="all" width=${(chain.requests / most) * 100} height="10" /><rect class="hits" width=${(chain.requests / most) * chain.hit_ratio * 100} height="10" /></svg>
          <span>${number(chain.requests)}</span></td>
        <td class="number">${Math.round(chain.share * 100)} %</td>
        <td class="number">${Math.round(chain.hit_ratio * 100)} %</td>
        <td class="number">${number(chain.renders)}</td>
        <td class="number">${duration(chain.render_seconds * 1000)}</td>
        <td>${chain.precompute ? html`<span title=${chain.precompute.reason}>${t.usage.verdicts[chain.precompute.verdict] ?? chain.precompute.verdict}</span>` : "–"}</td>
      </tr>`)}</tbody></table></div></section>`;
}

function Images({ report }) {
  if (!report.images.length) return null;
  return html`<section class="card" aria-labelledby="images-title"><h2 id="images-title">${t.usage.images}</h2>
    <ul class="top-images">${report.images.map(({ image_id: id, requests }) => html`<li key=${id}><a href=${`#/images/${id}`}>
      <${Picture} image=${{ image_id: id, visibility: "private" }} make=${thumbnail} alt="" width="96" height="72" />
      <span>${t.usage.imageRequests(requests)}</span></a></li>`)}</ul></section>`;
}
