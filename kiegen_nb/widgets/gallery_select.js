// Select mode: which cards are picked, and what is done with all of them at once.

function createSelect(ctx) {
  const picked = new Set(); // ids
  let on = false;
  let last = null; // where a range begins
  let packing = null; // the request of the zip that is made

  const count = h('span', 'kg-picked-count', { role: 'status' });
  const all = press('kg-act kg-plain', 'Select all that are shown (Ctrl+A)', () => pickAll(), 'All');
  const none = press('kg-act kg-plain', 'Select none', () => clear(), 'None');
  const compare = press('kg-act', 'Show the two side by side', () => ctx.box.open(firsts().slice(0, 2)), 'Compare');
  const zip = press('kg-act', 'Download the files as one zip', () => pack(), 'Download');
  const retry = press('kg-act', 'Ask for the failed ones anew, and fetch missing files', () => send('retry_all'), 'Retry');
  const use = press('kg-act', 'Put the results into the form as inputs', () => useAll(), 'Use as input');
  const remove = press('kg-act kg-bad', 'Delete; this can be undone', () => send('delete'), 'Delete');
  const end = press('kg-act kg-plain', 'Leave select mode (Escape)', () => set(false), 'Done');
  const strip = h('div', 'kg-strip', { role: 'toolbar', 'aria-label': 'Selected', ...OURS }, count, all, none, compare, zip, use, retry, remove, end);
  const words = h('span');
  const link = h('a', 'kg-link', { download: '', ...OURS }, 'Save');
  const shut = press('kg-shut', 'Dismiss', () => (packed.hidden = true), icon('close'));
  const packed = h('div', 'kg-tell', { role: 'status' }, words, link, shut);
  packed.hidden = strip.hidden = true;

  const chosen = () => ctx.list.shown().filter((id) => picked.has(id));
  const files = (id) => (ctx.items.get(id)?.assets || []).filter((asset) => asset.name);
  const open = (id) => (ctx.items.get(id).assets || []).findIndex((asset) => asset.name && asset.kind !== 'audio');
  // Two tasks, or two results of one
  function firsts() {
    const ids = chosen().filter((id) => open(id) >= 0);
    if (ids.length === 1) return (ctx.items.get(ids[0]).assets || []).map((asset, n) => asset.name && `${ids[0]}/${n}`).filter(Boolean);
    return ids.map((id) => `${id}/${open(id)}`);
  }

  function box(item) {
    const input = h('input', '', { type: 'checkbox', 'aria-label': `Select: ${called(item)}`, ...OURS });
    input.checked = picked.has(item.id);
    input.onclick = (event) => {
      event.stopPropagation();
      toggle(item.id, event.shiftKey, input.checked);
    };
    return h('label', 'kg-check', {}, input);
  }

  function mark(node, id) {
    node.classList.toggle('kg-picked', on && picked.has(id));
    const input = node.querySelector('.kg-check input');
    if (input) input.checked = picked.has(id);
  }

  function toggle(id, ranged, to = !picked.has(id)) {
    const shown = ctx.list.shown();
    const from = ranged ? shown.indexOf(last) : -1;
    const place = shown.indexOf(id);
    const range = from < 0 ? [id] : shown.slice(Math.min(from, place), Math.max(from, place) + 1);
    for (const one of range) (from >= 0 || to ? picked.add(one) : picked.delete(one));
    last = id;
    draw();
  }

  function pickAll() {
    for (const id of ctx.list.shown()) picked.add(id);
    draw();
  }

  function clear() {
    picked.clear();
    draw();
  }

  function set(to) {
    if (on === to) return;
    on = to;
    picked.clear();
    last = null;
    strip.hidden = !on;
    ctx.root.classList.toggle('kg-selecting', on);
    // Ctrl+A is ours while cards are selected, wherever among them the focus is.
    if (on) ctx.list.pane.setAttribute('data-lm-suppress-shortcuts', 'true');
    else ctx.list.pane.removeAttribute('data-lm-suppress-shortcuts');
    ctx.list.redraw();
    ctx.tools.draw();
    draw();
  }

  function draw() {
    for (const id of [...picked]) if (!ctx.items.has(id)) picked.delete(id);
    for (const id of ctx.items.keys()) mark(ctx.list.node(id), id);
    const ids = chosen();
    count.textContent = ids.length ? `${ids.length.toLocaleString('en')} selected` : 'Nothing selected';
    none.disabled = ids.length === 0;
    compare.disabled = firsts().length !== 2;
    zip.disabled = packing !== null || !ids.some((id) => files(id).length);
    const { live, uses } = ctx.header;
    use.hidden = !uses;
    use.disabled = !inputs().length;
    retry.hidden = remove.hidden = !live;
    retry.disabled = !ids.some((id) => ctx.items.get(id).again || ctx.items.get(id).retry);
    remove.disabled = !ids.some((id) => !isWaiting(ctx.items.get(id)));
  }

  function send(type) {
    ctx.send({ type, ids: chosen() });
    if (type === 'delete') clear();
  }

  // Every selected result that may be an input; what does not fit any more says so on its card.
  function inputs() {
    return chosen().flatMap((id) => (ctx.items.get(id).assets || []).map((asset, n) => asset.use && { type: 'use', id, n }).filter(Boolean));
  }

  function useAll() {
    for (const message of inputs()) ctx.act(message);
  }

  function pack() {
    const ids = chosen().filter((id) => files(id).length);
    packing = `${ctx.view}-zip-${Date.now()}`;
    ctx.send({ type: 'zip', ids, request: packing });
    tell(`Packing the files of ${many(ids.length, 'task')}…`);
    draw();
  }

  function tell(text, url = null, name = '') {
    words.textContent = text;
    link.hidden = !url;
    if (url) Object.assign(link, { href: url, download: name });
    packed.hidden = false;
  }

  async function onZip(message) {
    if (message.request !== packing) return;
    packing = null;
    draw();
    if (!message.ok) return tell(message.text);
    const text = `${message.text} (${bytes(message.size)})`;
    tell(text);
    let url = await ctx.media.filesAddress(message.name);
    if (!url && message.small) url = (await ctx.media.overConnection({ type: 'zip_bytes' })).url;
    tell(text, url, message.name);
    if (url) link.click();
  }

  function onKey(event) {
    if (!on || event.target.closest('dialog') || event.target.matches('input:not([type=checkbox]), select, textarea')) return;
    if (event.key === 'Escape') set(false);
    else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'a') pickAll();
    else return;
    event.preventDefault();
    event.stopPropagation();
    if (!on) ctx.tools.toggle.focus();
  }

  return { strip, packed, isOn: () => on, set, box, mark, toggle, draw, onZip, onKey };
}
