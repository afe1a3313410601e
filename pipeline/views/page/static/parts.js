// The parts of the page, each a function of what the server said.
import { html, Component } from './vendor/preact-htm.js';
import { NAMES, WORDS, ago, clock, count, difference, number, plain, range, visible } from './words.js';

// A word that explains itself on hover and focus.
export const Term = ({ word, children }) => html`
  <a class="term" href=${'/glossary#' + word}>${children ?? WORDS[word].title}<span class="tip" role="tooltip">${WORDS[word].about}</span></a>`;

export function Strip({ status, link, now, narrow }) {
  const dead = link !== 'live';
  const newest = status?.newest;
  const idle = status?.worker === false;
  const state = dead ? 'stale' : status?.trouble?.length || idle ? 'trouble' : status?.catching_up ? 'behind' : 'live';
  const word = { stale: 'Stale: reconnecting', trouble: idle ? 'No worker counts' : 'A part does not answer', behind: 'Catching up', live: 'Live' }[state];
  return html`
    <section class=${'strip ' + state} aria-label="State">
      <span class="state" role="status"><i class="dot"></i>${word}</span>
      <span>${status?.newest === undefined ? 'looking …' : newest ? html`newest event <b>${ago(newest, now)}</b>` : 'no live event yet'}</span>
      ${!narrow && status?.rate !== undefined && html`
        <span><b>${count(status.rate < 1 ? status.rate * 60 : status.rate)}</b> events/${status.rate < 1 ? 'min' : 's'}</span>
        <span><${Term} word="lag"><b>${count(status.lag)}</b> behind<//></span>
        <span title=${Object.entries(status.reasons ?? {}).map(([why, n]) => `${plain(why)} ${n}`).join(', ')}><${Term} word="rejected"><b>${count(status.rejected)}</b> rejected in the last hour<//></span>
        <span class=${status.alerts ? 'firing' : ''}><b>${count(status.alerts)}</b> ${status.alerts === 1 ? 'alert' : 'alerts'}</span>`}
      ${dead && status?.at && html`<span>shown as of <b>${clock(status.at / 1000)}</b></span>`}
      ${!dead && status?.trouble?.map(text => html`<span class="why">${text}</span>`)}
    </section>`;
}

const Spark = ({ series }) => {
  if (!series) return html`<svg class="spark" viewBox="0 0 100 24" aria-hidden="true"></svg>`;
  const known = series.score.filter(v => v !== null);
  const low = Math.min(...known), high = Math.max(...known), span = high - low || 1;
  const parts = [];
  let path = '';
  series.score.forEach((v, i) => {
    if (v === null) { if (path) parts.push(path); path = ''; return; }
    path += `${path ? ' ' : ''}${(i / Math.max(1, series.score.length - 1) * 98 + 1).toFixed(1)},${(21 - (v - low) / span * 18).toFixed(1)}`;
  });
  if (path) parts.push(path);
  return html`<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">${parts.map(points => html`<polyline points=${points.includes(' ') ? points : points + ' ' + points} />`)}</svg>`;
};

const VERDICT = { worse: 'real drop', better: 'real rise', steady: 'within chance' };

export const Tiles = ({ tiles, line, measure, choose, why, since }) => html`
  <section class="tiles" aria-label="Scores">
    ${(tiles?.tiles ?? ['nps', 'csat', 'ces', 'sentiment'].map(metric => ({ metric, n: 0, score: null, also: [], unit: 'points' }))).map(tile => {
      const c = tile.change;
      const sign = c && c.verdict !== 'steady' ? (c.value < 0 ? '▼' : '▲') : '';
      return html`
      <article key=${tile.metric} class=${'card tile' + (tile.metric === measure ? ' chosen' : '') + (tile.score === null ? ' empty' : '')}>
        <header><h2><${Term} word=${tile.metric} /></h2>
          <button class="quiet" aria-label=${'Why this number: ' + NAMES[tile.metric]} disabled=${!tile.n} onClick=${() => why(tile.metric)}>Why?</button></header>
        ${tile.score === null
          ? tiles ? html`<p class="big few">too few answers</p><p class="sub">${count(tile.n)} of the 10 that a score needs</p>` : html`<p class="big few">looking …</p>`
          : html`<p class="big">${number(tile.score, tile.unit)}</p>
            <p class="sub"><${Term} word="interval">${range(tile.low, tile.high, tile.unit)}<//><span class="n">n ${count(tile.n)}</span></p>`}
        <p class=${'sub change ' + (c?.verdict ?? '')}>${c
          ? html`<b>${sign} ${difference(c.value, tile.unit)}</b> <${Term} word="change">${VERDICT[c.verdict]}<//><br />vs ${since}`
          : tile.score === null ? ' ' : tiles.compared ? html`no comparison yet<br />with ${since}` : 'looking …'}</p>
        <button class="sparkle" aria-pressed=${tile.metric === measure} aria-label=${'Show ' + NAMES[tile.metric] + ' in the line and the map'} onClick=${() => choose(tile.metric)}><${Spark} series=${line?.series?.[tile.metric]} /></button>
        ${tile.also.length > 0 && html`<p class="sub also">${tile.also.map(one => html`<span>${tile.metric === 'sentiment' ? 'model' : 'scale'} ${one.scale}: ${one.score === null ? 'too few' : number(one.score, tile.unit)} (n ${count(one.n)})</span>`)}</p>`}
      </article>`;
    })}
  </section>`;

// How far a place lies from everything: colour by distance, a sign only where its whole interval lies beyond.
export function tone(cell, whole, unit, turned) {
  if (!cell || cell.score === null || !whole || whole.score === null) return { tone: 'none', sign: '' };
  const width = unit === 'points' ? 100 : unit === 'share' ? 0.5 : 2;
  const off = (cell.score - whole.score) * turned / width;
  const step = Math.min(3, Math.ceil(Math.abs(off) * 6));
  const sure = cell.low > whole.score || cell.high < whole.score;
  return { tone: step === 0 ? 'none' : (off < 0 ? 'bad' : 'good') + step, sign: sure ? (cell.score < whole.score ? '▼' : '▲') : '' };
}

export function Heat({ heat, tiles, measure, filters, pick, rows, setRows, units }) {
  const tile = tiles?.tiles.find(one => one.metric === measure);
  const unit = tile?.unit ?? 'points';
  const turned = measure === 'ces' && tile?.scale === '1-5' ? -1 : 1;
  const byUnit = rows === 'unit';
  const cells = (byUnit ? units : heat?.[measure]) ?? [];
  const across = [...new Set(cells.map(cell => cell[1]))].sort();
  const down = [...new Set(cells.map(cell => cell[0]))];
  const total = name => cells.filter(cell => cell[0] === name).reduce((n, cell) => n + cell[2], 0);
  down.sort((a, b) => total(b) - total(a));
  const at = new Map(cells.map(cell => [cell[0] + '\n' + cell[1], { n: cell[2], score: cell[3], low: cell[4], high: cell[5] }]));
  const keys = byUnit ? ['unit', 'touchpoint'] : ['touchpoint', 'channel'];
  const chosen = (a, b) => filters[keys[0]] === a && filters[keys[1]] === b;
  const name = text => plain(text) || '(none)';
  return html`
    <section class="card heat" aria-labelledby="heat-title">
      <header><h2 id="heat-title">${NAMES[measure]} by place</h2>
        <div class="tools" role="group" aria-label="Rows of the map">
          <button class="quiet" aria-pressed=${!byUnit} onClick=${() => setRows('channel')}>Touchpoint × channel</button>
          <button class="quiet" aria-pressed=${byUnit} onClick=${() => setRows('unit')}>Unit × touchpoint</button>
        </div></header>
      ${cells.length === 0 ? html`<p class="few middle">${tiles ? 'No answers in this selection yet' : 'looking …'}</p>` : html`
      <div class="scroll" tabindex="0" role="region" aria-label="Map of places">
      <table class="map">
        <caption class="sr">${NAMES[measure]} by ${keys.join(' and ')}, each with its number of answers. A cell filters the page.</caption>
        <thead><tr><td></td>${across.map(b => html`<th scope="col" key=${b}>${name(b)}</th>`)}</tr></thead>
        <tbody>${down.map(a => html`<tr key=${a}><th scope="row">${name(a)}</th>${across.map(b => {
          const cell = at.get(a + '\n' + b);
          if (!cell) return html`<td key=${b} class="nothing"></td>`;
          const { tone: colour, sign } = tone(cell, tile, unit, turned);
          const figure = cell.score === null ? 'too few' : number(cell.score, unit);
          const interval = cell.score === null ? '' : range(cell.low, cell.high, unit);
          const sure = sign && ', reliably ' + (sign === '▼' ? 'below' : 'above') + ' everything';
          return html`<td key=${b}><button class=${'cell ' + colour + (cell.score === null ? ' few' : '')} aria-pressed=${chosen(a, b)} title=${[interval, sure].join('')}
            onClick=${() => pick(chosen(a, b) ? { [keys[0]]: '', [keys[1]]: '' } : { [keys[0]]: a, [keys[1]]: b })}>
            <span class="sr">${name(a)}, ${name(b)}: </span><span class="v">${sign && html`<i aria-hidden="true">${sign}</i>`}${figure}</span><span class="n">n ${count(cell.n)}</span><span class="sr">, ${interval}${sure}</span></button></td>`;
        })}</tr>`)}</tbody>
      </table></div>
      <p class="key"><span class="k-bad">below everything</span><span class="k-good">above everything</span><span>▼ ▲ the whole interval lies beyond: no chance</span></p>`}
    </section>`;
}

const FACE = { negative: 'bad', neutral: 'flat', positive: 'good', unscored: 'none' };

// What somebody wrote, as they wrote it; of long texts the beginning is kept, and that is said.
export const Said = ({ one }) => one.text && html`<p class="text" dir="auto" lang=${one.language || null}>${visible(one.text)}${one.truncated && html` <small>(cut: more was written)</small>`}</p>`;

export class Feedback extends Component {
  render({ list, fresh, paused, hold, now, flush, narrow }) {
    return html`
      <section class="card feed" aria-labelledby="feed-title" onMouseEnter=${() => hold('hover', true)} onMouseLeave=${() => hold('hover', false)}>
        <header><h2 id="feed-title">Newest feedback</h2>
          <div class="tools">
            ${fresh > 0 && html`<button class="pill" onClick=${flush}>${fresh} new</button>`}
            <button class="quiet" aria-pressed=${paused} onClick=${() => hold('key', !paused)}>${paused ? 'Go on' : 'Pause'}</button>
          </div></header>
        ${list.length === 0 ? html`<p class="few middle">Nothing was said in this selection yet</p>` : html`
        <ol class="scroll" tabindex="0" aria-label="Newest feedback">${list.map(item => html`
          <li key=${item.id}>
            <p class="meta">
              ${item.answer !== null && item.answer >= 0 && html`<b class="answer">${NAMES[item.metric] ?? plain(item.metric)} ${item.answer}<small> of ${item.scale}</small></b>`}
              ${item.label && html`<span class=${'chip ' + FACE[item.label]}>${item.label === 'unscored' ? 'language not known' : item.label}${item.label !== 'unscored' && item.confidence !== null && html` ${Math.round(item.confidence * 100)} %`}</span>`}
              <time datetime=${new Date(item.occurred_ms).toISOString()}>${ago(item.occurred_ms, now)}</time>
              <span class="at">${[item.touchpoint, item.channel, item.unit, ...(item.topics ?? []).map(one => '#' + one)].filter(Boolean).map(plain).join(' · ')}
              ${!narrow && html` <a class="who" href=${'/customer?id=' + encodeURIComponent(item.id)} aria-label=${'The customer who said this, ' + ago(item.occurred_ms, now)}>customer</a>`}</span>
            </p>
            <${Said} one=${item} />
          </li>`)}</ol>`}
      </section>`;
  }
}

// What is shown is what is copied, and it works as it stands in a shell of this deployment.
const command = gateway => `KEY=$(touchline keys create first-event-$RANDOM)
curl --fail-with-body -sS ${gateway}/v1/events -H "Authorization: Bearer $KEY" \\
  -H "Content-Type: application/json" -d @- <<END
{"event_id": "first-$RANDOM", "occurred_at": "$(date -u +%Y-%m-%dT%H:%M:%SZ)", "channel": "web",
 "touchpoint": "checkout", "customer_id": "c-1", "metric": "nps", "score": 9, "text": "That was quick!"}
END`;

export class Empty extends Component {
  render({ status, gateway, answers }, { copied }) {
    const shown = command(gateway);
    const copy = () => navigator.clipboard?.writeText(shown).then(() => this.setState({ copied: true }));
    const step = (done, text) => html`<li class=${done ? 'done' : ''}><i aria-hidden="true">${done ? '✓' : '○'}</i> ${text}<span class="sr">${done ? ' (done)' : ' (to do)'}</span></li>`;
    const reached = status && !status.trouble?.length;
    return html`
      <section class="card first" aria-labelledby="empty-title">
        <h2 id="empty-title">${answers ? 'The first answers have come' : 'Nothing has been counted yet. Send the first event'}</h2>
        <ul class="steps">
          ${step(reached, reached ? 'Kafka and ClickHouse answer' : status?.trouble?.join('; ') || 'Kafka and ClickHouse answer')}
          ${step(status?.worker, html`A worker counts${status?.worker ? '' : html`: <code>touchline up --workers 1</code> starts one, <code>touchline status</code> shows it`}`)}
          ${step(status?.gateway, html`The gateway takes events over HTTP${status?.gateway ? html` at <code>${gateway}</code>` : html`: <code>touchline up --gateway</code> starts one`}`)}
          ${step(Boolean(status?.newest), 'The first event has come')}
          ${step(answers >= 10, `Ten answers have come: then there is a score${answers ? ` (${answers} so far)` : ''}`)}
        </ul>
        <p>In a shell on this machine, with <code>. .venv/bin/activate</code> and <code>eval "$(touchline env)"</code> done once:</p>
        <pre class="command" tabindex="0">${shown}</pre>
        <p class="tools"><button class="primary" onClick=${copy}>${copied ? 'Copied' : 'Copy the command'}</button><span class="muted">It answers with what became of the event; a second later it stands here.</span></p>
      </section>`;
  }
}

// A dialog over the page that asks the server; again when `stamp` changes.
export class Dialog extends Component {
  componentDidMount() {
    this.dialog.showModal();
    this.ask();
  }

  componentDidUpdate(before) {
    if (before.stamp !== this.props.stamp) this.ask();
  }

  async ask() {
    try {
      const answer = await fetch(this.props.query);
      const content = await answer.json();
      this.setState(answer.ok ? { content, wrong: '' } : { wrong: content.detail });
    } catch { this.setState({ wrong: 'The server does not answer.' }); }
  }

  render({ title, about, close, draw }, { content, wrong }) {
    return html`
      <dialog ref=${node => { if (node) this.dialog = node; }} onClose=${close} aria-labelledby="dialog-title">
        <header><h2 id="dialog-title">${title}</h2><button class="quiet" onClick=${() => this.dialog.close()}>Close</button></header>
        ${about && html`<p>${about}</p>`}
        ${wrong ? html`<p class="wrong" role="alert">${wrong}</p>` : content ? draw(content, () => this.ask()) : html`<p class="few">Looking it up …</p>`}
      </dialog>`;
  }
}

export const Why = ({ metric, query, close, since }) => html`
  <${Dialog} title=${'Why this number: ' + NAMES[metric]} about=${WORDS[metric].about} query=${'/v1/scores/evidence?' + query} close=${close} draw=${content => html`
          <dl class="facts">
            <dt>Definition</dt><dd>${content.definition.name}${restated(content.restated)}</dd>
            <dt>Counted</dt><dd>${since}, as of ${clock(Date.parse(content.as_of) / 1000)}</dd>
            <dt>Interval</dt><dd>${{ adjusted_wald: 'adjusted Wald', wilson: 'Wilson', normal: 'normal, of the mean' }[content.definition.method] ?? content.definition.method}, 95 %</dd>
            <dt>Selection</dt><dd>${Object.entries(content.where).map(([name, values]) => `${name}: ${values.map(plain).join(', ')}`).join('; ') || 'everything'}</dd>
            ${content.scores.map(one => html`<dt>${metric === 'sentiment' ? 'Model' : 'Scale'} ${one.scale}</dt>
              <dd>${one.score === null ? 'too few answers' : html`<b>${number(one.score, one.unit)}</b> (${range(one.low, one.high, one.unit)})`}, n ${count(one.n)}; answers ${metric === 'sentiment' ? 'negative, neutral, positive' : 'from the lowest'}: ${trimmed(one.histogram).map(count).join(', ')}</dd>`)}
          </dl>
          ${content.windows.length > 0 && html`<details><summary>${content.windows.length} windows of five minutes</summary>
            <div class="scroll" tabindex="0" role="region" aria-label="Windows"><table class="figures"><thead><tr><th scope="col">From</th><th scope="col">Scale</th><th scope="col">Score</th><th scope="col">n</th></tr></thead>
            <tbody>${content.windows.map(one => html`<tr><th scope="row">${clock(Date.parse(one.start) / 1000)}</th><td>${one.scale}</td><td>${one.score === null ? html`<span class="few">too few answers</span>` : `${number(one.score, one.unit)} (${range(one.low, one.high, one.unit)})`}</td><td>${count(one.n)}</td></tr>`)}</tbody></table></div></details>`}
          <h3>The newest answers behind it</h3>
          <ol class="behind">${content.events.map(one => html`<li key=${one.id}>
            <p class="meta"><b>${metric === 'sentiment' ? one.label : `${one.answer} of ${one.scale}`}</b><span>${[one.touchpoint, one.channel, one.unit].filter(Boolean).map(plain).join(' · ')}</span><a href=${'/v1/events/' + encodeURIComponent(one.id)}>${one.id}</a></p>
            <${Said} one=${one} /></li>`)}</ol>`} />`;

// How often and why windows of it changed after they were final; nothing is known of a selection.
function restated(windows) {
  if (!windows) return '';
  const sums = {};
  for (const reasons of Object.values(windows)) for (const [why, n] of Object.entries(reasons)) sums[why] = (sums[why] ?? 0) + n;
  const said = Object.entries(sums).map(([why, n]) => `${count(n)}× ${plain(why)}`);
  return said.length ? `; restated ${said.join(', ')}` : '; nothing changed after it was final';
}

function trimmed(histogram) {
  const last = histogram.reduce((at, n, i) => n ? i : at, 0);
  return histogram.slice(0, last + 1);
}
