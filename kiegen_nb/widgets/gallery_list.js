// The cards in their order. Each has its place; what is in it is built when it comes near, and taken away again.

const AT_ONCE = 24; // cards that are built without waiting for the browser to say what is seen
const NEAR = '700px 0px';
const STOPS = 'button, input, [role=slider]';

function createList(ctx) {
  const nodes = new Map(); // id -> place
  const built = new Set(); // ids
  const headings = new Map(); // title -> node
  let shown = []; // ids in the order of the screen
  let width = 0;
  const grid = h('ul', 'kg-grid', { role: 'list', 'aria-label': 'Results' });
  const empty = h('div', 'kg-empty');
  const pane = h('div', 'kg-pane', {}, grid, empty);
  const seen = new IntersectionObserver(onSeen, { root: pane, rootMargin: NEAR });
  const sized = new ResizeObserver(onSize);
  sized.observe(grid);

  function build(id) {
    const node = nodes.get(id);
    if (!node || built.has(id)) return node;
    built.add(id);
    ctx.cards.fill(node, ctx.items.get(id));
    node.style.minHeight = '';
    return node;
  }

  function strip(id, height) {
    const node = nodes.get(id);
    // What somebody uses stays: the focus, a sound that plays.
    if (!node || !built.has(id) || node.contains(ctx.focused()) || node.querySelector('audio')) return;
    built.delete(id);
    if (height > 0) node.style.minHeight = `${height}px`;
    node.replaceChildren();
  }

  function onSeen(entries) {
    for (const { target, isIntersecting, boundingClientRect } of entries) {
      if (isIntersecting) build(target.dataset.task);
      else strip(target.dataset.task, boundingClientRect.height);
    }
    ctx.stir();
  }

  // The heights of before mean nothing in columns of another width: a typical one stands in for them.
  function onSize() {
    const now = grid.clientWidth;
    if (!now || now === width) return;
    width = now;
    const heights = [...built].map((id) => nodes.get(id)?.offsetHeight || 0).filter(Boolean).sort((a, b) => a - b);
    if (heights.length) grid.style.setProperty('--kg-slot', `${heights[heights.length >> 1]}px`);
    for (const [id, node] of nodes) if (!built.has(id)) node.style.minHeight = '';
  }

  // Items that are new or changed
  function put(item) {
    const node = nodes.get(item.id) || h('li', '', { role: 'listitem', tabindex: '-1', ...OURS });
    const held = node.contains(ctx.focused());
    const button = held ? [...node.querySelectorAll(STOPS)].indexOf(ctx.focused()) : -1;
    ctx.cards.frame(node, item);
    ctx.select.mark(node, item.id);
    if (!nodes.has(item.id)) {
      nodes.set(item.id, node);
      seen.observe(node);
    } else if (built.has(item.id)) {
      ctx.cards.fill(node, item);
    }
    if (held) ([...node.querySelectorAll(STOPS)][button] || node.querySelector('button') || node).focus();
  }

  function drop(id) {
    const node = nodes.get(id);
    if (!node) return;
    seen.unobserve(node);
    const held = node.contains(ctx.focused()) && shown[shown.indexOf(id) + 1];
    node.remove();
    nodes.delete(id);
    built.delete(id);
    if (held) focus(held);
  }

  // Every card anew, because what all of them offer has changed
  function redraw() {
    for (const id of built) ctx.cards.fill(nodes.get(id), ctx.items.get(id));
  }

  function heading(group) {
    const node = headings.get(group.title) || h('li', 'kg-heading', {}, h('h4', '', { title: group.title }), h('span'));
    headings.set(group.title, node);
    node.firstChild.textContent = group.title || 'Without a prompt';
    node.lastChild.textContent = String(group.ids.length);
    return node;
  }

  // Show these groups of ids; only what moved is moved
  function arrange(groups) {
    const titled = groups.length > 0 && groups[0].title !== null;
    shown = groups.flatMap((group) => group.ids);
    const wanted = groups.flatMap((group) => [...(titled ? [heading(group)] : []), ...group.ids.map((id) => nodes.get(id))]);
    const kept = new Set(wanted);
    const focused = grid.contains(ctx.focused()) ? ctx.focused() : null;
    for (const node of [...grid.children]) if (!kept.has(node)) node.remove();
    for (const [name, node] of headings) if (!kept.has(node)) headings.delete(name);
    let next = grid.firstChild;
    for (const node of wanted) {
      if (node === next) next = next.nextSibling;
      else grid.insertBefore(node, next);
    }
    shown.slice(0, AT_ONCE).forEach(build);
    if (focused && focused.isConnected && ctx.focused() !== focused) focused.focus({ preventScroll: true });
    grid.hidden = shown.length === 0;
    empty.hidden = shown.length > 0;
  }

  function focus(id) {
    const node = build(id);
    (node?.querySelector('.kg-pic') || node)?.focus();
    node?.scrollIntoView({ block: 'nearest' });
  }

  // Arrow keys go from picture to picture, Home and End to the ends.
  grid.onkeydown = (event) => {
    const place = event.target.closest('li');
    const ours = event.target === place || event.target.classList.contains('kg-pic');
    if (!ours || event.ctrlKey || event.metaKey || event.altKey) return;
    const columns = getComputedStyle(grid).gridTemplateColumns.split(' ').length;
    const at = shown.indexOf(place.dataset.task);
    const to = {
      ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - columns, ArrowDown: at + columns, Home: 0, End: shown.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (shown[to] !== undefined) focus(shown[to]);
  };

  function dispose() {
    seen.disconnect();
    sized.disconnect();
  }

  return { pane, grid, empty, put, drop, arrange, redraw, focus, build, dispose, shown: () => shown, node: (id) => nodes.get(id) };
}
