// One customer across channels: what they did and said, newest first, and what each experience adds or takes.
import { html, Component } from './vendor/preact-htm.js';
import { Said, Term } from './parts.js';
import { login } from './stream.js';
import { NAMES, clock, count, day, plain } from './words.js';

const OUTCOMES = { ok: 'went well', fail: 'failed', abandon: 'was given up' };
const points = value => (value > 0 ? '+' : value < 0 ? '−' : '') + Math.abs(value).toFixed(0);

function what(one) {
  if (one.kind === 'touchpoint') return html`<b>${plain(one.touchpoint)}</b>${one.outcome && html` <span class=${'chip ' + (one.outcome === 'ok' ? 'flat' : 'bad')}>${OUTCOMES[one.outcome] ?? plain(one.outcome)}</span>`}${one.value > 0 && html` <span>${one.value.toFixed(2)} ${one.currency}</span>`}`;
  return html`<b>${one.answer === null ? 'said' : `${NAMES[one.metric] ?? plain(one.metric)} ${one.answer}`}</b>${one.answer !== null && html` <small>of ${one.scale}</small>`} about ${plain(one.touchpoint) || 'the brand'}${one.label && one.label !== 'unscored' && html` <span class=${'chip ' + { negative: 'bad', positive: 'good' }[one.label]}>${one.label}</span>`}`;
}

const Event = ({ one }) => html`
  <li class=${one.index && one.worth < 0 ? 'bad' : one.index && one.worth > 0 ? 'good' : ''}>
    <p class="meta"><span>${what(one)}</span><span>${[one.channel, one.unit, one.brand].filter(Boolean).map(plain).join(' · ')}</span>
      ${one.disposition !== 'aggregated' && html`<span>${plain(one.disposition)}: does not count</span>`}
      <time datetime=${one.at}>${clock(Date.parse(one.at) / 1000)}${one.index && html`<span class="sr">, </span> ${points(one.points)}${one.is_peak ? ', strongest' : ''}${one.is_end ? ', last' : ''}`}</time></p>
    <${Said} one=${one} /></li>`;

function story(timeline) {
  const rows = [];
  let before = '';
  for (const one of timeline) {
    const on = day(Date.parse(one.at) / 1000);
    if (on !== before) rows.push(html`<li class="day" key=${'day ' + on}>${on}</li>`);
    before = on;
    rows.push(html`<${Event} key=${one.event} one=${one} />`);
  }
  return rows;
}

const Life = ({ found }) => html`
  <section class="card" aria-labelledby="who">
    <h1 id="who">${found.customer}</h1>
    <p class="muted">${found.profile ? [...(found.profile.segments ?? []), found.profile.unit].filter(Boolean).map(plain).join(' · ') || 'without a segment' : 'no profile is known'}</p>
    <dl class="facts">
      ${['transactions', 'relationship'].map(kind => found.index[kind].n > 0 && html`<dt><${Term} word="index">Experience index<//>, ${kind}</dt><dd><b>${points(found.index[kind].value)}</b> points from ${count(found.index[kind].n)} experiences (strongest ${points(found.index[kind].peak)}, last ${points(found.index[kind].end)})</dd>`)}
      ${found.last_scores.map(one => html`<dt>Last ${NAMES[one.metric] ?? plain(one.metric)}</dt><dd><b>${one.answer}</b> of ${one.scale} on ${day(Date.parse(one.at) / 1000)}, ${[one.touchpoint, one.channel].filter(Boolean).map(plain).join(' by ')}</dd>`)}
    </dl>
  </section>
  <section class="card" aria-labelledby="story"><h2 id="story">What happened${found.timeline.length < found.events ? `: the newest ${count(found.timeline.length)} of ${count(found.events)}` : ''}${found.older ? `, and ${count(found.older)} more than a year ago` : ''}</h2>
    ${found.timeline.length ? html`<ol class="story">${story(found.timeline)}</ol>` : html`<p class="few middle">Nothing is known of this customer in the last year</p>`}</section>`;

export class Customer extends Component {
  constructor() {
    super();
    this.state = { id: new URLSearchParams(location.search).get('id') ?? '' };
  }

  componentDidMount() {
    if (this.state.id) this.ask(this.state.id);
    addEventListener('popstate', () => { const id = new URLSearchParams(location.search).get('id') ?? ''; this.setState({ id, found: null, wrong: '' }); if (id) this.ask(id); });
  }

  async ask(id) {
    this.setState({ wrong: '', busy: true });
    try {
      const answer = await fetch('/v1/customers/' + encodeURIComponent(id) + '?limit=200');
      if (answer.status === 401) { login(); return; }
      const content = await answer.json();
      this.setState({ busy: false, ...(answer.ok ? { found: content } : { found: null, wrong: answer.status === 403 ? 'Only readers who may see everything may see single customers.' : content.detail }) });
    } catch { this.setState({ busy: false, wrong: 'The server does not answer.' }); }
  }

  find(event) {
    event.preventDefault();
    history.pushState(null, '', '/customer?id=' + encodeURIComponent(this.state.id));
    this.ask(this.state.id);
  }

  render(_, { id, found, wrong, busy }) {
    return html`
      <header class="top"><p class="brand"><a href="/"><img src="/static/favicon.svg" alt="" width="26" height="26" /> Touchline</a></p>
        <div class="tools"><a href="/">Live page</a><a href="/glossary">Glossary</a></div></header>
      <main class="life">
        ${!found && html`<h1 class="sr">One customer</h1>`}
        <form class="ask" onSubmit=${event => this.find(event)}>
          <label>Customer: id, pseudonym, or an event of theirs<input required value=${id} maxlength="200" spellcheck="false" onInput=${event => this.setState({ id: event.target.value })} /></label>
          <button class="primary">Show</button></form>
        <p class="wrong" role="alert">${wrong}</p>
        ${found ? html`<${Life} found=${found} />` : html`<p class="few">${busy ? 'Looking it up …' : 'Whose life across channels do you want to see? The feedback on the live page leads here too.'}</p>`}
      </main>`;
  }
}
