// The answer of a link in an e-mail is sent at the first sign of a person: a mail filter that opens the page gives none.
"use strict";
(() => {
  const chosen = document.getElementById("chosen");
  if (!chosen) return;
  const signs = ["pointermove", "pointerdown", "touchstart", "keydown", "wheel", "scroll"];
  const send = (event) => {
    if (!event.isTrusted) return;
    signs.forEach((sign) => removeEventListener(sign, send, true));
    if (event.target instanceof Element && event.target.closest("button")) return; // the press itself sends
    chosen.form.requestSubmit(chosen);
  };
  signs.forEach((sign) => addEventListener(sign, send, { capture: true, passive: true }));
})();
