// One view of the gallery: it takes the messages that gallery.py lists, and keeps its parts together.

function render({ model, el }) {
  const view = Math.random().toString(36).slice(2);
  const items = new Map(); // id -> what cards.py says
  let skew = 0; // ms to add to this computer's clock to get the kernel's
  let timer = null;
  let whole = []; // ids of the snapshot that is coming in

  const counts = h('span', 'kg-counts');
  const credits = h('span', 'kg-credits');
  const badge = h('span', 'kg-sandbox', { title: 'A local stand-in answers; nothing is charged' }, 'SANDBOX');
  const progress = bar('All pending tasks');
  const left = h('span', 'kg-left');
  const run = h('div', 'kg-run', {}, progress, left);
  const head = h('div', 'kg-head', {}, counts, badge, credits);
  const banner = h('p', 'kg-banner', { role: 'alert' });
  const live = h('div', 'kg-live', { role: 'status', 'aria-live': 'polite' });
  const root = h('section', 'kg', { 'aria-label': 'Gallery' });

  const ctx = {
    view, items, root,
    order: [], // ids, newest first
    header: {},
    loaded: false,
    send: (content) => model.send(content),
    now: () => (Date.now() + skew) / 1000,
    focused: () => el.getRootNode().activeElement,
    say: (text) => (live.textContent = text),
    stir: runClock,
    put,
    act,
  };
  ctx.media = createMedia(ctx);
  ctx.cards = createCards(ctx);
  ctx.list = createList(ctx);
  ctx.select = createSelect(ctx);
  ctx.tools = createToolbar(ctx);
  ctx.undo = createUndo(ctx);
  ctx.box = createLightbox(ctx);
  const summary = createSummary(ctx, model.get('summary_key'));
  const { list, select, tools, undo, box, media } = ctx;
  root.append(head, run, banner, summary.note, tools.tools, select.strip, select.packed, undo.tell, list.pane, live, box.dialog);
  root.addEventListener('keydown', select.onKey);
  el.append(root);

  // A card's button. What fills in a form behind the lightbox ends the lightbox.
  function act(message) {
    if (box.isOpen() && (message.type === 'load' || message.type === 'use')) box.close();
    ctx.send(message);
  }

  function drawHeader() {
    const { header } = ctx;
    counts.textContent = header.counts || '';
    credits.textContent = header.credits || '';
    badge.hidden = !header.sandbox;
    banner.textContent = header.error || '';
    banner.hidden = !header.error;
    head.hidden = !header.counts && !header.credits && !header.sandbox;
    list.grid.setAttribute('aria-busy', String(Boolean(header.busy)));
    list.grid.style.gridTemplateColumns = header.columns ? `repeat(${header.columns}, minmax(0, 1fr))` : '';
    undo.draw();
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
    for (const item of items.values()) {
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

  // Messages

  function put(item) {
    const before = items.get(item.id);
    items.set(item.id, item);
    media.forget(item.id);
    list.put(item);
    if (before && before.kind !== item.kind && item.kind !== 'saving') {
      ctx.say(`${item.word}: ${called(item)}` + (item.reason ? `. ${item.reason}` : ''));
    }
  }

  function drop(id) {
    list.drop(id);
    items.delete(id);
  }

  function onCards(message, mine) {
    skew = message.now * 1000 - Date.now();
    if (message.header) {
      const offers = ({ live: a, loads: b, uses: c }) => `${a} ${b} ${c}`;
      const changed = offers(ctx.header) !== offers(message.header);
      ctx.header = message.header;
      if (changed) list.redraw();
    }
    if (mine && message.part === 0) {
      whole = message.ids;
      const kept = new Set(whole);
      for (const id of [...items.keys()]) if (!kept.has(id)) drop(id);
    }
    for (const id of message.removed || []) drop(id);
    for (const item of message.items) {
      if (!mine && !items.has(item.id)) ctx.order.splice(ctx.order.indexOf(item.after) + 1, 0, item.id);
      put(item);
    }
    ctx.order = (mine ? whole : ctx.order).filter((id) => items.has(id));
    media.takeThumbs(message.thumbs, message.buffers);
    media.forgetThumbs();
    if (mine) ctx.loaded = true;
    drawHeader();
    if (message.header) summary.draw();
    tools.apply();
    tools.draw();
    if (select.isOn()) select.draw();
    box.update([...(message.removed || []), ...message.items.map((item) => item.id)]);
    runClock();
  }

  function onMessage(message, buffers = []) {
    const mine = message.type === 'snapshot' && (message.view === null || message.view === view);
    if (mine || (message.type === 'patch' && ctx.loaded)) onCards({ ...message, buffers }, mine);
    else if (message.type === 'thumbs' && message.view === view) media.takeThumbs(message.keys, buffers);
    else if (message.type === 'full') media.takeFile(message, buffers);
    else if (message.type === 'details') box.take(message);
    else if (message.type === 'zip') select.onZip(message);
  }

  function runClock() {
    const needed = !run.hidden || list.grid.querySelector('.kg-clock') !== null;
    if (needed && timer === null) timer = setInterval(tick, 1000);
    if (!needed && timer !== null) timer = clearInterval(timer) || null;
  }

  function tick() {
    ctx.cards.tick(list.grid);
    drawRun();
  }

  tools.apply();
  tools.draw();
  drawHeader();
  model.on('msg:custom', onMessage);
  ctx.send({ type: 'ready', view });

  return () => {
    clearInterval(timer);
    model.off('msg:custom', onMessage);
    list.dispose();
    summary.dispose();
    media.dispose();
    root.remove();
    try {
      ctx.send({ type: 'bye', view });
    } catch {
      // The kernel is gone already.
    }
  };
}

export default { render };
