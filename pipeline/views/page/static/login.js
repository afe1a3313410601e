const asked = new URLSearchParams(location.search);
if (asked.has('wrong')) document.getElementById('wrong').textContent = 'This key is not valid, or it may not read.';
if (asked.has('old')) document.getElementById('wrong').textContent = 'This link is too old: print a new one, or log in with a key.';
document.getElementById('to').value = asked.get('to') ?? '';
document.getElementById('key').focus();
