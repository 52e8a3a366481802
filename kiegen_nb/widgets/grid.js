// One view of a comparison grid: a table for each sheet, its tiles brought up to date by the gallery's messages and by
// `layout`, which says what is where. The other files are the gallery's own.

const FEW = 4; // results in one tile that are all shown
const CLOSE = '600px';
const STOPS = 'button, input, [role=slider]';

function render({ model, el }) {
  const view = Math.random().toString(36).slice(2);
  const items = new Map(); // id -> what cards.py says
  const tiles = new Map(); // place -> node
  const built = new Set(); // places
  const open = new Set(); // cells that show all of their many results
  let layout = { cells: [], ids: [], inside: [] };
  let homes = new Map(); // id -> its places
  let skew = 0; // ms to add to this computer's clock to get the kernel's
  let lines = []; // the rows of all sheets: a list of cells each

  const live = h('div', 'kg-live', { role: 'status', 'aria-live': 'polite' });
  const root = h('section', 'kg', { 'aria-label': 'Comparison grid' });
  const pane = h('div', 'kg-pane kg-sheets', { tabindex: '-1' });
  const hide = h('style');
  const seen = new IntersectionObserver(onSeen, { root: pane, rootMargin: CLOSE });

  const ctx = {
    view, items, root,
    header: {},
    send: (content) => model.send(content),
    now: () => (Date.now() + skew) / 1000,
    focused: () => el.getRootNode().activeElement,
    say: (text) => (live.textContent = text),
    stir: runClock,
    put,
    act: (content) => model.send(content),
    select: { isOn: () => false },
    list: { shown: inOrder, build: (id) => build(placesOf(id)[0]) },
  };
  ctx.media = createMedia(ctx);
  ctx.rating = createRating(ctx);
  ctx.cards = createCards(ctx);
  ctx.box = createLightbox(ctx);
  const head = createHead(ctx);
  const clock = createClock(tick);
  root.append(...head.nodes, pane, live, ctx.box.dialog);
  el.append(root);

  // Ids as they are read
  function inOrder() {
    const places = layout.cells.flat(3);
    return [...new Set(places.map((place) => layout.ids[place]).filter((id) => items.has(id)))];
  }

  // The tables

  function drawLayout() {
    seen.disconnect();
    tiles.clear();
    built.clear();
    lines = [];
    if (layout.ids.length) pane.replaceChildren(...layout.cells.map(sheet));
    else pane.replaceChildren(h('p', 'kg-empty', {}, 'Nothing here yet.'));
  }

  const named = ({ name }, label) => (name ? `${name}: ${label}` : label);

  function sheet(rows, s) {
    const { x, y, z } = layout;
    const table = h('table', 'kg-table');
    table.style.setProperty('--kg-columns', x.labels.length);
    table.style.setProperty('--kg-names', y.name ? 'clamp(92px, 14cqi, 160px)' : '0px');
    if (z.name) table.append(h('caption', 'kg-sheet', {}, h('span', '', {}, named(z, z.labels[s]))));
    const corner = h('td', 'kg-corner', {}, h('span', '', {}, x.name ? `${x.name} →` : ''), h('span', '', {}, y.name ? `${y.name} ↓` : ''));
    const columns = x.labels.map((label) => h('th', 'kg-column', { scope: 'col', title: named(x, label) }, h('span', '', {}, label)));
    if (x.name) table.append(h('thead', '', {}, h('tr', '', {}, ...(y.name ? [corner] : []), ...columns)));
    table.append(h('tbody', '', {}, ...rows.map((cells, r) => line(cells, `${s}/${r}`, y.name ? y.labels[r] : null))));
    return table;
  }

  function line(cells, name, label) {
    const row = cells.map((places, c) => cell(places, `${name}/${c}`));
    lines.push(row);
    const header = label === null ? [] : [h('th', 'kg-line', { scope: 'row', title: named(layout.y, label) }, h('span', '', {}, label))];
    return h('tr', '', {}, ...header, ...row);
  }

  function cell(places, name) {
    if (places.length === 0) return h('td', 'kg-none', {}, h('span', 'kg-live', {}, 'Not part of it'));
    const node = h('td', places.length > 1 ? 'kg-many' : '');
    const within = h('div', 'kg-within');
    const few = places.length <= FEW || open.has(name);
    const first = few ? places : places.slice(0, FEW - 1);
    within.append(...first.map(tile));
    if (!few) {
      const more = press('kg-act kg-plain kg-more', `Show all ${places.length}`, () => {
        open.add(name);
        const rest = places.slice(FEW - 1).map(tile);
        more.replaceWith(...rest);
        focusIn(rest[0]);
      }, `+${places.length - first.length}`);
      within.append(more);
    }
    node.append(within);
    return node;
  }

  function tile(place) {
    const node = h('div', '', { tabindex: '-1', 'data-place': place, ...OURS });
    tiles.set(place, node);
    frame(node, items.get(layout.ids[place]));
    seen.observe(node);
    return node;
  }

  // What is in a tile, once it comes near

  function frame(node, item) {
    if (item) ctx.cards.frame(node, item);
    else {
      node.className = 'kg-card kg-waits';
      delete node.dataset.task;
    }
    node.classList.add('kg-tile');
  }

  function build(place) {
    const node = tiles.get(place);
    if (!node || built.has(place)) return node;
    built.add(place);
    fill(node, place);
    return node;
  }

  function fill(node, place) {
    const id = layout.ids[place];
    const item = items.get(id);
    const words = layout.inside[place];
    const body = h('div', 'kg-body');
    if (words) body.append(h('p', 'kg-inside', { title: words }, words));
    if (!item) {
      body.append(h('p', 'kg-note', {}, id ? 'Deleted' : 'Not asked for yet'));
      node.replaceChildren(h('div', 'kg-media'), body);
      return;
    }
    if (item.kind !== 'done') {
      const state = h('p', 'kg-state', {}, h('span', 'kg-word', {}, item.word));
      if (item.since) state.append(h('span', 'kg-clock', { 'data-since': item.since, 'data-expected': item.expected }));
      body.append(state);
      if (isWaiting(item)) body.append(bar(item.word));
    }
    if (item.reason) body.append(h('p', 'kg-reason', { title: item.reason }, item.reason));
    if (item.note) body.append(h('p', 'kg-note', { role: 'status' }, item.note));
    if (item.comment) body.append(h('p', 'kg-said', { title: item.comment }, item.comment));
    const stars = ctx.rating.stars(item);
    if (stars) body.append(stars);
    if (ctx.header.live && item.again) body.append(...ctx.cards.actions({ id, again: item.again }));
    node.title = item.kind === 'done' ? `${item.label}\n${item.facts.join(' · ')}` : '';
    node.replaceChildren(ctx.cards.shown(item), ...(body.firstChild ? [body] : []));
    ctx.cards.tick(node);
  }

  function onSeen(entries) {
    for (const { target, isIntersecting } of entries) if (isIntersecting) build(Number(target.dataset.place));
    runClock();
  }

  const placesOf = (id) => homes.get(id) || [];

  function refresh(place) {
    const node = tiles.get(place);
    if (!node) return;
    const held = node.contains(ctx.focused()) ? [...node.querySelectorAll(STOPS)].indexOf(ctx.focused()) : null;
    frame(node, items.get(layout.ids[place]));
    if (!built.has(place)) return;
    fill(node, place);
    if (held !== null) ([...node.querySelectorAll(STOPS)][held] || node).focus();
  }

  const redraw = (id) => placesOf(id).forEach(refresh);

  // Keys: arrows go from tile to tile, over gaps

  function focusIn(node) {
    const tiled = node?.matches('.kg-tile') ? node : node?.querySelector('.kg-tile');
    if (!tiled) return false;
    build(Number(tiled.dataset.place));
    (tiled.querySelector('.kg-pic') || tiled).focus();
    tiled.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    return true;
  }

  pane.onkeydown = (event) => {
    const from = event.target.closest('td');
    const ours = event.target.matches('.kg-tile, .kg-pic');
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!from || !ours || !step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    let r = lines.findIndex((row) => row.includes(from));
    let c = lines[r].indexOf(from);
    const inside = [...from.querySelectorAll('.kg-tile')];
    const next = inside[inside.indexOf(event.target.closest('.kg-tile')) + step[1]];
    if (step[1] && next) return focusIn(next);
    do {
      r += step[0];
      c += step[1];
    } while (lines[r]?.[c] && !focusIn(lines[r][c]));
  };

  // Messages

  function put(item) {
    const before = items.get(item.id);
    items.set(item.id, item);
    ctx.media.forget(item.id);
    redraw(item.id);
    if (before && before.kind !== item.kind && item.kind !== 'saving') {
      ctx.say(`${item.word}: ${called(item)}` + (item.reason ? `. ${item.reason}` : ''));
    }
  }

  function drop(id) {
    items.delete(id);
    redraw(id);
  }

  function onLayout(message) {
    const held = ctx.focused()?.closest?.('.kg-tile')?.dataset.place;
    const { scrollTop, scrollLeft } = pane;
    const same = JSON.stringify([message.x, message.y, message.z, message.cells]) === JSON.stringify([layout.x, layout.y, layout.z, layout.cells]);
    const changed = layout.ids.map((_, place) => place).filter((place) => layout.ids[place] !== message.ids[place]);
    layout = message;
    homes = new Map();
    layout.ids.forEach((id, place) => {
      if (!homes.has(id)) homes.set(id, []);
      homes.get(id).push(place);
    });
    if (same) return changed.forEach(refresh);
    open.clear();
    drawLayout();
    pane.scrollTo(scrollLeft, scrollTop);
    if (held !== undefined) focusIn(tiles.get(Number(held)));
  }

  function onCards(message, mine) {
    skew = message.now * 1000 - Date.now();
    if (message.header) {
      const offers = ctx.header.live !== message.header.live;
      ctx.header = message.header;
      if (offers) for (const place of built) fill(tiles.get(place), place);
      hideStatic();
    }
    if (mine && message.part === 0) {
      const kept = new Set(message.ids);
      for (const id of [...items.keys()]) if (!kept.has(id)) drop(id);
    }
    for (const id of message.removed || []) drop(id);
    message.items.forEach(put);
    ctx.media.takeThumbs(message.thumbs, message.buffers);
    ctx.media.forgetThumbs();
    root.setAttribute('aria-busy', String(Boolean(ctx.header.busy)));
    head.draw();
    ctx.box.update([...(message.removed || []), ...message.items.map((item) => item.id)]);
    runClock();
  }

  function onMessage(message, buffers = []) {
    const mine = message.type === 'snapshot' && (message.view === null || message.view === view);
    if (message.type === 'layout') onLayout(message);
    else if (mine || message.type === 'patch') onCards({ ...message, buffers }, mine);
    else if (message.type === 'thumbs' && message.view === view) ctx.media.takeThumbs(message.keys, buffers);
    else if (message.type === 'full') ctx.media.takeFile(message, buffers);
    else if (message.type === 'details') ctx.box.take(message);
  }

  // The HTML of the same grid, which stays in the saved notebook, is hidden while this one works; its place, too.
  function hideStatic() {
    const lasting = `.kiegen-grid[data-kiegen-grid="${CSS.escape(ctx.header.lasting)}"]`;
    const rule = (selector) => `@media screen { ${selector} { display: none; } }`;
    hide.textContent = `${rule(lasting)}\n${rule(`.jp-OutputArea-child:has(> .jp-OutputArea-output > ${lasting})`)}`;
    if (!hide.isConnected) document.head.append(hide);
  }

  function runClock() {
    clock.run(head.isRunning() || pane.querySelector('.kg-clock') !== null);
  }

  function tick() {
    ctx.cards.tick(pane);
    head.drawRun();
  }

  head.draw();
  model.on('msg:custom', onMessage);
  ctx.send({ type: 'ready', view });

  return () => {
    clock.stop();
    seen.disconnect();
    ctx.rating.dispose();
    model.off('msg:custom', onMessage);
    ctx.media.dispose();
    hide.remove();
    root.remove();
    try {
      ctx.send({ type: 'bye', view });
    } catch {
      // The kernel is gone already.
    }
  };
}

export default { render };
