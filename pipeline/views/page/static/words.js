// Words a manager knows, and how numbers are written. One place for both.
export const WORDS = {
  nps: { title: 'NPS', about: 'Net Promoter Score: the share of people who would recommend us (9 or 10 of 10) minus the share who would not (0 to 6), in points from −100 to +100.' },
  csat: { title: 'CSAT', about: 'Customer satisfaction: the share of answers in the top two boxes of the scale, for example 4 or 5 of 5.' },
  ces: { title: 'CES', about: 'Customer effort: the mean answer. On the scale 1–7 higher means easier; on the old scale 1–5 lower means less effort. The two never meet in one number.' },
  sentiment: { title: 'Net sentiment', about: 'What people write: the share of positive texts minus the share of negative ones, in points. A model labels each text and says how sure it is.' },
  interval: { title: '95 % interval', about: 'Where the true value lies, given how many people answered. Two numbers whose intervals overlap widely may well be the same.' },
  answers: { title: 'n, answers', about: 'How many answers a number rests on. Under ten no number is shown: it would be read as more than it is.' },
  change: { title: 'Change', about: 'Now minus the same hours one week earlier. “Real” means that chance alone would show such a difference less than once in twenty times.' },
  worst: { title: 'Pulls the score down most', about: 'The place whose score lies reliably below that of everything, weighted by how many people it concerns.' },
  lag: { title: 'Behind', about: 'Events that have arrived and are not counted yet. After an outage the page says “catching up” until this is small again.' },
  rejected: { title: 'Rejected', about: 'Events that could not be used in the last hour, for example without an answer or with a time in the future. None is lost: each is kept with its reason.' },
  restated: { title: 'Restated', about: 'A number that changed after its time was over, because an answer came late or was corrected. The newest number is always the right one.' },
  expected: { title: 'Expected', about: 'Where the score of so many answers would lie 95 times in 100 if nothing had changed since the same hours of the four weeks before. A point outside is unusual.' },
  alert: { title: 'Alerts', about: 'A score fell further than chance explains, and somebody was called. The clock runs until whoever acts acknowledges; the alert ends by itself when the score is back.' },
  journey: { title: 'Journeys', about: 'What customers did, from one stage to the next. A column is as high as its stage is travelled, a ribbon as wide as its way. Lost: the journey ended there without arriving.' },
  driver: { title: 'What goes along with a score', about: 'Customers’ last answers, with and without those who met something in the 30 days before. It shows where to look first; it does not prove a cause.' },
  producer: { title: 'Who sends', about: 'The systems that send events, and whether each does as usual: bad where too much is rejected, silent where nothing comes any more.' },
  customer: { title: 'Customer', about: 'What one customer did and said across channels. Only readers of everything see it; names and texts are masked.' },
  index: { title: 'Experience index', about: 'Points that a customer’s experiences add or take, fading by half in 30 days, with the strongest and the last one counted once more. No interval: it adds up what happened, it estimates nothing.' },
  open: { title: 'Still open', about: 'The last step of the line: its five minutes are not over, so its number still moves.' },
};

export const NAMES = { nps: 'NPS', csat: 'CSAT', ces: 'CES', sentiment: 'Net sentiment' };
export const SPANS = { '1h': 'last hour', '24h': 'last 24 hours', '7d': 'last 7 days', '28d': 'last 28 days' };

const minus = text => text.replace('-', '−');
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

export const count = value => whole.format(value ?? 0);

export function number(value, unit) {
  if (value === null || value === undefined) return '–';
  if (unit === 'points') { const r = Math.round(value * 10) / 10 + 0; return minus((r > 0 ? '+' : '') + r.toFixed(1)); }
  if (unit === 'share') return (100 * value).toFixed(1) + ' %';
  return value.toFixed(2);
}

export function difference(value, unit) {
  const v = unit === 'share' ? value * 100 : value;
  const r = Number(v.toFixed(unit === 'mean' ? 2 : 1)) + 0;
  return minus((r > 0 ? '+' : '') + r.toFixed(unit === 'mean' ? 2 : 1)) + (unit === 'share' ? ' pp' : '');
}

export const percent = value => (100 * value).toFixed(value > 0 && value < 0.0995 ? 1 : 0) + ' %';

export const range = (low, high, unit) => `${number(low, unit)} to ${number(high, unit)}`;

// Names as producers send them: `return_parcel` reads as "return parcel". Signs that turn or hide text are shown.
export const plain = text => visible(String(text ?? '').replaceAll('_', ' '));
export const visible = text => String(text ?? '').replace(
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g,
  sign => '\\u' + sign.codePointAt(0).toString(16).padStart(4, '0'));

export function ago(ms, now) {
  const s = Math.max(0, Math.round((now - ms) / 1000));
  if (s < 90) return `${s} s ago`;
  if (s < 5400) return `${Math.round(s / 60)} min ago`;
  if (s < 129600) return `${Math.round(s / 3600)} h ago`;
  return `${Math.round(s / 86400)} days ago`;
}

// Who acts, by the names of the registry, as the server says them.
export const owners = {};
export const owner = name => owners[name] ?? (plain(name) || 'nobody');

// How long something has been going on.
export function lasting(ms) {
  const m = Math.max(0, Math.floor(ms / 60000));
  return m < 60 ? `${m} min` : m < 2880 ? `${Math.floor(m / 60)} h ${m % 60} min` : `${Math.floor(m / 1440)} days`;
}

const hm = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const dhm = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const dm = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'short' });
export const day = s => dm.format(new Date(s * 1000));
export const clock = s => hm.format(new Date(s * 1000));
export const moment = (s, span) => span === '1h' ? clock(s) : dhm.format(new Date(s * 1000));
