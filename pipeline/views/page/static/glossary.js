// What the words mean, for people.
import { html, Component } from './vendor/preact-htm.js';
import { WORDS } from './words.js';

export class Glossary extends Component {
  componentDidMount() {
    if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }

  render() {
    return html`
      <main class="plain"><section class="card reading">
        <p class="brand"><a href="/"><img src="/static/favicon.svg" alt="" width="28" height="28" /> Touchline</a></p>
        <h1>What the words mean</h1>
        <dl id="words">${Object.entries(WORDS).map(([name, word]) => html`<dt id=${name} key=${name}>${word.title}</dt><dd>${word.about}</dd>`)}</dl>
        <p><a href="/">Back to the live page</a></p>
      </section></main>`;
  }
}
