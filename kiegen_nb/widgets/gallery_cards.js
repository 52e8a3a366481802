// One card: what cards.py says of a task, drawn.

// A placeholder in the asked shape that fits its frame of 4:3
function ghost(ratio) {
  const [, wide, tall] = (/^(\d+):(\d+)$/.exec(ratio) || [0, 4, 3]).map(Number);
  const node = h('div', 'kg-ghost');
  node.style.aspectRatio = `${wide} / ${tall}`;
  node.style[wide / tall > 4 / 3 ? 'width' : 'height'] = '66%';
  return node;
}

function bar(label) {
  const node = h('div', 'kg-progress', { role: 'progressbar', 'aria-label': label, 'aria-valuemin': 0, 'aria-valuemax': 100 }, h('span'));
  return node;
}

function setBar(node, part) {
  const percent = Math.round(part * 100);
  node.setAttribute('aria-valuenow', percent);
  node.firstChild.style.width = `${percent}%`;
}

// Which tasks' cards a view shows differently; a task that is neither waits or has failed.
const isWaiting = (item) => item.kind === 'pending' || item.kind === 'saving';
const isFilm = (asset) => asset.kind === 'video';
const isWords = (asset) => asset.kind === 'text' || asset.kind === 'data';

function createCards(ctx) {
  const { media } = ctx;
  const still = matchMedia('(prefers-reduced-motion: reduce)');

  // The frame is always there; what is in it only while it is seen
  function frame(node, item) {
    node.className = `kg-card kg-${item.kind}`;
    node.dataset.task = item.id;
    node.dataset.kind = item.kind;
    if (isWaiting(item)) node.setAttribute('aria-busy', 'true');
    else node.removeAttribute('aria-busy');
  }

  function fill(node, item) {
    const body = h('div', 'kg-body');
    if (item.kind !== 'done') {
      const state = h('p', 'kg-state', {}, h('span', 'kg-word', {}, item.word));
      if (item.since) state.append(h('span', 'kg-clock', { 'data-since': item.since, 'data-expected': item.expected }));
      body.append(state);
      if (isWaiting(item)) body.append(bar(item.word));
    }
    if (title(item)) body.append(h('p', 'kg-prompt', { title: title(item) }, title(item)));
    if (item.prompt && item.of) body.append(h('p', 'kg-note', {}, item.of));
    if (item.reason) body.append(h('p', 'kg-reason', {}, item.reason));
    if (item.note) body.append(h('p', 'kg-note', { role: 'status' }, item.note));
    if (item.comment) body.append(h('p', 'kg-said', {}, item.comment));
    body.append(h('p', 'kg-facts', {}, unbroken([...item.facts, item.code].filter(Boolean))));
    const stars = ctx.rating.stars(item);
    if (stars) body.append(stars);
    if (ctx.header.live) body.append(...actions(item));
    node.replaceChildren(shown(item), body);
    if (ctx.select.isOn()) node.prepend(ctx.select.box(item));
    tick(node);
  }

  // What can be done with a task; `n` is the result it is about, where one is in front
  function actions(item, n = null) {
    const { id } = item;
    const row = h('div', 'kg-acts');
    const line = h('div', 'kg-ask');
    line.hidden = true;
    const act = (text, label, message, cls = 'kg-act') => pressOnce(cls, label, () => ctx.act(message), text);
    if (item.again) row.append(act(item.again, null, { type: 'refresh', id }));
    if (item.retry) row.append(act(item.retry, 'Ask for it anew', { type: 'retry', id }));
    for (const { name, title: text, needs_prompt, indexes } of item.next || []) {
      const several = indexes.length > 1;
      const group = h('span', several ? 'kg-acts' : '', {}, several ? text : '');
      for (const index of indexes) {
        const label = several ? `${text} ${index + 1}` : text;
        const message = { type: 'follow_up', id, name, index };
        const button = act(several ? String(index + 1) : text, label, message);
        if (needs_prompt) button.onclick = () => askFor(line, button, label, message);
        group.append(button);
      }
      row.append(group);
    }
    const quiet = 'kg-act kg-plain';
    if (ctx.header.loads && item.load) row.append(act('Same again', 'Use these settings in the form', { type: 'load', id }, quiet));
    const files = (item.assets || []).filter((asset) => asset.name);
    const which = n === null && files.length === 1 ? item.assets.indexOf(files[0]) : n;
    if (ctx.header.uses && which !== null && item.assets[which]?.use) {
      row.append(act('Use as input', 'Put it into the form as an input', { type: 'use', id, n: which }, quiet));
    }
    return row.firstChild ? [row, line] : [];
  }

  function askFor(line, button, label, message) {
    const input = h('input', 'kg-input', { type: 'text', 'aria-label': `${label}: prompt`, placeholder: 'How it goes on', ...OURS });
    const end = () => {
      line.hidden = true;
      button.focus();
    };
    const send = press('kg-act', null, () => {
      ctx.act({ ...message, prompt: input.value });
      end();
    }, 'Send');
    input.onkeydown = (event) => {
      event.stopPropagation();
      if (event.key === 'Enter') send.click();
      else if (event.key === 'Escape') end();
      else return;
      event.preventDefault();
    };
    line.replaceChildren(input, send);
    line.hidden = false;
    input.focus();
  }

  function shown(item) {
    const place = h('div', 'kg-media');
    const tiles = (item.assets || []).map((asset, n) => [asset, n]).filter(([asset]) => asset.name);
    if (item.kind === 'done' || (isWaiting(item) && tiles.length)) {
      place.classList.toggle('kg-several', tiles.length > 1);
      place.append(...tiles.map(([asset, n]) => tile(item, asset, n, tiles.length)));
    } else if (isWaiting(item)) {
      place.append(ghost(item.ratio));
    } else {
      place.append(icon({ missing: 'file', failed: 'close' }[item.kind] || 'warn'));
    }
    return place;
  }

  function tile(item, asset, n, total) {
    const name = title(item) || asset.name;
    const key = `${item.id}/${n}`;
    const sound = asset.kind === 'audio';
    const timed = sound || isFilm(asset);
    const which = total > 1 ? ` (${n + 1} of ${total})` : '';
    const button = press('kg-pic', `${timed ? 'Play' : 'Open'}${which}: ${name}`, null);
    button.removeAttribute('title');
    if (!sound) button.dataset.key = key;
    if (asset.text) button.append(h('span', 'kg-excerpt', {}, asset.text));
    else if (!asset.thumb) button.append(h('span', 'kg-kind', {}, asset.kind === 'image' ? asset.name : asset.kind));
    else {
      media.withThumb(asset.thumb, (url) => {
        button.prepend(h('img', 'kg-thumb', { src: url, alt: name, decoding: 'async' }));
      });
    }
    if (timed) {
      button.append(h('span', 'kg-play', {}, icon('play')));
      if (asset.duration) button.append(h('span', 'kg-length', {}, duration(asset.duration)));
    }
    if (isFilm(asset)) playAtAGlance(button, key);
    button.onclick = (event) => {
      if (ctx.select.isOn()) ctx.select.toggle(item.id, event.shiftKey);
      else if (sound) playHere(button, item, key, name);
      else ctx.box.open([key]);
    };
    return button;
  }

  // A film plays, muted, while the pointer rests on it, if it need not come as a whole first.
  function playAtAGlance(button, key) {
    let over = false;
    let film = null;
    button.onpointerenter = async (event) => {
      over = event.pointerType === 'mouse' && !still.matches;
      if (!over || !(await media.isNear(key))) return;
      const file = await media.source(key);
      if (!over || !file.url || film) return;
      film = h('video', 'kg-glance', { src: file.url, loop: '', playsinline: '', 'aria-hidden': 'true', tabindex: '-1' });
      film.muted = true;
      button.append(film);
      film.play().catch(() => {});
    };
    button.onpointerleave = () => {
      over = false;
      film?.remove();
      film = null;
    };
  }

  async function playHere(button, item, key, name) {
    button.disabled = true;
    const file = await media.source(key);
    if (!file.url) {
      button.disabled = false;
      return ctx.put({ ...item, note: file.text });
    }
    const player = h('audio', 'kg-audio', { controls: '', src: file.url, 'aria-label': name, ...OURS });
    player.onerror = () => media.failed(key) && playHere(player, item, key, name);
    button.replaceWith(player);
    player.focus();
    player.play().catch(() => {});
  }

  // The clocks tick here, without a message.
  function tick(within) {
    for (const clock of within.querySelectorAll('.kg-clock')) {
      const elapsed = ctx.now() - Number(clock.dataset.since);
      const expected = Number(clock.dataset.expected);
      const progress = clock.closest('.kg-body').querySelector('.kg-progress');
      progress.classList.toggle('kg-unsure', !expected);
      if (!expected) clock.textContent = duration(elapsed);
      else clock.textContent = elapsed <= expected ? `${duration(elapsed)} of about ${about(expected)}` : `${duration(elapsed)}, usually ${about(expected)}`;
      if (expected) setBar(progress, share(elapsed, expected));
    }
  }

  return { frame, fill, shown, actions, tick };
}
