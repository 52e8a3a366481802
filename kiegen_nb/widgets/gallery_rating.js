// Stars and comments. The keys 1 to 5 rate the result the pointer or the focus came to last, 0 takes that back.

const BEST = 5;
const WRITING = 'input:not([type=checkbox]), textarea, select';

function createRating(ctx) {
  let hovered = null; // id
  let pointed = false; // whether the pointer came last, not the focus
  let spot = ''; // where it was

  const can = (item) => Boolean(item && ctx.header.live && item.kind === 'done');

  function mark(node, rating = 0) {
    node.setAttribute('aria-valuenow', rating);
    node.setAttribute('aria-valuetext', rating ? `${rating} of ${BEST}` : 'not rated');
    [...node.children].forEach((star, n) => star.classList.toggle('kg-lit', n < rating));
  }

  // One stop of the Tab key, not five
  function stars(item) {
    const { id } = item;
    const every = Array.from({ length: BEST }, (_, n) => h('span', 'kg-star', { 'data-n': n + 1 }, icon('star')));
    if (!can(item)) {
      if (!item.rating) return null;
      const node = h('span', 'kg-stars', { role: 'img', 'aria-label': `Rated ${item.rating} of ${BEST}` }, ...every);
      every.forEach((star, n) => star.classList.toggle('kg-lit', n < item.rating));
      return node;
    }
    const node = h('span', 'kg-stars kg-rate', {
      role: 'slider', tabindex: '0', 'aria-label': `Rating: ${called(item)}`, 'aria-valuemin': 0, 'aria-valuemax': BEST,
      'data-of': id, title: `Rate it: keys 1 to ${BEST}; 0 takes it back`, ...OURS,
    }, ...every);
    mark(node, item.rating);
    node.onclick = (event) => {
      const n = Number(event.target.closest('.kg-star')?.dataset.n);
      if (n) rate(id, n === ctx.items.get(id)?.rating ? 0 : n);
    };
    node.onkeydown = (event) => {
      const now = ctx.items.get(id)?.rating || 0;
      const to = { ArrowRight: now + 1, ArrowUp: now + 1, ArrowLeft: now - 1, ArrowDown: now - 1, Home: 0, End: BEST }[event.key];
      if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      if (to >= 0 && to <= BEST) rate(id, to);
    };
    return node;
  }

  function rate(id, rating) {
    const item = ctx.items.get(id);
    if (!can(item)) return false;
    if (rating !== (item.rating || 0)) {
      // Shown at once; the kernel's answer may still correct it.
      ctx.items.set(id, { ...item, rating: rating || undefined });
      for (const node of ctx.root.querySelectorAll('.kg-rate')) if (node.dataset.of === id) mark(node, rating);
      ctx.send({ type: 'rate', id, rating: rating || null });
    }
    ctx.say(`${rating ? `Rated ${rating} of ${BEST}` : 'Not rated'}: ${called(item)}`);
    return true;
  }

  function comment(id, words) {
    if (id !== null && words.trim() !== (ctx.items.get(id)?.comment || '')) ctx.send({ type: 'rate', id, comment: words });
  }

  // A field for the comment on one task; `keep` stores what is written in it
  function field() {
    let id = null;
    const input = h('textarea', 'kg-comment', { rows: 2, maxlength: 2000, placeholder: 'Comment', 'aria-label': 'Comment', ...OURS });
    const keep = () => comment(id, input.value);
    const known = () => ctx.items.get(id)?.comment || '';
    input.onchange = keep;
    input.onkeydown = (event) => {
      if (event.key === 'Tab') return;
      event.stopPropagation();
      if (event.key === 'Escape') input.value = known();
      else if (event.key !== 'Enter' || event.shiftKey) return;
      event.preventDefault();
      input.blur();
    };
    function show(task) {
      if (task !== id) keep();
      if (task !== id || ctx.focused() !== input) input.value = ctx.items.get(task)?.comment || '';
      id = task;
      input.hidden = !can(ctx.items.get(id));
    }
    return { input, show };
  }

  const cardOf = (node) => node?.closest?.('[data-task]')?.dataset.task ?? null;

  function onKey(event) {
    if (!/^[0-5]$/.test(event.key) || event.ctrlKey || event.metaKey || event.altKey || ctx.box.isOpen()) return;
    const target = event.composedPath()[0];
    if (target.isContentEditable || target.matches?.(WRITING)) return;
    const focused = ctx.root.contains(ctx.focused()) ? cardOf(ctx.focused()) : null;
    const id = pointed && hovered !== null ? hovered : focused ?? hovered;
    if (!rate(id, Number(event.key))) return;
    // In a notebook's command mode these keys would make the cell a heading.
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  // What scrolls under a pointer that rests was not pointed at.
  ctx.root.addEventListener('pointermove', (event) => {
    const now = `${event.screenX} ${event.screenY}`;
    if (now === spot) return;
    spot = now;
    hovered = cardOf(event.target);
    pointed = hovered !== null;
  });
  ctx.root.addEventListener('pointerleave', () => (hovered = null));
  ctx.root.addEventListener('focusin', () => (pointed = false));
  window.addEventListener('keydown', onKey, true);

  return { can, stars, rate, field, dispose: () => window.removeEventListener('keydown', onKey, true) };
}
