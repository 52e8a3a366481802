// What stands above the results: counts, the balance, how far everything is, and what went wrong.

function createHead(ctx) {
  const counts = h('span', 'kg-counts');
  const credits = h('span', 'kg-credits');
  const badge = h('span', 'kg-sandbox', { title: 'A local stand-in answers; nothing is charged' }, 'SANDBOX');
  const progress = bar('All pending tasks');
  const left = h('span', 'kg-left');
  const run = h('div', 'kg-run', {}, progress, left);
  const head = h('div', 'kg-head', {}, counts, badge, credits);
  const banner = h('p', 'kg-banner', { role: 'alert' });

  function draw() {
    const { header } = ctx;
    counts.textContent = header.counts || '';
    credits.textContent = header.credits || '';
    badge.hidden = !header.sandbox;
    banner.textContent = header.error || '';
    banner.hidden = !header.error;
    head.hidden = !header.counts && !header.credits && !header.sandbox;
    drawRun();
  }

  // How far everything is that was asked for since the oldest pending task
  function drawRun() {
    const { header } = ctx;
    run.hidden = !header.run;
    if (!header.run) return;
    let part = header.run.done;
    let longest = 0;
    let sure = false;
    for (const item of ctx.items.values()) {
      if (!isWaiting(item) || !item.since) continue;
      const elapsed = ctx.now() - item.since;
      if (item.kind === 'saving') part += 0.95;
      else if (item.expected) {
        part += share(elapsed, item.expected);
        longest = Math.max(longest, item.expected - elapsed);
        sure = true;
      }
    }
    setBar(progress, Math.min(part / header.run.total, 0.99));
    progress.classList.toggle('kg-unsure', !sure && part === 0);
    const rest = !sure ? '' : longest > 0 ? ` · about ${about(longest)} left` : ' · any moment';
    left.textContent = `${header.run.done.toLocaleString('en')} of ${header.run.total.toLocaleString('en')}${rest}`;
  }

  return { nodes: [head, run, banner], draw, drawRun, isRunning: () => !run.hidden };
}

// Ticks once a second while there is something to tick
function createClock(tick) {
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
  };
  return {
    stop,
    run(needed) {
      if (!needed) stop();
      else if (timer === null) timer = setInterval(tick, 1000);
    },
  };
}
