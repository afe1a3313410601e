// What lies behind the scores: where customers go, what goes along with a score, who sends. Each is asked for when it
// comes into sight, else after a while, and every five minutes after that.
import { html, Component } from './vendor/preact-htm.js';
import { Term, tone } from './parts.js';
import { NAMES, ago, count, difference, number, percent, plain, range } from './words.js';

const AGAIN_MS = 300000;
const SOON_MS = 4000;

// A card that reads `/v1/...` once somebody sees it; `draw(content)` draws it, as a picture or as a table.
class Card extends Component {
  componentDidMount() {
    this.watch = new IntersectionObserver(seen => { if (seen.some(one => one.isIntersecting)) this.begin(); }, { rootMargin: '200px' });
    this.watch.observe(this.box);
    this.print = () => this.begin();
    addEventListener('beforeprint', this.print);
    // Whoever prints wants all of it, at once.
    this.soon = setTimeout(this.print, SOON_MS);
  }

  componentWillUnmount() {
    this.gone = true;
    this.watch.disconnect();
    removeEventListener('beforeprint', this.print);
    clearTimeout(this.soon);
    clearInterval(this.again);
  }

  componentDidUpdate(before) {
    if (this.again && before.query !== this.props.query) this.ask();
  }

  begin() {
    if (this.again) return;
    this.ask();
    this.again = setInterval(() => this.ask(), this.props.every ?? AGAIN_MS);
  }

  async ask() {
    const { query } = this.props;
    try {
      const answer = await fetch(query);
      const content = await answer.json();
      if (this.gone || query !== this.props.query) return;
      this.setState(answer.ok ? { content, wrong: '' } : { wrong: content.detail });
    } catch { if (!this.state.content) this.setState({ wrong: 'The server does not answer.' }); }
  }

  render({ name, title, about, draw, list }, { content, wrong, table }) {
    return html`
      <section class=${'card beyond ' + name} aria-labelledby=${name + '-title'} ref=${box => { if (box) this.box = box; }}>
        <header><h2 id=${name + '-title'}>${title}</h2>
          ${draw && html`<div class="tools"><button class="quiet" aria-pressed=${Boolean(table)} onClick=${() => this.setState({ table: !table })}>${table ? 'Show as chart' : 'Show as table'}</button></div>`}</header>
        ${wrong ? html`<p class="few middle">${wrong}</p>` : !content ? html`<p class="few middle">Looking it up …</p>`
          : (draw && !table ? draw : list)(content)}
        ${about && html`<p class="key"><span>${about}</span></p>`}
      </section>`;
  }
}

const figure = (one, unit) => !one || one.score === null ? 'too few answers' : `${number(one.score, unit)} (${range(one.low, one.high, unit)}, n ${count(one.n)})`;
const share = one => one.value === null || one.status !== 'ok' ? 'too few' : `${percent(one.value)} (${percent(one.low)} to ${percent(one.high)})`;
const lead = step => [...step.scores].sort((a, b) => b.n - a.n)[0];

const Table = ({ caption, heads, rows }) => html`
  <div class="scroll" tabindex="0" role="region" aria-label=${caption}><table class="figures">
    <caption class="sr">${caption}</caption>
    <thead><tr>${heads.map(head => html`<th scope="col" key=${head}>${head}</th>`)}</tr></thead>
    <tbody>${rows.map(([first, ...rest]) => html`<tr key=${first}><th scope="row">${first}</th>${rest.map(cell => html`<td>${cell}</td>`)}</tr>`)}</tbody>
  </table></div>`;

// --- Where customers go: a column for each step, as high as it is travelled; ribbons as wide as their ways. ---

const W = 1000, TOP = 112, HIGH = 150, FOOT = TOP + HIGH + 84, BAR = 14, LEFT = 52, RIGHT = 96, BOW = 44;
const BEGIN = '(begin)', END = '(end)', OPEN = '(open)';

function layout({ steps, ways }) {
  const place = new Map(steps.map((step, i) => [step.step, i]));
  const apart = (W - LEFT - RIGHT) / Math.max(1, steps.length - 1);
  const nodes = steps.map((step, i) => ({ step, x: LEFT + i * apart, out: 0, in: 0 }));
  for (const way of ways) {
    if (place.has(way.from)) nodes[place.get(way.from)].out += way.n;
    if (place.has(way.to)) nodes[place.get(way.to)].in += way.n;
  }
  const most = Math.max(1, ...nodes.map(node => Math.max(node.in, node.out)));
  // Bows over other steps, and those that lead back, are thin enough to leave names and numbers alone.
  const bow = way => place.has(way.from) && place.has(way.to) && ![0, 1].includes(place.get(way.to) - place.get(way.from));
  const scale = Math.min(HIGH / most, BOW / Math.max(1, ...ways.filter(bow).map(way => way.n)));
  for (const node of nodes) { node.high = Math.max(3, Math.max(node.in, node.out) * scale); node.y = TOP + (HIGH - node.high) / 2; node.o = node.i = node.y; }
  // From top to bottom at each side: far ahead, next, out of sight, back.
  const rank = way => {
    const a = place.get(way.from), b = place.get(way.to);
    if (b === undefined || a === undefined) return way.to === END ? 100 : 50;
    return b > a ? -(b - a) : 200 + (a - b);
  };
  const drawn = ways.filter(way => way.n >= most / 250 && way.from !== way.to).sort((a, b) => rank(a) - rank(b));
  const ribbons = [];
  for (const way of drawn) {
    const from = nodes[place.get(way.from)], to = nodes[place.get(way.to)], wide = Math.max(1, way.n * scale);
    const ys = from && from.o + wide / 2, yt = to && to.i + wide / 2;
    if (from) from.o += wide;
    if (to) to.i += wide;
    if (!from || way.to === OPEN) continue;  // where journeys begin, and those on their way, stand in the table
    const xs = from.x + BAR;
    if (way.to === END) {
      ribbons.push({ way, kind: 'lost', wide, d: `M${xs} ${ys} C${xs + 30} ${ys} ${xs + 34} ${ys + 16} ${xs + 34} ${FOOT - 18}` });
    } else if (to && to.x > from.x) {
      const far = to.x - from.x > apart * 1.5, bend = far ? TOP - 24 - wide / 2 : null, dx = (to.x - xs) / 2;
      ribbons.push({ way, to, kind: 'on', wide, d: far ? `M${xs} ${ys} C${xs + dx * 0.5} ${bend} ${to.x - dx * 0.5} ${bend} ${to.x} ${yt}` : `M${xs} ${ys} C${xs + dx} ${ys} ${to.x - dx} ${yt} ${to.x} ${yt}` });
    } else if (to) {
      const low = TOP + HIGH + 30 + (from.x - to.x) / 16;
      ribbons.push({ way, to, kind: 'back', wide, d: `M${xs} ${ys} C${xs + 70} ${low} ${to.x - 70} ${low} ${to.x} ${yt}` });
    }
  }
  return { nodes, ribbons: ribbons.sort((a, b) => (b.kind === 'back') - (a.kind === 'back')) };
}

function Flow({ content, measure }) {
  if (!content.steps.length) return html`<p class="few middle">Nobody was on a journey in this selection</p>`;
  const { nodes, ribbons } = layout(content);
  // Steps are compared with each other: with the mean of all their answers.
  const known = content.steps.map(lead).filter(one => one?.score != null);
  const n = known.reduce((sum, one) => sum + one.n, 0);
  const whole = n ? { score: known.reduce((sum, one) => sum + one.score * one.n, 0) / n } : null;
  const turned = measure === 'ces' && known[0]?.scale === '1-5' ? -1 : 1;
  const at = step => { const one = lead(step); return one?.score == null ? 'none' : tone(one, whole, one.unit, turned).tone; };
  const lost = nodes.filter(node => node.step.drop_off.status === 'ok').sort((a, b) => b.step.drop_off.value - a.step.drop_off.value)[0];
  const said = `${count(content.totals.journeys)} journeys over ${content.steps.length} steps. ${content.totals.arriving.status === 'ok' ? share(content.totals.arriving) + ' arrive. ' : ''}${lost ? `Most are lost at ${plain(lost.step.step)}: ${share(lost.step.drop_off)}. ` : ''}` +
    nodes.map(node => `${plain(node.step.step)}: ${count(node.step.journeys)} journeys, ${NAMES[measure]} ${figure(lead(node.step), lead(node.step)?.unit)}`).join('; ');
  return html`
    <div class="scroll flow-box" tabindex="0" role="region" aria-label="Journey flow">
    <svg class="flow" viewBox="0 0 ${W} ${FOOT + 16}" role="img" aria-label=${said}>
      <g class="ribbons">${ribbons.map(({ way, to, kind, wide, d }) => html`
        <path key=${way.from + way.to} class=${kind + ' ' + (kind === 'on' ? at(to.step) : '')} d=${d} stroke-width=${wide.toFixed(1)}><title>${plain(way.from)} to ${way.to === END ? 'nowhere: lost' : plain(way.to)}: ${count(way.n)} times, ${share(way.share)} of what left ${plain(way.from)}</title></path>`)}</g>
      ${nodes.map(({ step, x, y, high }) => {
        const one = lead(step), tx = x + BAR / 2;
        return html`<g key=${step.step} text-anchor="middle">
          <rect class=${at(step)} x=${x} y=${y} width=${BAR} height=${high} rx="3"><title>${plain(step.step)}: ${count(step.journeys)} journeys</title></rect>
          <text class="name" x=${tx} y="16">${plain(step.step)}</text>
          <text x=${tx} y="34">${one?.score == null ? 'too few answers' : `${NAMES[measure]} ${number(one.score, one.unit)}`}</text>
          ${one?.score != null && html`<text class="small" x=${tx} y="49">${range(one.low, one.high, one.unit)}</text><text class="small" x=${tx} y="63">n ${count(one.n)}</text>`}
          <text class="small" x=${x + BAR + 34} y=${FOOT - 4}>${step.drop_off.status === 'ok' ? `${percent(step.drop_off.value)} lost` : ''}</text>
          <text class="small" x=${x + BAR + 34} y=${FOOT + 10}>of ${count(step.journeys)}</text></g>`;
      })}
    </svg></div>
    <p class="key"><span class="k-bad">below the mean of the steps</span><span class="k-good">above it</span><span class="k-lost">lost there</span><span class="k-back">back again</span></p>`;
}

const flowRows = (content, measure) => html`
  <${Table} caption=${'Steps of the journey, with ' + NAMES[measure]} heads=${['Step', 'Journeys', NAMES[measure], 'Lost here', 'Median time on']} rows=${content.steps.map(step => {
    const on = content.ways.filter(way => way.from === step.step && ![END, OPEN].includes(way.to)).sort((a, b) => b.n - a.n)[0];
    return [plain(step.step), count(step.journeys), figure(lead(step), lead(step)?.unit), share(step.drop_off), on?.median_seconds ? `${hours(on.median_seconds)} to ${plain(on.to)}` : ''];
  })} />
  <${Table} caption="Ways between steps" heads=${['From', 'To', 'Times', 'Share of what left']} rows=${content.ways.slice(0, 40).map(way => [plain(way.from), plain(way.to), count(way.n), share(way.share)])} />`;

function hours(s) { return s < 5400 ? `${Math.max(1, Math.round(s / 60))} min` : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`; }

export const Journey = ({ query, measure, span }) => html`
  <${Card} name="journey" query=${'/v1/journeys?' + query} title=${html`<${Term} word="journey">Journeys<//>, ${span}`}
    draw=${content => html`<${Flow} content=${content} measure=${measure} />`} list=${content => flowRows(content, measure)} />`;

// --- What goes along with a score: a bar from zero, its interval as a line over it. ---

function bars(content) {
  const unit = content.whole?.unit ?? 'points';
  const known = (content.drivers ?? []).filter(one => one.impact.status === 'ok').sort((a, b) => Math.abs(b.impact.value) - Math.abs(a.impact.value)).slice(0, 9);
  if (!known.length) return html`<p class="few middle">${content.detail ?? 'Too few answers of people who met something before'}</p>`;
  const least = Math.min(0, ...known.map(one => one.impact.low)), most = Math.max(0, ...known.map(one => one.impact.high));
  const x = value => ((value - least) / (most - least || 1) * 98 + 1).toFixed(2);
  return html`<ol class="bars" aria-label="What goes along with the score">${known.map(one => {
    const { value, low, high } = one.impact, sure = low > 0 || high < 0, kind = !sure ? 'none' : value < 0 ? 'bad' : 'good';
    return html`<li key=${one.driver}>
      <span class="what">${plain(one.driver)}</span>
      <svg viewBox="0 0 100 16" preserveAspectRatio="none" aria-hidden="true"><line class="zero" x1=${x(0)} x2=${x(0)} y1="0" y2="16" />
        <rect class=${kind} x=${Math.min(x(0), x(value))} y="3" width=${Math.abs(x(value) - x(0)).toFixed(2)} height="10" /><line class="whisker" x1=${x(low)} x2=${x(high)} y1="8" y2="8" /></svg>
      <span class="how"><b>${sure ? value < 0 ? '▼ ' : '▲ ' : ''}${difference(value, unit)}</b> <small>${difference(low, unit)} to ${difference(high, unit)}<span class="sr">; </span> · met by ${percent(one.reach.value)}, n ${count(one.reach.n)}</small></span></li>`;
  })}</ol>`;
}

const impact = (one, unit) => one.status !== 'ok' ? 'too few' : `${difference(one.value, unit)} (${difference(one.low, unit)} to ${difference(one.high, unit)})`;

export const Drivers = ({ query, measure, span }) => html`
  <${Card} name="drivers" query=${'/v1/drivers?' + query} title=${html`<${Term} word="driver">What goes along with ${NAMES[measure]}<//>, ${span}`}
    about="By how much the score would differ without those who met it. What goes along with a score need not be its cause."
    draw=${bars} list=${content => html`<${Table} caption="Drivers" heads=${['Met before', 'Met by', 'Score of these', 'Score of the others', 'Pull on the score']}
      rows=${content.drivers.map(one => [plain(one.driver), share(one.reach), figure(one.met, one.met.unit), figure(one.others, one.others.unit), impact(one.impact, content.whole.unit)])} />`} />`;

// --- Who sends, and what could not be used. ---

const SENDS = { bad: 'bad', silent: 'bad', ok: 'good', new: 'flat' };

export const Producers = ({ now }) => html`
  <${Card} name="producers" query="/v1/producers" every=${30000} title=${html`<${Term} word="producer">Who sends<//>`} list=${({ producers, rejected }) => html`
    ${!producers.length ? html`<p class="few middle">Nobody has sent anything yet</p>` : html`
    <ol class="scroll" tabindex="0" aria-label="Producers">${producers.map(one => html`<li key=${one.producer}>
      <p class="meta"><b class=${'chip ' + (SENDS[one.state] ?? 'flat')}>${plain(one.state)}</b><b>${plain(one.producer)}</b><span>${count(one.arrived)} events, ${one.rejected ? `${percent(one.share)} rejected` : 'none rejected'}</span><time>${ago(one.last_ms, now)}</time></p>
      ${one.why && html`<p class="muted">${plain(one.why)}</p>`}</li>`)}</ol>`}
    <h3><${Term} word="rejected">Rejected in the last hour<//></h3>
    ${!Object.keys(rejected).length ? html`<p class="few">None</p>` : html`<p class="reasons">${Object.entries(rejected).map(([why, n]) => html`<span key=${why}>${plain(why)} <b>${count(n)}</b></span>`)}</p>
      <p class="muted">Look at them: <code>touchline rejects list</code></p>`}`} />`;
