// Runs before anything is drawn, so that nobody is blinded: the chosen theme, else the machine's.
(function () {
  var kept = null;
  try { kept = localStorage.getItem('touchline-theme'); } catch { /* storage is closed: the machine's theme it is */ }
  if (kept === 'light' || kept === 'dark') document.documentElement.dataset.theme = kept;
})();
