// What pages do beyond forms and links: times in the reader's own zone, renewal when something changed, copying, and a
// preview that follows the typing. Without it everything else still works.
'use strict';

(() => {
  const lang = document.documentElement.lang;
  const times = new Intl.DateTimeFormat(lang, {
    year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
  });
  const showTimes = (root) => {
    for (const element of root.querySelectorAll('time[datetime]')) element.textContent = times.format(new Date(element.dateTime));
  };

  // The parts of the page that change are fetched again from the page's own address. Nothing is touched while somebody is
  // typing or has opened something in them.
  let isStale = false;
  let isRenewing = false;
  const isBusy = (part) => part.contains(document.activeElement) && document.activeElement !== document.body;
  const renew = async () => {
    if (isRenewing || document.hidden) { isStale = true; return; }
    isRenewing = true;
    isStale = false;
    try {
      const answer = await fetch(location.pathname + location.search, { headers: { accept: 'text/html' }, redirect: 'manual' });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const now = document.querySelectorAll('[data-live]');
      const next = page.querySelectorAll('[data-live]');
      if (now.length !== next.length) return;
      now.forEach((part, index) => {
        if (isBusy(part)) return;
        const charts = part.querySelector('#charts');
        const fresh = document.importNode(next[index], true);
        // The charts are counted once a minute: those that are there stay.
        if (charts) fresh.querySelector('#charts')?.replaceWith(charts);
        showTimes(fresh);
        part.replaceWith(fresh);
      });
    } finally {
      isRenewing = false;
    }
  };
  const follow = () => {
    const state = document.getElementById('live-state');
    if (!state || !document.querySelector('[data-live]') || location.search.includes('cursor=')) return;
    const source = new EventSource('/live');
    const say = (isOn) => { state.hidden = false; state.textContent = isOn ? `● ${state.dataset.on}` : `○ ${state.dataset.off}`; };
    source.addEventListener('open', () => say(true));
    source.addEventListener('error', () => say(false));
    source.addEventListener('changed', renew);
    document.addEventListener('visibilitychange', () => { if (!document.hidden && isStale) renew(); });
    window.addEventListener('pagehide', () => source.close());
  };

  const copy = async (button) => {
    const text = document.getElementById(button.dataset.copy)?.textContent ?? '';
    await navigator.clipboard.writeText(text);
    const label = button.textContent;
    button.textContent = '✓';
    setTimeout(() => { button.textContent = label; }, 1200);
  };

  const preview = () => {
    const form = document.querySelector('form[data-preview]');
    const button = document.getElementById('show-preview');
    if (!form || !button) return;
    let waiting;
    const show = () => form.requestSubmit(button);
    form.addEventListener('input', () => { clearTimeout(waiting); waiting = setTimeout(show, 500); });
    // The sample alone: a customer's order is shown when somebody chooses it.
    show();
  };

  document.addEventListener('click', (event) => {
    const button = event.target.closest('button[data-copy]');
    if (button) copy(button);
  });
  document.addEventListener('DOMContentLoaded', () => { showTimes(document); follow(); preview(); });
  document.addEventListener('htmx:after:swap', () => showTimes(document));
})();
