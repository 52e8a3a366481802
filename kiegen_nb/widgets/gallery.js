// One view of the gallery: it takes the messages that gallery.py lists, and keeps its parts together.

function render({ model, el }) {
  const view = Math.random().toString(36).slice(2);
  const items = new Map(); // id -> what cards.py says
  let skew = 0; // ms to add to this computer's clock to get the kernel's
  let whole = []; // ids of the snapshot that is coming in

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
  ctx.rating = createRating(ctx);
  ctx.cards = createCards(ctx);
  ctx.list = createList(ctx);
  ctx.select = createSelect(ctx);
  ctx.tools = createToolbar(ctx);
  ctx.undo = createUndo(ctx);
  ctx.box = createLightbox(ctx);
  const head = createHead(ctx);
  const clock = createClock(tick);
  const summary = createSummary(ctx, model.get('summary_key'));
  const { list, select, tools, undo, box, media } = ctx;
  root.append(...head.nodes, summary.note, tools.tools, select.strip, select.packed, undo.tell, list.pane, live, box.dialog);
  root.addEventListener('keydown', select.onKey);
  el.append(root);

  // A card's button. What fills in a form behind the lightbox ends the lightbox.
  function act(message) {
    if (box.isOpen() && (message.type === 'load' || message.type === 'use')) box.close();
    ctx.send(message);
  }

  function drawHeader() {
    const { header } = ctx;
    list.grid.setAttribute('aria-busy', String(Boolean(header.busy)));
    list.grid.style.gridTemplateColumns = header.columns ? `repeat(${header.columns}, minmax(0, 1fr))` : '';
    undo.draw();
    head.draw();
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
    clock.run(head.isRunning() || list.grid.querySelector('.kg-clock') !== null);
  }

  function tick() {
    ctx.cards.tick(list.grid);
    head.drawRun();
  }

  tools.apply();
  tools.draw();
  drawHeader();
  model.on('msg:custom', onMessage);
  ctx.send({ type: 'ready', view });

  return () => {
    clock.stop();
    ctx.rating.dispose();
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
