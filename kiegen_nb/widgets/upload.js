// One view of the upload widget: it takes the messages that upload.py lists, and keeps its parts together.

const LOST = 25_000; // ms after which a file that nobody sends is given up

function render({ model, el }) {
  const view = Math.random().toString(36).slice(2);
  let skew = 0; // ms to add to this computer's clock to get the kernel's
  let live = true;
  const early = []; // files that came before the kernel's first message, which says what fits here

  const input = h('input', 'ku-hidden', { type: 'file', tabindex: -1, 'aria-label': 'Files to upload' });
  const button = press('ku-choose', '', () => input.click(), icon('upload'), h('span', '', {}, 'Choose files'));
  const hint = h('span', 'ku-hint');
  const zone = h('div', 'ku-zone', { tabindex: -1, ...OURS }, button, hint, input);
  const note = h('p', 'ku-note', { role: 'alert' });
  const told = h('div', 'ku-hidden', { role: 'status', 'aria-live': 'polite' });
  const root = h('section', 'ku', { 'aria-label': 'Upload' });

  const ctx = {
    view, root,
    piece: 0,
    ask,
    now: () => (Date.now() + skew) / 1000,
    focused: () => el.getRootNode().activeElement,
    focus: () => button.focus(),
    say: (text) => (told.textContent = text),
    note(text) {
      note.textContent = live ? text : 'The kernel was restarted or has ended. Run the cell again.';
      note.hidden = !note.textContent;
    },
  };
  ctx.items = createItems(ctx);
  ctx.sender = createSender(ctx);
  const { items, sender } = ctx;
  root.append(zone, note, items.list, told);
  el.append(root);
  ctx.note('');

  function ask(content, buffers) {
    try {
      model.send({ ...content, view }, undefined, buffers);
    } catch {
      onEnd();
    }
  }

  function onEnd() {
    live = false;
    ctx.note('');
    zone.classList.add('ku-off');
    button.disabled = true;
  }

  function take(files) {
    const found = [...files];
    if (!live || !found.length) return;
    if (!ctx.piece) {
      early.push(...found);
      ctx.note('The files are taken as soon as the kernel answers.');
      return;
    }
    sender.choose(input.multiple ? found : found.slice(0, 1));
    if (found.length > 1 && !input.multiple) ctx.note('Only the first file was taken; one fits here.');
  }

  // Choosing, dropping, pasting

  input.onchange = () => {
    take(input.files);
    input.value = ''; // the same file may be chosen again
  };
  // A paste arrives where the focus is.
  zone.onclick = (event) => button.contains(event.target) || event.target === input || zone.focus();

  const carries = (event) => [...(event.dataTransfer?.types || [])].includes('Files');
  let depth = 0;
  const over = (now) => root.classList.toggle('ku-over', (depth = Math.max(0, now)) > 0);
  for (const name of ['dragenter', 'dragover', 'dragleave', 'drop']) {
    root.addEventListener(name, (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      event.stopPropagation();
      if (name === 'dragenter') over(depth + 1);
      if (name === 'dragleave') over(depth - 1);
      if (name !== 'drop') return;
      over(0);
      take(event.dataTransfer.files);
    });
  }
  root.addEventListener('paste', (event) => {
    const files = [...(event.clipboardData?.files || [])];
    if (!files.length) return;
    event.preventDefault();
    event.stopPropagation();
    take(files);
  });

  // Messages

  function onSnapshot(message) {
    ctx.piece = message.piece;
    if (early.length) ctx.note('');
    input.multiple = message.multiple;
    input.accept = message.accept.map((kind) => `${kind}/*`).join(',');
    const words = { image: 'pictures', video: 'videos', audio: 'sounds' };
    const kinds = message.accept.map((kind) => words[kind]);
    const all = kinds.length > 1 ? `${kinds.slice(0, -1).join(', ')} or ${kinds.at(-1)}` : kinds[0];
    button.lastChild.textContent = message.multiple ? 'Choose files' : 'Choose a file';
    hint.textContent = `or drop ${all} here` + (kinds.includes('pictures') ? ', or paste a picture' : '');
    message.items.forEach(sender.onItem);
    items.snapshot(message.items.map((item) => ({ ...item, seen: Date.now() })));
    take(early.splice(0));
  }

  function onMessage(message, buffers = []) {
    if (message.now) skew = message.now * 1000 - Date.now();
    if (message.type === 'snapshot' && message.view === view) onSnapshot(message);
    if (!ctx.piece) return;
    if (message.type === 'item') {
      sender.onItem(message.item);
      items.put({ ...message.item, seen: Date.now() });
    } else if (message.type === 'got') {
      items.change(message.file, { got: message.got, seen: Date.now(), note: '' });
      sender.onGot(message);
    } else if (message.type === 'sent') items.change(message.file, { sent: message.sent, total: message.total });
    else if (message.type === 'gone') {
      sender.forget(message.file);
      items.drop(message.file);
    } else if (message.type === 'glance' && message.view === view) items.takeGlance(message, buffers);
  }

  const timer = setInterval(() => {
    items.tick();
    for (const item of items.all()) {
      if (item.state !== 'receiving' || sender.mine(item.file) || Date.now() - item.seen < LOST) continue;
      items.change(item.file, { seen: Date.now() });
      ask({ type: 'lost', file: item.file });
    }
  }, 1000);

  model.on('msg:custom', onMessage);
  model.on('comm:close', onEnd); // the kernel's widget has ended
  ask({ type: 'ready', before: thisPage().before });

  return () => {
    clearInterval(timer);
    model.off('msg:custom', onMessage);
    model.off('comm:close', onEnd);
    sender.dispose();
    root.remove();
    if (live) ask({ type: 'bye' });
  };
}

export default { render };
