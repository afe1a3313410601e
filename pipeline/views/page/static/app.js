// The whole page: its state, its address, its keys. The address holds what is chosen, so it can be shared.
import { html, render, Component } from './vendor/preact-htm.js';
import { Line } from './chart.js';
import { Alerts, Headline, Incident } from './alerts.js';
import { Customer } from './customer.js';
import { Glossary } from './glossary.js';
import { Drivers, Journey, Producers } from './beyond.js';
import { Empty, Feedback, Heat, Strip, Tiles, Why } from './parts.js';
import { follow } from './stream.js';
import { SPANS, clock, count, owners, plain } from './words.js';

const FILTERS = ['brand', 'unit', 'channel', 'touchpoint'];
const BACK = { '1h': 'same hour last week', '24h': 'same 24 h last week', '7d': 'the week before', '28d': 'the 28 days before' };
const MEASURES = ['nps', 'csat', 'ces', 'sentiment'];
const UNITS_MS = 10000;
const HOUR_MS = 3600000;

function readAddress() {
  const asked = new URLSearchParams(location.search);
  const filters = Object.fromEntries(FILTERS.map(name => [name, asked.get(name) ?? '']));
  const span = asked.get('span') in SPANS ? asked.get('span') : '1h';
  const measure = MEASURES.includes(asked.get('score')) ? asked.get('score') : 'nps';
  const incident = /^\/alerts\/([\w-]+)$/.exec(location.pathname)?.[1] ?? '';
  return { filters, span, measure, incident, rows: asked.get('rows') === 'unit' ? 'unit' : 'channel' };
}

class App extends Component {
  constructor() {
    super();
    this.skew = 0;
    this.holds = new Set();
    this.state = {
      ...readAddress(), link: 'wait', now: Date.now(), list: [], fresh: 0, waiting: [], values: {}, why: null, paused: false,
      theme: document.documentElement.dataset.theme ?? 'auto', missed: false, narrow: false, open: true,
    };
  }

  componentDidMount() {
    this.listen();
    this.values();
    this.beat = setInterval(() => this.setState({ now: Date.now() + this.skew }), 1000);
    this.units();
    this.look = setInterval(() => { this.units(); if (!this.state.values.touchpoint?.length) this.values(); }, UNITS_MS);
    addEventListener('popstate', () => {
      const before = this.query();
      this.setState(readAddress(), () => { if (this.query() !== before) this.listen(); else this.units(); });
    });
    addEventListener('keydown', event => this.key(event));
  }

  query() {
    const query = new URLSearchParams({ span: this.state.span });
    for (const name of FILTERS) if (this.state.filters[name]) query.set(name, this.state.filters[name]);
    return query.toString();
  }

  listen() {
    this.leave?.();
    const query = this.query();
    const mine = ++this.turn || (this.turn = 1);
    this.holds.clear();
    this.setState({ tiles: null, line: null, heat: null, list: [], waiting: [], fresh: 0, missed: false, paused: false, refused: '' });
    this.leave = follow(query, (event, data) => { if (this.turn === mine) this.take(event, data); });
    const bare = new URLSearchParams(query);
    bare.delete('span');
    fetch('/v1/feedback?' + bare).then(answer => answer.ok ? answer.json() : null).then(found => {
      if (found && this.turn === mine) this.show(found.feedback, true);
    }).catch(() => {});
    this.units();
  }

  take(event, data) {
    if (event === 'live' || event === 'stale') {
      if (this.state.link !== event) this.setState({ link: event });
    } else if (event === 'hello') {
      Object.assign(owners, data.owners);
      this.setState({ narrow: data.narrow, open: data.open, gateway: data.gateway, refused: '' });
    } else if (event === 'feedback') this.show(data.list, false);
    else if (event === 'gap') this.setState({ missed: true });
    else if (event === 'status') {
      if (data.at) this.skew = data.at - Date.now();
      this.setState({ status: data });
    } else if (event !== 'beat') this.setState({ [event]: data });
  }

  // Newest first, each once. What comes while the reader holds the list waits for "N new".
  show(items, first) {
    this.setState(state => {
      const known = new Set([...state.list, ...state.waiting].map(item => item.id));
      const fresh = items.filter(item => !known.has(item.id));
      if (fresh.length === 0) return null;
      const newest = list => list.sort((a, b) => b.occurred_ms - a.occurred_ms).slice(0, 60);
      if (this.holds.size && !first && state.list.length) {
        const waiting = [...fresh, ...state.waiting].slice(0, 200);
        return { waiting, fresh: waiting.length };
      }
      return { list: newest([...fresh, ...state.list]) };
    });
  }

  hold(why, on) {
    if (on) this.holds.add(why); else this.holds.delete(why);
    this.setState({ paused: this.holds.has('key') });
    if (!this.holds.size) this.flush();
  }

  flush() {
    this.setState(state => ({ list: [...state.waiting, ...state.list].slice(0, 60), waiting: [], fresh: 0 }));
  }

  values() {
    fetch('/v1/values').then(answer => answer.ok ? answer.json() : {}).then(values => this.setState({ values })).catch(() => {});
  }

  async units() {
    const { rows, measure, span, filters } = this.state;
    if (rows !== 'unit') return;
    const query = new URLSearchParams({ metric: measure, by: 'unit,touchpoint', from: '-' + span, grain: 'all' });
    for (const name of FILTERS) if (filters[name]) query.set(name, filters[name]);
    try {
      const answer = await fetch('/v1/scores?' + query);
      if (!answer.ok) return;
      const found = (await answer.json()).scores;
      const scale = this.state.tiles?.tiles.find(tile => tile.metric === measure)?.scale;
      this.setState({ unitCells: found.filter(one => !scale || one.scale === scale).map(one => [one.scope.unit, one.scope.touchpoint, one.n, one.score, one.low, one.high]) });
    } catch { /* the strip says that the server is away */ }
  }

  go(change, listen = true) {
    this.setState(change, () => {
      const { span, measure, rows, incident } = this.state;
      const query = new URLSearchParams(this.query());
      if (span === '1h') query.delete('span');
      if (measure !== 'nps') query.set('score', measure);
      if (rows !== 'channel') query.set('rows', rows);
      history.pushState(null, '', (incident ? '/alerts/' + incident : '/') + (query.toString() && '?' + query));
      if (listen) this.listen(); else this.units();
    });
  }

  pick(filters) { this.go({ filters: { ...this.state.filters, ...filters } }); }

  theme() {
    const dark = matchMedia('(prefers-color-scheme: dark)').matches;
    const now = document.documentElement.dataset.theme ?? (dark ? 'dark' : 'light');
    const theme = now === 'dark' ? 'light' : 'dark';
    document.documentElement.dataset.theme = theme;
    try { localStorage.setItem('touchline-theme', theme); } catch { /* then only until the next visit */ }
    this.setState({ theme });
  }

  key(event) {
    if (event.target.closest('input, select, textarea, dialog') || event.ctrlKey || event.metaKey || event.altKey) return;
    const spans = Object.keys(SPANS);
    if (event.key >= '1' && event.key <= '4') this.go({ span: spans[event.key - 1] });
    else if (event.key === 'p') this.hold('key', !this.holds.has('key'));
    else if (event.key === 't') this.theme();
  }

  render(_, s) {
    const since = s.tiles ? `since ${s.span === '1h' ? clock(s.tiles.first) : new Date(s.tiles.first * 1000).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' })}` : '';
    const answers = s.tiles ? Math.max(...s.tiles.tiles.map(tile => tile.n)) : 0;
    const chosen = FILTERS.filter(name => s.filters[name]).map(name => `${name} ${plain(s.filters[name])}`).join(', ');
    const long = s.span === '7d' ? '7d' : '28d';
    const beyond = new URLSearchParams({ metric: s.measure, from: '-' + long });
    for (const name of FILTERS) if (s.filters[name]) beyond.set(name, s.filters[name]);
    const everything = s.tiles && s.span === '1h' && !FILTERS.some(name => s.filters[name]);
    const nothing = everything && answers === 0 && Boolean(s.status);
    // Older events than an hour: there is something to see, and somebody sends.
    const old = nothing && (s.status?.catching_up || (s.values.touchpoint?.length > 0 && !(s.now - s.status?.newest < HOUR_MS)));
    const empty = nothing && !old && s.list.length === 0;
    // Who saw it empty sees the checklist until there is a score.
    if (empty && s.values.touchpoint) this.born = true;
    const first = empty || (this.born && everything && !old && answers < 10);
    const why = (metric, from = s.tiles.first, to = s.now / 1000, when = since) => this.setState({ why: { metric, from, to, when } });
    const open = incident => this.go({ incident }, false);
    const evidence = ({ metric, from, to }) => {
      const query = new URLSearchParams({ metric, from: new Date(from * 1000).toISOString(), to: new Date(to * 1000).toISOString(), grain: 'all' });
      for (const name of FILTERS) if (s.filters[name]) query.set(name, s.filters[name]);
      return query.toString();
    };
    return html`
      <a class="skip" href="#main">Skip to the scores</a>
      <header class="top">
        <p class="brand"><img src="/static/favicon.svg" alt="" width="26" height="26" /> Touchline</p>
        <nav class="spans" aria-label="Time">${Object.entries(SPANS).map(([span, name]) => html`<button key=${span} aria-pressed=${s.span === span} title=${name} onClick=${() => this.go({ span })}>${span.replace(/(\d+)/, '$1 ')}</button>`)}</nav>
        <div class="filters" role="group" aria-label="Filters">
          ${FILTERS.map(name => html`<label key=${name}><span class="sr">${name}</span>
            <select value=${s.filters[name]} onChange=${event => this.pick({ [name]: event.target.value })}>
              <option value="">all ${name}s</option>
              ${[...new Set([...(s.values[name] ?? []), ...(s.filters[name] ? [s.filters[name]] : [])])].sort().map(value => html`<option value=${value} key=${value}>${plain(value)}</option>`)}
            </select></label>`)}
          ${FILTERS.some(name => s.filters[name]) && html`<button class="quiet" onClick=${() => this.pick(Object.fromEntries(FILTERS.map(name => [name, ''])))}>Clear</button>`}
        </div>
        <div class="tools">${!s.narrow && html`<a href="/customer">Customer</a>`}<a href="/glossary">Glossary</a><button class="quiet" onClick=${() => this.theme()} aria-label="Light or dark">◐</button>
          ${!s.open && html`<form method="post" action="/logout"><button class="quiet">Log out</button></form>`}</div>
      </header>
      <${Strip} status=${s.status} link=${s.link} now=${s.now} narrow=${s.narrow} />
      <main id="main" class=${s.link === 'stale' ? 'stale' : ''}>
        <h1 class="sr">How customers feel, ${SPANS[s.span]}${since && ' ' + since}${chosen && ': ' + chosen}, as of ${new Date(s.now).toLocaleString()}</h1>
        ${s.missed && html`<p class="note" role="status">The connection was away for a while: scores are right again, some feedback in between is not in the list. <button class="link" onClick=${() => this.setState({ missed: false })}>Dismiss</button></p>`}
        ${old && html`<p class="note" role="status">${s.status?.catching_up ? `${count(s.status.lag)} events wait to be counted; none` : 'No event'} of the last hour has been counted yet. <button class="link" onClick=${() => this.go({ span: '28d' })}>Show the last 28 days</button></p>`}
        ${first && html`<${Empty} status=${s.status} gateway=${s.gateway} answers=${answers} />`}
        ${s.refused && html`<p class="note" role="alert">${s.refused}</p>`}
        ${!empty && !s.refused && html`
          <${Headline} tiles=${s.tiles} alerts=${s.alerts} now=${s.now} pick=${filters => this.pick(filters)} open=${open} />
          <${Tiles} tiles=${s.tiles} line=${s.line} measure=${s.measure} choose=${measure => this.go({ measure }, false)} why=${why} since=${BACK[s.span]} />
          <div class="grid">
            <div class="stack">
            <${Line} line=${s.line} measure=${s.measure} span=${s.span} theme=${s.theme} alerts=${s.alerts} why=${why} />
            <${Heat} heat=${s.heat} tiles=${s.tiles} measure=${s.measure} filters=${s.filters} pick=${filters => this.pick(filters)}
              rows=${s.rows} setRows=${rows => this.go({ rows }, false)} units=${s.unitCells} />
            </div><div class="stack">
            <${Alerts} alerts=${s.alerts} now=${s.now} open=${open} />
            <${Feedback} list=${s.list} fresh=${s.fresh} paused=${s.paused} hold=${(name, on) => this.hold(name, on)} flush=${() => this.flush()} now=${s.now} narrow=${s.narrow} />
            </div></div>
          <${Journey} query=${beyond} measure=${s.measure} span=${SPANS[long]} />
          <div class=${'pair' + (s.narrow ? ' one' : '')}>
            <${Drivers} query=${beyond} measure=${s.measure} span=${SPANS[long]} />
            ${!s.narrow && html`<${Producers} now=${s.now} />`}
          </div>`}
        ${s.why && s.tiles && html`<${Why} key=${evidence(s.why)} metric=${s.why.metric} query=${evidence(s.why)} since=${s.why.when} close=${() => this.setState({ why: null })} />`}
        ${s.incident && html`<${Incident} key=${s.incident} id=${s.incident} alerts=${s.alerts} close=${() => this.go({ incident: '' }, false)} />`}
      </main>
      <footer><p>${SPANS[s.span]}${since && ', ' + since}. Every score with its 95 % interval and number of answers; under ten answers none is shown. Keys: 1–4 time, p pause, t theme.</p></footer>`;
  }
}

const PAGES = { '/customer': [Customer, 'a customer'], '/glossary': [Glossary, 'what the words mean'] };
const [Page, title] = PAGES[location.pathname] ?? [App, ''];
const place = document.getElementById('app');
if (title) document.title = `Touchline: ${title}`;
place.textContent = '';
render(html`<${Page} />`, place);
