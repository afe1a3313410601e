// Alerts: what fires, on what evidence, who acts, since when; and the answer of whoever takes care of it.
import { html, Component } from './vendor/preact-htm.js';
import { Term } from './parts.js';
import { NAMES, ago, clock, count, difference, lasting, moment, number, plain, range } from './words.js';

const OVER = ['resolved', 'closed', 'expired'];
export const isOver = one => OVER.includes(one.state);
const PLACES = ['brand', 'unit', 'channel', 'touchpoint', 'segment', 'product', 'agent', 'mode', 'stage'];
const unitOf = metric => ({ nps: 'points', sentiment: 'points', csat: 'share' }[metric] ?? 'mean');

const where = scope => PLACES.filter(name => scope[name]).map(name => plain(scope[name])).join(' · ') || 'everywhere';

// What an alert rests on: a score with n and interval, or nothing at all.
function said(one) {
  const unit = unitOf(one.metric), times = unit === 'points' ? 100 : 1;
  if (!one.score) return '';
  const figure = `${number(one.score.value * times, unit)} (${range(one.score.low * times, one.score.high * times, unit)}, n ${count(one.score.n)})`;
  const before = typeof one.baseline === 'number' ? `, usually ${number(one.baseline * times, unit)}` : '';
  const size = one.size ? `; moved by ${difference(one.size.value * times, unit)} (${difference(one.size.low * times, unit)} to ${difference(one.size.high * times, unit)})` : '';
  return `${NAMES[one.metric] ?? plain(one.metric)} ${figure}${before}${size}`;
}

const began = one => one.began ? `since ${moment(Date.parse(one.began) / 1000, Date.now() - Date.parse(one.began) < 72e6 ? '1h' : '')}` : '';

class Answer extends Component {
  constructor() {
    super();
    let name = '';
    try { name = localStorage.getItem('touchline-name') ?? ''; } catch { /* then it is asked for each time */ }
    this.state = { name, comment: '', said: '', busy: false };
  }

  async send(event) {
    event.preventDefault();
    const { name, comment } = this.state;
    this.setState({ busy: true, said: '' });
    try {
      try { localStorage.setItem('touchline-name', name); } catch { /* as above */ }
      const answer = await fetch(`/v1/alerts/${encodeURIComponent(this.props.id)}/ack`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ by: name, comment }) });
      const content = await answer.json();
      this.setState({ busy: false, said: content.said ?? content.detail });
      if (answer.ok) this.props.done?.();
    } catch { this.setState({ busy: false, said: 'The server does not answer.' }); }
  }

  render({ id }, { name, comment, said, busy, open }) {
    if (!open) return html`<p><button class="quiet strong" onClick=${() => this.setState({ open: true }, () => this.field?.focus())}>Acknowledge</button>${said && html` <span role="status">${said}</span>`}</p>`;
    return html`
      <form class="reply" onSubmit=${event => this.send(event)}>
        <label>Your name<input required maxlength="60" value=${name} autocomplete="name" ref=${field => { this.field = field; }} onInput=${event => this.setState({ name: event.target.value })} /></label>
        <label>What you do about it<input maxlength="500" value=${comment} onInput=${event => this.setState({ comment: event.target.value })} /></label>
        <p class="tools"><button class="primary" disabled=${busy} aria-describedby=${'said-' + id}>I take care of it</button>
          <button class="quiet" type="button" onClick=${() => this.setState({ open: false })}>Cancel</button><span id=${'said-' + id} role="status">${busy ? 'Asking …' : said}</span></p>
      </form>`;
  }
}

const Evidence = ({ one }) => html`<li key=${one.alert_id} class=${isOver(one) ? 'over' : ''}>
  <b>${where(one.scope)}</b> ${said(one)} <span class="muted">${[plain(one.rule), began(one)].filter(Boolean).join(', ')}</span>
  ${/^https?:/.test(one.runbook ?? '') && html` <a href=${one.runbook} rel="noreferrer">what to do</a>`}</li>`;

export const Alerts = ({ alerts, now }) => html`
  <section class="card alerts" aria-labelledby="alerts-title">
    <header><h2 id="alerts-title"><${Term} word="alert">Alerts<//></h2>${alerts?.some(one => !isOver(one)) && html`<span class="firing">${alerts.filter(one => !isOver(one)).length} open</span>`}</header>
    ${!alerts || alerts.length === 0 ? html`<p class="few middle">No alert in the last seven days</p>` : html`
    <ol class="scroll" tabindex="0" aria-label="Alerts">${alerts.map(one => {
      const over = isOver(one), since = Date.parse(one.since ?? one.at);
      const members = one.alerts ?? [one];
      const more = (one.count ?? 0) - Math.min(3, members.length);
      return html`<li key=${one.alert_id} class=${over ? 'over' : ''}>
        <p class="meta"><b class=${'chip ' + (over ? 'flat' : one.acked_by ? 'good' : 'bad')}>${over ? plain(one.state) : one.acked_by ? 'acknowledged' : plain(one.state)}</b>
          <b>${NAMES[one.metric] ?? plain(one.metric || one.rule)}, ${where(one.scope)}</b><time datetime=${one.since ?? one.at}>${over ? ago(Date.parse(one.at), now) : html`<span class="sr">open for </span>${lasting(now - since)}`}</time></p>
        <p><b>${plain(one.owner) || 'nobody'}</b> acts${one.level > 0 ? html`; <span class="firing">called ${one.level + 1} times, no answer</span>` : ''}${one.acked_by ? html`; taken by <b>${plain(one.acked_by)}</b>` : ''}</p>
        <ul class="evidence">${members.filter(said).slice(0, 3).map(member => html`<${Evidence} one=${member} />`)}</ul>
        ${more > 0 && html`<p class="muted">and ${count(more)} more of the same owner</p>`}
        ${!over && !one.acked_by && html`<${Answer} id=${one.alert_id} />`}
      </li>`;
    })}</ol>`}
  </section>`;
