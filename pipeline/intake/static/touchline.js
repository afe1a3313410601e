// Touchline in a web page: touchpoints and one-question surveys. No dependency, no cookie unless data-cookie says so.
// <script src="https://gateway/touchline.js" data-key="tl_..." defer></script>      docs/browser.md
"use strict";
(() => {
  const own = document.currentScript, set = own.dataset;
  const url = new URL("/v1/events", own.src).href;
  const most = 100, languages = (document.documentElement.lang || navigator.language || "").slice(0, 2);
  let queue = [], customer = set.customer || null, timer = 0, wait = 1, busy = false, size = most;
  const tracked = navigator.doNotTrack === "1" || navigator.globalPrivacyControl === true;
  let allowed = set.consent === "ask" || tracked ? null : true; // null: nothing is sent until consent is given
  const name = () => {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  };
  const visitor = () => {
    if (!set.cookie || !allowed) return null;
    const found = /(?:^|; )tl_visitor=([0-9a-f]{32})/.exec(document.cookie);
    const id = found ? found[1] : name();
    document.cookie = `tl_visitor=${id}; Max-Age=${Number(set.cookie) * 86400}; Path=/; SameSite=Lax; Secure`;
    return id;
  };
  const add = (event) => {
    if (allowed === false) return null;
    const full = { event_id: name(), occurred_at: new Date().toISOString(), channel: set.channel || "web", ...event };
    if (set.brand) full.brand ??= set.brand;
    if (languages) full.language ??= languages;
    queue.push(full);
    queue = queue.slice(-most); // a page that is offline for long keeps the newest
    soon(0);
    return full;
  };
  const soon = (seconds) => {
    clearTimeout(timer);
    timer = setTimeout(send, seconds * 1000);
  };
  const batch = (events) => {
    const id = customer || visitor();
    return JSON.stringify(events.map((event) => (id && !event.customer_id ? { ...event, customer_id: id } : event)));
  };
  const send = async () => {
    if (busy || !allowed || !queue.length) return;
    busy = true;
    const sent = queue.slice(0, size), body = batch(sent);
    let again = 0, whole = true;
    try {
      const headers = { Authorization: `Bearer ${set.key}`, "Content-Type": "application/json" };
      const answer = await fetch(url, { method: "POST", keepalive: body.length < 60000, credentials: "omit", headers, body });
      whole = answer.status !== 413 || sent.length === 1; // one that is too large alone is given up
      if (answer.status === 429 || answer.status >= 500) again = Number(answer.headers.get("Retry-After")) || wait;
    } catch {
      again = wait; // no network: the same events again, the gateway knows them by their ids
    }
    busy = false;
    if (again) {
      wait = Math.min(wait * 2, 60);
      return soon(again);
    }
    wait = 1;
    if (whole) queue = queue.filter((event) => !sent.includes(event)); // others may have come meanwhile
    size = whole ? most : sent.length >> 1; // too large together: in halves
    if (queue.length) soon(0);
  };
  addEventListener("pagehide", () => {
    for (let many = allowed ? queue.length : 0; many && queue.length; ) {
      const body = new Blob([batch(queue.slice(0, many))], { type: "text/plain" }); // a type that needs no preflight
      if (navigator.sendBeacon(`${url}?key=${encodeURIComponent(set.key)}`, body)) queue = queue.slice(many);
      else many >>= 1; // a browser takes 64 KiB from a page that goes
    }
  });
  addEventListener("online", () => soon(0));

  const element = (kind, text, more) => Object.assign(document.createElement(kind), { textContent: text, ...more });
  const survey = ({ metric = "nps", question, low, high, into, why = "Why?", thanks = "Thank you", touchpoint, ...more }) => {
    const scale = { nps: [0, 10], csat: [1, 5], ces: [1, 7], rating: [1, 5] }[metric];
    const [from, to] = low == null ? scale : [low, high];
    const box = element("section", "", { className: "touchline-survey" });
    const submission_id = name();
    const answer = (score, text, revision) =>
      add({ metric, score, scale_min: from, scale_max: to, text, revision, submission_id, touchpoint, ...more });
    const done = () => box.replaceChildren(element("p", thanks));
    const ask = (score) => {
      answer(score, undefined, 0);
      if (!why) return done();
      const text = element("textarea", "", { maxLength: 9999, ariaLabel: why });
      const ready = element("button", "OK", { type: "button", onclick: () => (text.value.trim() && answer(score, text.value, 1), done()) });
      box.replaceChildren(element("p", why), text, ready);
      text.focus();
    };
    box.setAttribute("aria-live", "polite");
    box.append(element("p", question));
    for (let step = from; step <= to; step++)
      box.append(element("button", step, { type: "button", onclick: () => ask(step) }));
    ((typeof into === "string" ? document.querySelector(into) : into) || document.body).append(box);
    return box;
  };
  window.touchline = {
    touchpoint: (touchpoint, more) => add({ touchpoint, ...more }),
    feedback: (more) => add(more),
    survey: (more) => (allowed === false ? null : survey(more)),
    identify: (id) => { customer = id || null; },
    consent: (yes) => {
      allowed = !!yes;
      if (!yes) {
        queue = [];
        document.cookie = "tl_visitor=; Max-Age=0; Path=/";
      } else soon(0);
    },
  };
})();
