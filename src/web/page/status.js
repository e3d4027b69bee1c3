// Asks for the page anew every few seconds and puts in what has changed, where nobody is typing or reading there.
'use strict';
(() => {
  const EVERY = 5000;
  let running = false;

  const isUsed = (part) =>
    part.contains(document.activeElement) && part !== document.activeElement
    || part.querySelector('details[open]') !== null;

  const tell = (words) => {
    const told = document.getElementById('told');
    if (told && told.textContent !== words) told.textContent = words;
  };

  const look = async () => {
    if (running || document.hidden) return;
    running = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: 'text/html' }, redirect: 'error' });
      if (!answer.ok) throw new Error();
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      for (const part of document.querySelectorAll('[data-live]')) {
        const fresh = page.getElementById(part.id);
        if (!fresh || isUsed(part) || fresh.innerHTML === part.innerHTML) continue;
        const before = part.querySelector('[data-tell]')?.textContent;
        part.replaceChildren(...fresh.childNodes);
        const after = part.querySelector('[data-tell]')?.textContent;
        if (after && after !== before) tell(after);
      }
    } catch {
      tell('The service does not answer; what is shown is as of before.');
    } finally {
      running = false;
    }
  };

  setInterval(look, EVERY);
  document.addEventListener('visibilitychange', look);
})();
