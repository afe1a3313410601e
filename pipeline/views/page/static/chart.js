// The time line: score with its interval as a band, the band that is expected behind it, alerts, steps that were
// restated, the step that is still open.
import { html, Component } from './vendor/preact-htm.js';
import { Term } from './parts.js';
import { NAMES, SPANS, clock, count, day, moment, number, range } from './words.js';

const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function columns(line, measure) {
  const series = line?.series?.[measure];
  if (!series) return null;
  const x = Array.from({ length: line.steps }, (_, i) => line.first + i * line.grain);
  return { ...series, x };
}

export class Line extends Component {
  constructor() {
    super();
    this.state = { table: false, at: null, zoomed: false };
    this.draw = this.draw.bind(this);
    this.paper = this.paper.bind(this);
  }

  componentDidMount() {
    this.resize = new ResizeObserver(() => this.plot?.setSize(this.size()));
    this.resize.observe(this.box);
    this.scheme = matchMedia('(prefers-color-scheme: dark)');
    this.scheme.addEventListener('change', this.draw);
    addEventListener('beforeprint', this.paper);
    addEventListener('afterprint', this.paper);
    this.draw();
  }

  componentWillUnmount() {
    this.resize.disconnect();
    this.scheme.removeEventListener('change', this.draw);
    removeEventListener('beforeprint', this.paper);
    removeEventListener('afterprint', this.paper);
    this.plot?.destroy();
  }

  componentDidUpdate(before) {
    const same = before.measure === this.props.measure && before.span === this.props.span && before.theme === this.props.theme;
    const series = columns(this.props.line, this.props.measure);
    if (!series) { this.plot?.destroy(); this.plot = null; return; }
    if (!same || !this.plot) { this.draw(); return; }
    if (before.line === this.props.line) {  // the cursor moved, or an alert came
      if (before.alerts !== this.props.alerts) this.plot.redraw(false);
      return;
    }
    this.plot.setData(this.data(series), !this.state.zoomed);
    if (this.state.zoomed) this.plot.redraw(false);
  }

  // Paper is white: what is drawn is drawn again in the light, and as before when it has been printed.
  paper(event) {
    const chosen = document.documentElement.dataset;
    if (event.type === 'beforeprint') { this.kept = chosen.theme; chosen.theme = 'light'; }
    else if (this.kept) chosen.theme = this.kept;
    else delete chosen.theme;
    const zoom = this.state.zoomed && this.plot && { ...this.plot.scales.x };
    this.draw();
    if (zoom) { this.plot.setScale('x', zoom); this.setState({ zoomed: true }); }
  }

  size() { return { width: Math.max(260, this.box.clientWidth), height: innerWidth < 600 ? 220 : 280 }; }

  data(series) {
    const none = series.x.map(() => null);
    return [series.x, series.usual_low ?? none, series.usual_high ?? none, series.low, series.high, series.score];
  }

  // Alerts of this score that began in what is shown: [when, alert], one of each incident.
  alarms(series, grain) {
    const end = series.x[series.x.length - 1] + grain;
    return (this.props.alerts ?? []).flatMap(one => (one.alerts ?? [one]).map(member => [Date.parse(member.began || member.at) / 1000, member]))
      .filter(([at, one]) => one.metric === this.props.measure && one.state !== 'pending' && at >= series.x[0] && at < end).slice(0, 30);
  }

  draw() {
    this.plot?.destroy();
    this.plot = null;
    const { line, measure, span } = this.props;
    const series = columns(line, measure);
    if (!series) return;
    const unit = series.unit;
    const ink = css('--muted'), grid = css('--rule'), accent = css('--accent'), mark = css('--warn'), card = css('--card');
    const font = '12px system-ui, sans-serif';
    const axis = { stroke: ink, font, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
    this.plot = new uPlot({
      ...this.size(),
      cursor: { points: { size: 8 }, drag: { x: true, y: false } },
      legend: { show: false },
      scales: { x: { time: true }, y: { range: (_, low, high) => this.reach(low, high, unit, series.scale) } },
      axes: [{ ...axis, space: 64, values: (_, ticks) => ticks.map(x => span === '1h' || span === '24h' ? clock(x) : day(x)) }, { ...axis, size: 58, values: (_, ticks) => ticks.map(v => unit === 'share' ? Math.round(v * 100) + ' %' : number(v, unit).replace(/\.0$/, '')) }],
      series: [
        {},
        ...[0, 1, 2, 3].map(() => ({ stroke: 'transparent', points: { show: false } })),
        { stroke: accent, width: 2, points: { show: true, size: line.steps > 60 ? 3 : 6, fill: accent } },
      ],
      bands: [{ series: [2, 1], fill: css('--usual') }, { series: [4, 3], fill: css('--band') }],
      hooks: {
        setCursor: [plot => { const at = plot.cursor.idx ?? null; if (at !== this.state.at) this.setState({ at }); }],
        setSelect: [plot => { if (plot.select.width > 4) this.setState({ zoomed: true }); }],
        draw: [plot => this.marks(plot, mark, card, accent)],
      },
    }, this.data(series), this.box);
    this.setState({ at: null, zoomed: false });
    this.drawn = span;
  }

  reach(low, high, unit, scale) {
    const ends = unit === 'points' ? [-100, 100] : unit === 'share' ? [0, 1] : scale.split('-').map(Number);
    if (low === null || high === null) return ends;
    const air = Math.max((high - low) * 0.12, (ends[1] - ends[0]) * 0.02);
    return [Math.max(ends[0], low - air), Math.min(ends[1], high + air)];
  }

  marks(plot, mark, card, accent) {
    const { line, measure } = this.props;
    const series = columns(line, measure);
    if (!series) return;
    const paint = plot.ctx, ratio = devicePixelRatio || 1;
    const spot = i => [plot.valToPos(series.x[i], 'x', true), plot.valToPos(series.score[i], 'y', true)];
    paint.save();
    const { left: edge, top: roof, width, height } = plot.bbox;
    for (const [at] of this.alarms(series, line.grain)) {
      const x = Math.round(plot.valToPos(at, 'x', true));
      if (x < edge || x > edge + width) continue;
      paint.fillStyle = paint.strokeStyle = css('--bad'); paint.lineWidth = ratio; paint.setLineDash([3 * ratio, 3 * ratio]);
      paint.beginPath(); paint.moveTo(x, roof); paint.lineTo(x, roof + height); paint.stroke(); paint.setLineDash([]);
      paint.beginPath(); paint.moveTo(x - 6 * ratio, roof); paint.lineTo(x + 6 * ratio, roof); paint.lineTo(x, roof + 9 * ratio); paint.closePath(); paint.fill();
    }
    series.x.forEach((start, i) => {
      if (series.score[i] === null) return;
      const [left, top] = spot(i);
      if (line.open?.includes(start)) {
        paint.beginPath(); paint.arc(left, top, 4.5 * ratio, 0, 7);
        paint.fillStyle = card; paint.fill(); paint.strokeStyle = accent; paint.lineWidth = 2 * ratio; paint.stroke();
      }
      if (line.restated?.[start]) {
        const r = 6 * ratio;
        paint.beginPath(); paint.moveTo(left, top - r); paint.lineTo(left + r, top); paint.lineTo(left, top + r); paint.lineTo(left - r, top); paint.closePath();
        paint.strokeStyle = mark; paint.lineWidth = 2 * ratio; paint.stroke();
      }
    });
    paint.restore();
  }

  reset() {
    this.setState({ zoomed: false });
    const x = columns(this.props.line, this.props.measure)?.x;
    if (x) this.plot?.setScale('x', { min: x[0], max: x[x.length - 1] });
  }

  key(event) {
    const series = columns(this.props.line, this.props.measure);
    if (!series || !this.plot) return;
    const { min, max } = this.plot.scales.x;
    const last = series.x.length - 1;
    const at = this.state.at ?? last;
    if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') {
      const next = Math.min(last, Math.max(0, at + (event.key === 'ArrowLeft' ? -1 : 1)));
      this.plot.setCursor({ left: this.plot.valToPos(series.x[next], 'x'), top: 20 });
      this.setState({ at: next });
    } else if (event.key === '+' || event.key === '=') {
      const middle = series.x[at], half = (max - min) / 4;
      this.plot.setScale('x', { min: middle - half, max: middle + half });
      this.setState({ zoomed: true });
    } else if (event.key === '-' || event.key === 'Escape') this.reset();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  render({ line, measure, span, why }, { table, at, zoomed }) {
    const series = columns(line, measure);
    // An hour that reaches back to where the trouble of an alert began.
    const steps = line ? line.steps * line.grain / 3600 : 0;
    const said = span === '1h' && steps > 1 ? `last ${steps} hours, back to where an alert began` : SPANS[span];
    const some = series?.score.some(v => v !== null);
    const alarms = series ? this.alarms(series, line.grain) : [];
    const rang = i => alarms.filter(([at]) => at >= series.x[i] && at < series.x[i] + line.grain).length;
    const usual = i => series.usual_low?.[i] == null ? '' : range(series.usual_low[i], series.usual_high[i], series.unit);
    const say = i => {
      const why = line.restated?.[series.x[i]];
      const state = line.open?.includes(series.x[i]) ? ', still open' : '';
      const changed = why ? `, restated ${Object.entries(why).map(([name, n]) => `${n}× ${name}`).join(', ')}` : '';
      const figure = series.score[i] === null ? (series.n[i] ? 'too few answers' : 'no answers') : `${number(series.score[i], series.unit)} (${range(series.low[i], series.high[i], series.unit)})`;
      const expected = usual(i) && `, expected ${usual(i)}`;
      const alarm = rang(i) ? `, ${rang(i)} ${rang(i) === 1 ? 'alert' : 'alerts'}` : '';
      return `${moment(series.x[i], span)}: ${figure}, n ${count(series.n[i])}${expected}${alarm}${state}${changed}`;
    };
    const known = series ? series.x.map((_, i) => i).filter(i => series.score[i] !== null) : [];
    const chosen = at !== null && at < (series?.x.length ?? 0) ? at : known[known.length - 1];
    const low = known.reduce((a, i) => a === null || series.score[i] < series.score[a] ? i : a, null);
    const summary = !some ? `${NAMES[measure]}: too few answers for a line` :
      `${NAMES[measure]} over the ${said}, ${known.length} steps. First ${say(known[0])}. Lowest ${say(low)}. Newest ${say(known[known.length - 1])}.`;
    return html`
      <section class="card line" aria-labelledby="line-title">
        <header>
          <h2 id="line-title">${NAMES[measure]}, ${said}</h2>
          <div class="tools">
            ${zoomed && html`<button class="quiet" onClick=${() => this.reset()}>Reset zoom</button>`}
            <button class="quiet" aria-pressed=${table} onClick=${() => this.setState({ table: !table })}>${table ? 'Show as chart' : 'Show as table'}</button>
          </div>
        </header>
        <div class=${table ? 'hidden' : ''}>
          <div class="plot" tabindex="0" role="img" aria-label=${summary + ' Arrow keys walk along it, plus zooms, escape resets.'}
            onKeyDown=${event => this.key(event)} ref=${box => { if (box) this.box = box; }}></div>
          ${!some && html`<p class="few middle">${line ? 'Too few answers for a line yet' : 'looking …'}</p>`}
          <p class="readout" aria-live="off">${chosen === undefined ? ' ' : html`${chosen === at ? '' : 'Newest '}${say(chosen)} <button class="quiet" aria-label=${'Why the number of ' + moment(series.x[chosen], span)} onClick=${() => why(measure, series.x[chosen], series.x[chosen] + line.grain, moment(series.x[chosen], span))}>Why?</button>`}</p>
          <p class="key"><span class="k-line">score</span><span class="k-band">95 % interval</span><span class="k-usual"><${Term} word="expected">expected<//></span><span class="k-alarm">alert</span><span class="k-open">still open</span><span class="k-restated">restated</span></p>
        </div>
        ${table && html`
          <div class="scroll" tabindex="0" role="region" aria-label="Time line as a table"><table class="figures">
            <caption class="sr">${NAMES[measure]} by time, with 95 % interval and number of answers</caption>
            <thead><tr><th scope="col">From</th><th scope="col">Score</th><th scope="col">95 % interval</th><th scope="col">n</th><th scope="col">Expected</th><th scope="col">Note</th></tr></thead>
            <tbody>${series && series.x.map((x, i) => html`<tr key=${x}>
              <th scope="row">${moment(x, span)}</th>
              <td>${series.score[i] === null ? html`<span class="few">${series.n[i] ? 'too few answers' : 'none'}</span>` : number(series.score[i], series.unit)}</td>
              <td>${series.score[i] === null ? '' : range(series.low[i], series.high[i], series.unit)}</td>
              <td>${count(series.n[i])}</td>
              <td>${usual(i)}</td>
              <td>${[line.open?.includes(x) && 'still open', line.restated?.[x] && 'restated', rang(i) > 0 && 'alert'].filter(Boolean).join(', ')}</td></tr>`).reverse()}</tbody>
          </table></div>`}
      </section>`;
  }
}
