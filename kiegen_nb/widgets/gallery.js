// Draws the cards that cards.py describes; the messages are listed in gallery.py.
// Whatever a person or a service wrote is set as textContent or as an attribute, never as markup.

const ICONS = {
  play: 'M8 5v14l11-7z',
  warn: 'M12 3 1.8 21h20.4L12 3zm-1 7h2v5h-2v-5zm0 6.5h2v2h-2v-2z',
  file: 'M6 2h8l5 5v15H6V2zm7 1.5V8h4.5',
  close: 'm6.4 5 5.6 5.6L17.6 5 19 6.4 13.4 12l5.6 5.6-1.4 1.4-5.6-5.6L6.4 19 5 17.6l5.6-5.6L5 6.4z',
  left: 'M15.4 7.4 14 6l-6 6 6 6 1.4-1.4L10.8 12z',
  right: 'm8.6 16.6 1.4 1.4 6-6-6-6-1.4 1.4 4.6 4.6z',
};
const KEPT = 12; // full-size files held in memory per view

function h(tag, cls, attrs = {}, ...children) {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  for (const [name, value] of Object.entries(attrs)) {
    if (value != null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function icon(name) {
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'kg-icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(space, 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

function iconButton(cls, label, name) {
  return h('button', cls, { type: 'button', 'aria-label': label, title: label }, icon(name));
}

function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')} min`;
}

function title(item) {
  return item.prompt || item.of || '';
}

function split(key) {
  const cut = key.lastIndexOf('/');
  return [key.slice(0, cut), Number(key.slice(cut + 1))];
}

// A placeholder in the asked shape that fits its frame of 4:3
function ghost(ratio) {
  const [, wide, tall] = (/^(\d+):(\d+)$/.exec(ratio) || [0, 4, 3]).map(Number);
  const node = h('div', 'kg-ghost');
  node.style.aspectRatio = `${wide} / ${tall}`;
  node.style[wide / tall > 4 / 3 ? 'width' : 'height'] = '66%';
  return node;
}

function render({ model, el }) {
  const view = Math.random().toString(36).slice(2);
  const items = new Map(); // id -> card data
  const nodes = new Map(); // id -> element
  const thumbs = new Map(); // thumbnail key -> blob URL
  const files = new Map(); // 'id/n' -> {url, mime, name} or {text}; the oldest go first
  const asked = new Map(); // request -> 'id/n'
  let header = {};
  let loaded = false;
  let skew = 0; // ms to add to this computer's clock to get the kernel's
  let timer = null;
  let requests = 0;

  const counts = h('span', 'kg-counts');
  const credits = h('span', 'kg-credits');
  const badge = h('span', 'kg-sandbox', { title: 'A local stand-in answers; nothing is charged' }, 'SANDBOX');
  const banner = h('p', 'kg-banner', { role: 'alert' });
  const list = h('ul', 'kg-grid', { role: 'list', 'aria-label': 'Results' });
  const empty = h('p', 'kg-empty');
  const live = h('div', 'kg-live', { role: 'status', 'aria-live': 'polite' });
  const head = h('div', 'kg-head', {}, counts, badge, credits);
  const root = h('section', 'kg', { 'aria-label': 'Gallery' }, head, banner, list, empty, live);
  const box = lightbox();
  root.append(box.dialog);
  el.append(root);

  // Cards

  function drawHeader() {
    counts.textContent = header.counts || '';
    credits.textContent = header.credits || '';
    badge.hidden = !header.sandbox;
    banner.textContent = header.error || '';
    banner.hidden = !header.error;
    head.hidden = !header.counts && !header.credits && !header.sandbox;
    list.setAttribute('aria-busy', String(Boolean(header.busy)));
    list.style.gridTemplateColumns = header.columns ? `repeat(${header.columns}, minmax(0, 1fr))` : '';
    list.hidden = items.size === 0;
    empty.hidden = items.size > 0;
    empty.textContent = !loaded || header.loading ? 'Reading…' : 'Nothing here yet. Press Generate.';
  }

  function drawCard(item) {
    const waiting = item.kind === 'pending' || item.kind === 'saving';
    const node = h('li', `kg-card kg-${item.kind}`, {
      role: 'listitem',
      'aria-busy': waiting ? 'true' : null,
      'data-task': item.id,
      'data-kind': item.kind,
    });
    const body = h('div', 'kg-body');
    if (item.kind !== 'done') {
      const state = h('p', 'kg-state', {}, h('span', 'kg-word', {}, item.word));
      if (item.since) state.append(h('span', 'kg-clock', { 'data-since': item.since }, sinceText(item.since)));
      body.append(state);
    }
    if (title(item)) body.append(h('p', 'kg-prompt', { title: title(item) }, title(item)));
    if (item.prompt && item.of) body.append(h('p', 'kg-note', {}, item.of));
    if (item.reason) body.append(h('p', 'kg-reason', {}, item.reason));
    if (item.note) body.append(h('p', 'kg-note', { role: 'status' }, item.note));
    const facts = [...item.facts, item.code].filter(Boolean).map((fact) => fact.replaceAll(' ', '\u00a0'));
    body.append(h('p', 'kg-facts', {}, facts.join('\u00a0· ')));
    if (header.live) body.append(...actions(item));
    node.append(media(item, waiting), body);
    return node;
  }

  // A button that sends a message, and rests for a moment lest it is hit twice
  function act(text, label, message, cls = 'kg-again') {
    const button = h('button', cls, { type: 'button', 'aria-label': label, title: label }, text);
    button.onclick = () => {
      model.send(message);
      button.disabled = true;
      setTimeout(() => (button.disabled = false), 3000);
    };
    return button;
  }

  function actions(item) {
    const { id } = item;
    const row = h('div', 'kg-acts');
    const line = h('div', 'kg-ask');
    line.hidden = true;
    if (item.again) row.append(act(item.again, null, { type: 'refresh', id }));
    for (const { name, title: text, needs_prompt, indexes } of item.next || []) {
      const several = indexes.length > 1;
      const group = h('span', several ? 'kg-acts' : '', {}, several ? text : '');
      for (const index of indexes) {
        const label = several ? `${text} ${index + 1}` : text;
        const message = { type: 'follow_up', id, name, index };
        const button = act(several ? index + 1 : text, label, message);
        if (needs_prompt) button.onclick = () => askFor(line, button, label, message);
        group.append(button);
      }
      row.append(group);
    }
    if (header.loads && item.load) row.append(act('Same again', 'Use these settings in the form', { type: 'load', id }, 'kg-again kg-plain'));
    return row.firstChild ? [row, line] : [];
  }

  function askFor(line, button, label, message) {
    const input = h('input', 'kg-input', { type: 'text', 'aria-label': `${label}: prompt`, placeholder: 'How it goes on', 'data-lm-suppress-shortcuts': 'true' });
    const send = h('button', 'kg-again', { type: 'button' }, 'Send');
    const end = () => {
      line.hidden = true;
      button.focus();
    };
    send.onclick = () => {
      model.send({ ...message, prompt: input.value });
      end();
    };
    input.onkeydown = (event) => {
      event.stopPropagation();
      if (event.key === 'Enter') send.onclick();
      else if (event.key === 'Escape') end();
    };
    line.replaceChildren(input, send);
    line.hidden = false;
    input.focus();
  }

  function media(item, waiting) {
    const frame = h('div', 'kg-media');
    const shown = (item.assets || []).map((asset, n) => [asset, n]).filter(([asset]) => asset.name);
    if (item.kind === 'done' || (waiting && shown.length)) {
      frame.classList.toggle('kg-several', shown.length > 1);
      frame.append(...shown.map(([asset, n]) => tile(item, asset, n, shown.length)));
    } else if (waiting) {
      frame.append(ghost(item.ratio));
    } else {
      frame.append(icon({ missing: 'file', failed: 'close' }[item.kind] || 'warn'));
    }
    return frame;
  }

  function tile(item, asset, n, total) {
    const name = title(item) || asset.name;
    const key = `${item.id}/${n}`;
    const sound = asset.kind === 'audio';
    const src = sound && files.get(key)?.url;
    // Played on its card, once its bytes are here
    if (src) return h('audio', 'kg-audio', { controls: '', src, 'aria-label': name });
    const which = total > 1 ? ` (${n + 1} of ${total})` : '';
    const verb = asset.kind === 'video' || asset.kind === 'audio' ? 'Play' : 'Open';
    const button = h('button', 'kg-pic', {
      type: 'button',
      'aria-label': `${verb}${which}: ${name}`,
      'data-key': sound ? null : key,
      // JupyterLab would take Enter for "edit this cell".
      'data-lm-suppress-shortcuts': 'true',
    });
    const url = thumbs.get(asset.thumb);
    if (url) button.append(h('img', 'kg-thumb', { src: url, alt: name, decoding: 'async' }));
    else button.append(h('span', 'kg-kind', {}, asset.kind === 'image' ? asset.name : asset.kind));
    if (asset.kind === 'video' || asset.kind === 'audio') {
      button.append(h('span', 'kg-play', {}, icon('play')));
      if (asset.duration) button.append(h('span', 'kg-length', {}, duration(asset.duration)));
    }
    button.onclick = () => (sound ? ask(key) : box.open(key));
    return button;
  }

  function put(item, place) {
    const old = nodes.get(item.id);
    const before = items.get(item.id);
    const node = drawCard(item);
    items.set(item.id, item);
    nodes.set(item.id, node);
    if (old) {
      const focused = old.contains(el.getRootNode().activeElement);
      old.replaceWith(node);
      if (focused) (node.querySelector('button') || list).focus();
    } else {
      place(node);
    }
    if (before && before.kind !== item.kind && item.kind !== 'saving') {
      live.textContent = `${item.word}: ${title(item)}` + (item.reason ? `. ${item.reason}` : '');
    }
  }

  function drop(id) {
    nodes.get(id)?.remove();
    nodes.delete(id);
    items.delete(id);
  }

  function forgetThumbs() {
    const used = new Set();
    for (const item of items.values()) for (const asset of item.assets || []) used.add(asset.thumb);
    for (const [key, url] of thumbs) {
      if (used.has(key)) continue;
      URL.revokeObjectURL(url);
      thumbs.delete(key);
    }
  }

  // The clock ticks here, without a message

  function sinceText(since) {
    return duration((Date.now() + skew) / 1000 - since);
  }

  function tick() {
    for (const clock of list.querySelectorAll('.kg-clock')) clock.textContent = sinceText(Number(clock.dataset.since));
  }

  function runClock() {
    const needed = list.querySelector('.kg-clock') !== null;
    if (needed && timer === null) timer = setInterval(tick, 1000);
    if (!needed && timer !== null) timer = clearInterval(timer) ?? null;
  }

  // Messages

  function onMessage(message, buffers = []) {
    if (message.type === 'full') return onFile(message, buffers);
    const mine = message.type === 'snapshot' && (message.view === null || message.view === view);
    if (!mine && !(message.type === 'patch' && loaded)) return;
    skew = message.now * 1000 - Date.now();
    message.thumbs.forEach((key, n) => {
      if (!thumbs.has(key)) thumbs.set(key, URL.createObjectURL(new Blob([buffers[n]], { type: 'image/webp' })));
    });
    if (message.header) header = message.header;
    if (mine) {
      if (message.part === 0) [...items.keys()].forEach(drop);
      message.items.forEach((item) => put(item, (node) => list.append(node)));
      loaded = true;
    } else {
      message.removed.forEach(drop);
      for (const item of message.items) {
        put(item, (node) => {
          const above = nodes.get(item.after);
          if (above && above !== node) above.after(node);
          else list.prepend(node);
        });
      }
    }
    forgetThumbs();
    drawHeader();
    runClock();
    box.update();
  }

  function onFile(message, buffers) {
    const key = asked.get(message.request);
    if (key === undefined) return; // another view asked
    asked.delete(message.request);
    const url = message.ok ? URL.createObjectURL(new Blob([buffers[0]], { type: message.mime })) : null;
    files.set(key, { url, mime: message.mime, name: message.name, text: message.text });
    for (const [old, file] of files) {
      if (files.size <= KEPT) break;
      if (old === box.current()) continue;
      if (file.url) URL.revokeObjectURL(file.url);
      files.delete(old);
      redraw(old);
    }
    box.show(key);
    redraw(key)?.play().catch(() => {});
  }

  // A sound's card shows a player once its file is here, and a button when it is gone; or why it did not come.
  function redraw(key) {
    const [id, n] = split(key);
    const item = items.get(id);
    if (item?.assets?.[n]?.kind !== 'audio') return null;
    const why = files.get(key)?.text;
    put(why ? { ...item, note: why } : item);
    return nodes.get(id).querySelector('audio');
  }

  function ask(key) {
    if ([...asked.values()].includes(key)) return;
    const request = `${view}-${++requests}`;
    const [id, n] = split(key);
    asked.set(request, key);
    model.send({ type: 'full', id, n, request });
  }

  // Lightbox: a modal dialog, so that no transformed or clipped ancestor of the output can cut it

  function lightbox() {
    let key = null;
    const stage = h('div', 'kg-stage');
    const caption = h('p', 'kg-caption');
    const place = h('span', 'kg-place');
    const save = h('a', 'kg-save', {}, 'Save');
    const previous = iconButton('kg-round kg-previous', 'Previous', 'left');
    const next = iconButton('kg-round kg-next', 'Next', 'right');
    const close = iconButton('kg-round kg-close', 'Close', 'close');
    const bar = h('div', 'kg-bar', {}, caption, place, save, close);
    const dialog = h('dialog', 'kg-box', { 'aria-label': 'Full size', 'data-lm-suppress-shortcuts': 'true' }, bar, stage, previous, next);

    const pages = () => [...list.querySelectorAll('.kg-pic[data-key]')].map((button) => button.dataset.key);

    function show(only) {
      if (key === null || (only && only !== key)) return;
      const all = pages();
      const [id, n] = split(key);
      const asset = items.get(id)?.assets?.[n];
      if (!asset || !all.includes(key)) return dialog.close();
      const file = files.get(key);
      if (!file) ask(key);
      const name = title(items.get(id)) || asset.name;
      caption.textContent = name;
      place.textContent = all.length > 1 ? `${all.indexOf(key) + 1} of ${all.length}` : '';
      previous.hidden = next.hidden = all.length < 2;
      save.hidden = !file?.url;
      if (file?.url) Object.assign(save, { href: file.url, download: file.name });
      stage.setAttribute('aria-busy', String(!file));
      stage.replaceChildren(...full(name, asset, file));
    }

    function full(alt, asset, file) {
      const poster = thumbs.get(asset.thumb);
      const loading = h('p', 'kg-problem', {}, 'Loading…');
      if (file?.text) return [h('p', 'kg-problem', { role: 'alert' }, file.text)];
      if (asset.kind === 'image') {
        const img = h('img', file ? 'kg-full' : 'kg-full kg-soft', { src: file?.url || poster, alt });
        // The full picture's place is taken at once, so that nothing jumps when its bytes arrive.
        if (asset.width && asset.height) {
          img.width = asset.width;
          img.style.aspectRatio = `${asset.width} / ${asset.height}`;
        }
        return [img];
      }
      if (asset.kind === 'video' || asset.kind === 'audio') {
        const src = file?.url;
        const player = h(asset.kind, 'kg-full', { controls: '', playsinline: '', autoplay: '', poster, src, 'aria-label': alt });
        return src ? [player] : [player, loading];
      }
      if (!file) return [loading];
      const text = h('pre', 'kg-text', { tabindex: '0' }, asset.name);
      if (asset.kind !== 'file') {
        fetch(file.url).then((answer) => answer.text()).then((found) => (text.textContent = found.slice(0, 200000)));
      }
      return [text];
    }

    function move(step) {
      const all = pages();
      key = all[(all.indexOf(key) + step + all.length) % all.length];
      show();
    }

    previous.onclick = () => move(-1);
    next.onclick = () => move(1);
    close.onclick = () => dialog.close();
    dialog.onclick = (event) => (event.target === dialog || event.target === stage) && dialog.close();
    dialog.onkeydown = (event) => {
      event.stopPropagation();
      const playing = event.target.tagName === 'VIDEO' || event.target.tagName === 'AUDIO';
      if (event.key === 'ArrowLeft' && !playing) move(-1);
      else if (event.key === 'ArrowRight' && !playing) move(1);
      else if (event.key === 'Escape') dialog.close();
      else if (event.key === 'Tab') return trap(event);
      else return;
      event.preventDefault();
    };
    dialog.onclose = () => {
      const opener = key;
      key = null;
      stage.replaceChildren();
      [...list.querySelectorAll('.kg-pic')].find((button) => button.dataset.key === opener)?.focus();
    };

    function trap(event) {
      const all = [...dialog.querySelectorAll('button, a[href], video, audio, pre')].filter((stop) => !stop.hidden);
      if (event.shiftKey) all.reverse();
      if (dialog.getRootNode().activeElement !== all[all.length - 1]) return;
      event.preventDefault();
      all[0].focus();
    }

    function open(wanted) {
      key = wanted;
      dialog.showModal();
      show();
      close.focus();
    }

    return { dialog, open, show, current: () => key, update: () => pages().includes(key) || dialog.close() };
  }

  drawHeader();
  model.on('msg:custom', onMessage);
  model.send({ type: 'ready', view });

  return () => {
    clearInterval(timer);
    model.off('msg:custom', onMessage);
    for (const url of thumbs.values()) URL.revokeObjectURL(url);
    for (const file of files.values()) if (file.url) URL.revokeObjectURL(file.url);
    root.remove();
    try {
      model.send({ type: 'bye', view });
    } catch {
      // The kernel is gone already.
    }
  };
}

export default { render };
