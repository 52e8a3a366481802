// The toolbar: which cards are shown, in which order and groups; and the bar that undoes a deletion.

const FEW = 2; // a toolbar over less than this is only in the way
const STATES = [
  ['pending', 'Pending', ['pending', 'saving']],
  ['done', 'Done', ['done', 'missing']],
  ['failed', 'Failed', ['failed']],
  ['unconfirmed', 'Unconfirmed', ['unconfirmed']],
];
const ORDERS = [['newest', 'Newest first'], ['oldest', 'Oldest first'], ['rating', 'Best first'], ['model', 'By model']];
const RATINGS = [['5', '5 stars'], ['4', '4 stars or more'], ['3', '3 stars or more'], ['2', '2 stars or more'], ['1', 'Rated'], ['0', 'Not rated']];

function createToolbar(ctx) {
  const wish = { text: '', state: '', model: '', rating: '', order: 'newest', grouped: false };

  const search = h('input', 'kg-search', { type: 'search', placeholder: 'Filter', 'aria-label': 'Filter by text', ...OURS });
  const state = h('select', 'kg-choice', { 'aria-label': 'State', ...OURS });
  const model = h('select', 'kg-choice', { 'aria-label': 'Model', ...OURS });
  const rating = h('select', 'kg-choice', { 'aria-label': 'Rating', ...OURS });
  const order = h('select', 'kg-choice', { 'aria-label': 'Order', ...OURS }, ...ORDERS.map(([value, text]) => h('option', '', { value }, text)));
  const group = press('kg-act kg-plain kg-toggle', null, () => change({ grouped: !wish.grouped }), 'By prompt');
  group.title = 'Group by prompt';
  const toggle = press('kg-act kg-plain kg-toggle', null, () => ctx.select.set(!ctx.select.isOn()), 'Select');
  const found = h('span', 'kg-found');
  const tools = h('div', 'kg-tools', { role: 'group', 'aria-label': 'Filter and sort' }, search, state, model, rating, order, group, toggle, found);

  search.oninput = () => change({ text: search.value });
  state.onchange = () => change({ state: state.value });
  model.onchange = () => change({ model: model.value });
  rating.onchange = () => change({ rating: rating.value });
  order.onchange = () => change({ order: order.value });
  tools.onkeydown = (event) => {
    if (event.key === 'Escape' && event.target === search && search.value) {
      search.value = '';
      change({ text: '' });
      event.preventDefault();
    }
    // JupyterLab would select a cell with the arrows, or run it with Enter.
    event.stopPropagation();
  };

  function change(to) {
    Object.assign(wish, to);
    apply();
    ctx.say(found.textContent);
    draw();
    ctx.select.draw();
  }

  const isFiltered = () => Boolean(wish.text.trim() || wish.state || wish.model || wish.rating);

  function words(item) {
    return [item.prompt, item.of, item.model, item.word, item.code, item.reason, item.seed, item.note, item.comment, ...item.facts]
      .filter((word) => word !== undefined).join(' ').toLowerCase();
  }

  function apply() {
    const asked = wish.text.toLowerCase().split(/\s+/).filter(Boolean);
    const kinds = STATES.find(([name]) => name === wish.state)?.[2];
    let items = ctx.order.map((id) => ctx.items.get(id)).filter((item) => {
      if (kinds && !kinds.includes(item.kind)) return false;
      if (wish.model && item.model !== wish.model) return false;
      if (wish.rating === '0' ? item.rating : wish.rating && !(item.rating >= Number(wish.rating))) return false;
      return asked.length === 0 || asked.every((word) => words(item).includes(word));
    });
    if (wish.order === 'oldest') items.reverse();
    if (wish.order === 'rating') items.sort((a, b) => (b.rating || 0) - (a.rating || 0));
    if (wish.order === 'model') items = items.sort((a, b) => (a.model < b.model ? -1 : Number(a.model > b.model)));
    const groups = new Map();
    for (const item of items) {
      const name = wish.grouped ? title(item) : null;
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(item.id);
    }
    ctx.list.arrange([...groups].map(([name, ids]) => ({ title: name, ids })));
    found.textContent = isFiltered() ? `${items.length.toLocaleString('en')} of ${ctx.items.size.toLocaleString('en')}` : '';
    sayEmpty();
  }

  function sayEmpty() {
    const { empty } = ctx.list;
    if (ctx.items.size && isFiltered()) {
      const clear = press('kg-act', null, () => {
        search.value = '';
        change({ text: '', state: '', model: '', rating: '' });
        search.focus();
      }, 'Show all');
      empty.replaceChildren('Nothing matches. ', clear);
    } else {
      empty.replaceChildren(nothing());
    }
  }

  function nothing() {
    if (!ctx.loaded || ctx.header.loading) return 'Reading…';
    if (ctx.header.error) return 'Nothing could be read yet.';
    if (ctx.header.loads) return 'Nothing here yet. Press Generate.';
    return ctx.header.live ? 'Nothing here yet. What is asked for in this group shows up here.' : 'Nothing to show.';
  }

  function options(select, first, entries, chosen) {
    const wanted = [['', first], ...entries];
    if (chosen && !entries.some(([value]) => value === chosen)) wanted.push([chosen, chosen]);
    const now = JSON.stringify(wanted);
    if (select.dataset.options !== now) {
      select.dataset.options = now;
      select.replaceChildren(...wanted.map(([value, text]) => h('option', '', { value }, text)));
    }
    select.value = chosen;
  }

  function draw() {
    const kinds = new Map();
    const models = new Set();
    for (const item of ctx.items.values()) {
      kinds.set(item.kind, (kinds.get(item.kind) || 0) + 1);
      models.add(item.model);
    }
    const counted = STATES.map(([name, text, of]) => [name, text, of.reduce((sum, kind) => sum + (kinds.get(kind) || 0), 0)]);
    options(state, 'All states', counted.filter(([, , n]) => n).map(([name, text, n]) => [name, `${text} (${n})`]), wish.state);
    options(model, 'All models', [...models].sort().map((name) => [name, name]), wish.model);
    model.hidden = models.size < 2 && !wish.model;
    options(rating, 'All ratings', RATINGS, wish.rating);
    rating.hidden = !wish.rating && ![...ctx.items.values()].some((item) => item.rating);
    order.value = wish.order;
    group.setAttribute('aria-pressed', String(wish.grouped));
    toggle.setAttribute('aria-pressed', String(ctx.select.isOn()));
    tools.hidden = ctx.items.size < FEW && !isFiltered() && !ctx.select.isOn();
  }

  return { tools, toggle, draw, apply };
}

// "3 deleted. Undo": says where the files are, and brings them back
function createUndo(ctx) {
  const gone = new Set(); // tokens that were dismissed
  const words = h('span');
  const undo = press('kg-act', null, () => ctx.send({ type: 'restore', token: ctx.header.undo.token }), 'Undo');
  const shut = press('kg-shut', 'Dismiss', () => {
    gone.add(ctx.header.undo.token);
    draw();
  }, icon('close'));
  const tell = h('div', 'kg-tell kg-undo', { role: 'status' }, words, undo, shut);

  function draw() {
    const last = ctx.header.undo;
    tell.hidden = !last || gone.has(last.token);
    if (last) words.textContent = last.text;
  }

  draw();
  return { tell, draw };
}
