// The list of files: a row for each, with its picture, its progress and its buttons.

const WORDS = { receiving: 'Waiting', sending: 'Uploading', done: 'Uploaded', failed: 'Not uploaded' };
const LOOKS = { image: 'picture', video: 'film', audio: 'sound' };

function createItems(ctx) {
  const rows = new Map(); // file -> its parts
  const list = h('ul', 'ku-list', { 'aria-label': 'Files' });

  function build(file) {
    const row = {
      node: h('li', 'ku-item'),
      look: h('div', 'ku-look'),
      name: h('span', 'ku-name'),
      state: h('span', 'ku-state'),
      bar: h('div', 'ku-bar', { role: 'progressbar', 'aria-valuemin': 0, 'aria-valuemax': 100 }, h('span')),
      text: h('p', 'ku-text'),
      acts: h('div', 'ku-acts'),
      item: null,
    };
    row.node.dataset.file = file;
    row.node.append(row.look, h('div', 'ku-body', {}, row.name, row.state, row.bar, row.text), row.acts);
    list.append(row.node);
    rows.set(file, row);
    return row;
  }

  function put(item) {
    const row = rows.get(item.file) || build(item.file);
    const before = row.item;
    row.item = item;
    row.node.dataset.state = item.state;
    row.name.textContent = item.name;
    row.name.title = item.name;
    row.bar.setAttribute('aria-label', item.name);
    row.text.textContent = item.text || '';
    row.text.hidden = !item.text;
    row.bar.hidden = item.state !== 'receiving' && item.state !== 'sending';
    if (!before || before.state !== item.state) {
      drawActs(row);
      drawLook(row);
      if (before) tellEnd(item);
    }
    drawState(row);
    list.hidden = false;
  }

  // Only ends are told: a reader that says every percent is none.
  function tellEnd(item) {
    if (item.state === 'done') ctx.say(`${item.name} is uploaded`);
    if (item.state === 'failed') ctx.say(item.text);
  }

  function drop(file) {
    const row = rows.get(file);
    if (!row) return;
    const held = row.node.contains(ctx.focused());
    row.node.remove();
    rows.delete(file);
    list.hidden = rows.size === 0;
    if (held) ctx.focus();
  }

  function drawLook(row) {
    const { item } = row;
    const own = ctx.sender.glance(item.file);
    if (row.pictured) return;
    row.look.replaceChildren(icon(item.state === 'failed' ? 'warn' : LOOKS[item.kind] || 'file'));
    // The kernel can show what this browser cannot, or does not know the type of.
    const hope = () => item.state === 'done' && (item.kind === 'image' || item.kind === 'video') && ctx.ask({ type: 'glance', file: item.file });
    if (own) own.then((canvas) => (canvas ? picture(row, canvas) : hope()));
    else hope();
  }

  function picture(row, node) {
    row.pictured = true;
    row.look.replaceChildren(node);
  }

  function takeGlance(message, buffers) {
    const row = rows.get(message.file);
    if (!row || row.pictured || !message.ok) return;
    const url = URL.createObjectURL(new Blob([buffers[0]], { type: 'image/webp' }));
    const image = h('img', 'ku-glance', { alt: '', src: url });
    image.onload = image.onerror = () => URL.revokeObjectURL(url);
    picture(row, image);
  }

  function drawActs(row) {
    const { file, name, url, state } = row.item;
    const held = row.acts.contains(ctx.focused());
    const under = state === 'receiving' || state === 'sending';
    const acts = [];
    if (under) acts.push(press('ku-act', `Cancel ${name}`, () => ctx.sender.cancel(file), 'Cancel'));
    if (state === 'failed' && ctx.sender.has(file)) acts.push(press('ku-act', `Try ${name} again`, () => ctx.sender.again(file), 'Try again'));
    if (state === 'done') {
      const copy = press('ku-act', `Copy the address of ${name}`, async () => {
        const copied = await toClipboard(url, ctx.root);
        ctx.say(copied ? 'The address is copied' : 'The address could not be copied');
        copy.lastChild.textContent = copied ? 'Copied' : 'Not copied';
        setTimeout(() => (copy.lastChild.textContent = 'Copy URL'), 2000);
      }, icon('copy'), h('span', '', {}, 'Copy URL'));
      acts.push(copy);
    }
    if (!under) acts.push(press('ku-act ku-remove', `Remove ${name}`, () => ctx.ask({ type: 'remove', file }), icon('close')));
    row.acts.replaceChildren(...acts);
    // Who pressed Cancel goes on with what stands in its place.
    if (held) acts[0].focus();
  }

  function drawState(row) {
    const { item } = row;
    const size = item.size ? bytes(item.size) : '';
    let said = WORDS[item.state];
    let part = 0;
    if (item.state === 'receiving') {
      part = item.size ? item.got / item.size / 2 : 0;
      if (item.got) said = `To the kernel, ${percent(part * 2)}`;
      if (item.note) said = item.note;
    } else if (item.state === 'sending') {
      const share = item.total ? item.sent / item.total : 0;
      part = item.local ? share : 0.5 + share / 2;
      said = item.sent ? `To Kie, ${percent(share)}` : 'Checking';
    } else if (item.state === 'done') {
      said = left(item);
    }
    row.state.textContent = [size, said].filter(Boolean).join(' · ');
    row.state.title = item.assumed ? 'Kie named no end; 24 hours are assumed.' : '';
    row.bar.setAttribute('aria-valuenow', Math.round(part * 100));
    row.bar.firstChild.style.width = `${part * 100}%`;
  }

  function left(item) {
    const seconds = item.expires - ctx.now();
    if (seconds <= 0) return 'Expired; uploaded again by itself when it is used';
    return seconds < 60 ? 'Expires in less than a minute' : `Expires in ${duration(Math.floor(seconds / 60) * 60)}`;
  }

  function percent(part) {
    return `${Math.floor(part * 100)} %`;
  }

  function change(file, known) {
    const row = rows.get(file);
    if (!row) return;
    Object.assign(row.item, known);
    drawState(row);
  }

  function snapshot(items) {
    const kept = new Set(items.map((item) => item.file));
    for (const file of [...rows.keys()]) if (!kept.has(file) && !ctx.sender.isWaiting(file)) drop(file);
    for (const item of items) put(item);
    list.hidden = rows.size === 0;
  }

  function tick() {
    for (const row of rows.values()) if (row.item.state === 'done') drawState(row);
  }

  list.hidden = true;
  return { list, put, drop, change, snapshot, tick, takeGlance, all: () => [...rows.values()].map((row) => row.item) };
}
