import { WORDS } from './words.js';

const list = document.getElementById('words');
for (const [name, word] of Object.entries(WORDS)) {
  const term = document.createElement('dt');
  term.id = name;
  term.textContent = word.title;
  const about = document.createElement('dd');
  about.textContent = word.about;
  list.append(term, about);
}
if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
