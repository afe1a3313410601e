// Alerts: what fires, on what evidence, who acts, since when; and the answer of whoever takes care of it.
import { html, Component } from './vendor/preact-htm.js';
import { Dialog, Term } from './parts.js';
import { NAMES, count, difference, lasting, moment, number, owner, percent, plain, range, visible } from './words.js';

const OVER = ['resolved', 'closed', 'expired'];
export const isOver = one => OVER.includes(one.state);
const PLACES = ['brand', 'unit', 'channel', 'touchpoint', 'segment', 'product', 'agent', 'mode', 'stage'];
const unitOf = metric => ({ nps: 'points', sentiment: 'points', csat: 'share' }[metric] ?? 'mean');

// Where an incident is: what all of its alerts have in common.
const members = one => one.alerts?.length ? one.alerts : [one];
const shared = one => Object.fromEntries(PLACES.map(name => [name, members(one)[0].scope[name]]).filter(([name, value]) => members(one).every(member => member.scope[name] === value)));
const where = scope => PLACES.filter(name => scope[name]).map(name => plain(scope[name])).join(' · ') || 'everywhere';

function reading(score, unit, times) {
  return `${number(score.value * times, unit)} (${range(score.low * times, score.high * times, unit)}, n ${count(score.n)})`;
}

// What an alert rests on: a score with n and interval, or nothing at all.
function said(one, short) {
  const unit = unitOf(one.metric), times = unit === 'points' ? 100 : 1;
  if (!one.score) return '';
  const figure = reading(one.score, unit, times);
  const before = typeof one.baseline === 'number' ? `, usually ${number(one.baseline * times, unit)}` : '';
  if (short) return figure + before;
  const size = one.size ? `; moved by ${difference(one.size.value * times, unit)} (${difference(one.size.low * times, unit)} to ${difference(one.size.high * times, unit)})` : '';
  return `${NAMES[one.metric] ?? plain(one.metric)} ${figure}${before}${size}`;
}

// The hour, with the day where that is not today.
const at = text => Number.isNaN(Date.parse(text)) ? 'some time' : moment(Date.parse(text) / 1000, new Date(text).toDateString() === new Date().toDateString() ? '1h' : '');
// When the trouble itself began, which is before anybody could know: of an incident the first of its alerts.
const began = one => members(one).map(member => member.began).filter(Boolean).sort()[0] ?? one.since ?? one.at;
const time = (one, now) => isOver(one) ? `${at(began(one))} to ${at(one.at ?? one.resolved)}` : `since ${at(began(one))}, ${lasting(now - Date.parse(began(one)))}`;

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

const Acts = ({ one, now = Date.now() }) => html`<p>${time(one, now)}. <b>${owner(one.owner)}</b> ${isOver(one) ? 'was' : 'acts,'} called ${at(one.since ?? one.opened ?? one.fired ?? one.at)}${one.level > 0 ? html`; <span class="firing">called ${one.level + 1} times, no answer</span>` : ''}${one.acked_by ? html`; taken by <b>${plain(one.acked_by)}</b>` : ''}</p>`;

const Chip = ({ one }) => html`<b class=${'chip ' + (isOver(one) ? 'flat' : one.acked_by ? 'good' : 'bad')}>${!isOver(one) && one.acked_by ? 'acknowledged' : plain(one.state)}</b>`;

const Evidence = ({ one }) => html`<li class=${isOver(one) ? 'over' : ''}>
  <b>${where(one.scope)}</b> ${said(one)} <span class="muted">${plain(one.rule)}</span>
  ${/^https?:/.test(one.runbook ?? '') && html` <a href=${one.runbook} rel="noreferrer">what to do</a>`}</li>`;

// One incident, opened from the list or by the link in its message: evidence, causes, words of customers, its story.
const Story = ({ content, again }) => {
  const { alerts, steps } = content;
  const head = content.state ? content : alerts[0];
  const when = at => moment(Date.parse(at) / 1000, '');
  return html`
    <p class="meta"><${Chip} one=${head} /></p><${Acts} one=${head} />
    ${!isOver(head) && !head.acked_by && html`<${Answer} id=${content.id ?? alerts[0].id} done=${again} />`}
    ${alerts.slice(0, 20).map(one => html`<ul class="evidence" key=${one.id}><${Evidence} one=${one} />
      ${(one.contributions ?? []).slice(0, 3).map(cause => html`<li class="muted">${plain(cause.dimension)} ${plain(cause.value)}: ${percent(cause.share)} of it${cause.now && `, now ${reading(cause.now, unitOf(one.metric), unitOf(one.metric) === 'points' ? 100 : 1)}`}</li>`)}
      ${(one.verbatims ?? []).slice(0, 3).map(text => html`<li class="text" dir="auto">“${visible(text)}”</li>`)}</ul>`)}
    ${alerts.length > 20 && html`<p class="muted">and ${count(alerts.length - 20)} more of the same owner</p>`}
    <h3>What happened</h3>
    <div class="scroll" tabindex="0" role="region" aria-label="What happened"><table class="figures log">
      <tbody>${steps.map(one => html`<tr><th scope="row">${when(one.at)}</th><td>${plain(one.kind)} ${plain(one.step)}</td><td>${[one.by && `by ${visible(one.by)}`, visible(one.why)].filter(Boolean).join(': ')}</td></tr>`)}</tbody>
    </table></div>`;
};

export function Incident({ id, alerts, close }) {
  const known = alerts?.find(one => one.alert_id.startsWith(id));
  return html`<${Dialog} title=${known ? titled(known) : 'Alert'} query=${'/v1/alerts/' + id} stamp=${known?.revision} close=${close}
    draw=${(content, again) => html`<${Story} content=${content} again=${again} />`} />`;
}

// The link of an incident: it opens over the page, in a tab of its own where that is asked for.
const Title = ({ one, open, children }) => html`<a class="title" href=${'/alerts/' + encodeURIComponent(one.alert_id)}
  onClick=${event => { if (!event.ctrlKey && !event.metaKey) { event.preventDefault(); open(one.alert_id); } }}>${children}</a>`;

// Open ones first, of these those whom nobody has answered, then those that say where, then by the order of the scores.
const rank = one => [isOver(one), Boolean(one.acked_by), !shared(one).touchpoint && !shared(one).unit].reduce((sum, no) => 2 * sum + no, 0) * 9 + (isOver(one) ? 0 : Object.keys(NAMES).indexOf(one.metric));
const ranked = alerts => [...alerts].sort((a, b) => rank(a) - rank(b));

// In two sentences: how customers feel and whether that is real; where it is worst and who acts. Where somebody has been
// called, that is the place, and what pulls the score down most in the shown time is said beside it.
export function Headline({ tiles, alerts, now, pick, open }) {
  const lead = tiles?.headline;
  const tile = lead && tiles.tiles.find(one => one.metric === lead.metric);
  if (!tile || tile.score === null) return null;
  const c = tile.change;
  const feel = !c ? tiles.compared ? 'There is nothing to compare it with yet.' : ''
    : c.verdict === 'steady' ? `No difference from a week earlier is sure (${difference(c.value, tile.unit)} may be chance).`
    : `That is ${difference(c.value, tile.unit)} against a week earlier: a real ${c.verdict === 'worse' ? 'drop' : 'rise'}, not chance.`;
  const w = lead.worst;
  const firing = ranked(alerts ?? []).filter(one => !isOver(one));
  const first = firing[0];
  const rests = first ? members(first).filter(one => said(one)) : [];
  const proof = rests.find(one => where(one.scope) === where(shared(first))) ?? rests[0];
  return html`
    <section class=${'headline ' + (c?.verdict ?? '')} aria-label="In two sentences">
      <p><b>${NAMES[lead.metric]} is ${number(tile.score, tile.unit)}</b> (${range(tile.low, tile.high, tile.unit)}, ${count(tile.n)} answers). ${feel}</p>
      ${first && html`<p><b class="firing">Alert:</b> <${Title} one=${first} open=${open}>${titled(first)}<//> ${time(first, now)}${proof && `: ${where(proof.scope) === where(shared(first)) ? '' : where(proof.scope) + ' '}${said(proof, true)}, a real drop`}. <b>${owner(first.owner)}</b> acts${first.acked_by ? `, taken by ${plain(first.acked_by)}` : ', not acknowledged yet'}.${firing.length > 1 && ` ${firing.length - 1} more open.`}</p>`}
      <p class=${first ? 'sub' : ''}><span>${w ? html`${first && 'Apart from that, '}<button class="link" onClick=${() => pick({ touchpoint: w.touchpoint, channel: w.channel })}>${plain(w.touchpoint) || 'no touchpoint'} by ${plain(w.channel)}</button> <${Term} word="worst">pulls the score down most<//>: ${number(w.score, lead.unit)} (${range(w.low, w.high, lead.unit)}, n ${count(w.n)}).${!first && html` <b>${w.owner}</b> acts. No alert is open.`}`
        : 'No place is reliably worse than the rest.'}</span></p>
    </section>`;
}

const titled = one => `${NAMES[one.metric] ?? plain(one.metric || one.rule)}, ${where(shared(one))}`;

export const Alerts = ({ alerts, now, open }) => html`
  <section class="card alerts" aria-labelledby="alerts-title">
    <header><h2 id="alerts-title"><${Term} word="alert">Alerts<//></h2>${alerts?.some(one => !isOver(one)) && html`<span class="firing">${alerts.filter(one => !isOver(one)).length} open</span>`}</header>
    ${!alerts || alerts.length === 0 ? html`<p class="few middle">${alerts ? 'No alert in the last seven days' : 'looking …'}</p>` : html`
    <ol class="scroll" tabindex="0" aria-label="Alerts">${ranked(alerts).map(one => {
      const over = isOver(one);
      const more = (one.count ?? 0) - Math.min(3, members(one).length);
      return html`<li key=${one.alert_id} class=${over ? 'over' : ''}>
        <p class="meta"><${Chip} one=${one} />
          <${Title} one=${one} open=${open}>${titled(one)}<//></p>
        <${Acts} one=${one} now=${now} />
        <ul class="evidence">${members(one).filter(one => said(one)).slice(0, 3).map(member => html`<${Evidence} key=${member.alert_id} one=${member} />`)}</ul>
        ${more > 0 && html`<p class="muted">and ${count(more)} more of the same owner</p>`}
        ${!over && !one.acked_by && html`<${Answer} id=${one.alert_id} />`}
      </li>`;
    })}</ol>`}
  </section>`;
