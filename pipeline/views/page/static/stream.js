// One EventSource a view and browser: the tab that holds the lock listens and passes everything on to the others.
// A line that is silent for too long is taken for dead and opened again; what was last heard goes with it.

const DEAD_MS = 12000;
const LOOK_MS = 1000;

// To the form, and from there back to what is looked at now.
export const login = () => location.assign('/login?to=' + encodeURIComponent(location.pathname + location.search));

export function follow(query, tell) {
  const name = 'touchline ' + query;
  const wire = 'BroadcastChannel' in window ? new BroadcastChannel(name) : null;
  const latest = {};
  const ending = new AbortController();
  let feedback = [];
  let source = null;
  let leads = false;
  let last = '';
  let heard = Date.now();
  let release = () => {};

  function pass(event, text, id) {
    heard = Date.now();
    if (id) last = id;
    const data = JSON.parse(text);
    if (event === 'latest') feedback = data;
    else if (event === 'feedback') feedback = [...data.reverse(), ...feedback].slice(0, 60);
    else if (event !== 'beat' && event !== 'gap') latest[event] = data;
    tell('live', null);
    tell(event === 'latest' ? 'feedback' : event, event === 'feedback' || event === 'latest' ? { list: feedback } : data);
  }

  function take(event) {
    pass(event.type, event.data, event.lastEventId);
    wire?.postMessage({ event: event.type, text: event.data, id: event.lastEventId });
  }

  function open() {
    source?.close();
    const address = '/v1/stream?' + query + (last ? '&last=' + encodeURIComponent(last) : '');
    source = new EventSource(address);
    heard = Date.now();
    for (const kind of ['hello', 'status', 'alerts', 'tiles', 'line', 'heat', 'feedback', 'latest', 'gap', 'beat']) source.addEventListener(kind, take);
    source.onerror = () => {
      tell('stale', null);
      if (source.readyState !== EventSource.CLOSED) return;  // it tries again by itself
      // Refused: a session that has ended, another key's part, or a server that has no room.
      fetch(address).then(async answer => {
        if (answer.ok) answer.body.cancel();
        else if (answer.status === 401) login();
        else tell('refused', (await answer.json()).detail);
      }).catch(() => {});
      heard = Date.now() - DEAD_MS + 3000;
    };
  }

  if (wire) {
    wire.onmessage = ({ data }) => {
      if (data.ask) {
        if (leads) wire.postMessage({ all: latest, feedback, last });
      } else if (data.all) {
        if (leads || Object.keys(latest).length) return;
        heard = Date.now();
        last = data.last;
        feedback = data.feedback;
        tell('live', null);
        for (const [event, content] of Object.entries(data.all)) { latest[event] = content; tell(event, content); }
        tell('feedback', { list: feedback });
      } else if (!leads) pass(data.event, data.text, data.id);
    };
    wire.postMessage({ ask: true });
  }

  if (wire && navigator.locks) {
    navigator.locks.request(name, { signal: ending.signal }, () => new Promise(resolve => {
      release = resolve;
      leads = true;
      open();
    })).catch(() => {});
  } else {
    leads = true;
    open();
  }

  const watch = setInterval(() => {
    if (Date.now() - heard < DEAD_MS) return;
    tell('stale', null);
    if (leads || !source) open();  // also when the tab that listens has gone to sleep
    heard = Date.now() - DEAD_MS / 2;
  }, LOOK_MS);

  return () => {
    clearInterval(watch);
    ending.abort();
    source?.close();
    wire?.close();
    release();
  };
}
