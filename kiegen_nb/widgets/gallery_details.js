// All there is to know of one task, beside its picture; the kernel is asked for it when it is opened.

function createDetails(ctx) {
  const list = h('dl', 'kg-rows');
  const note = h('p', 'kg-note', { role: 'status' });
  const acts = h('div', 'kg-side-acts');
  const comment = ctx.rating.field();
  const side = h('aside', 'kg-side', { 'aria-label': 'Details', tabindex: '-1' }, note, comment.input, acts, list);
  let id = null;
  let n = null;

  function row({ label, value, copy, long }) {
    const words = h('dd', long ? 'kg-long' : '', {}, h('span', '', {}, value));
    if (copy) {
      const button = press('kg-copy', `Copy: ${label}`, async () => {
        const copied = await toClipboard(value, side);
        button.replaceChildren(icon(copied ? 'check' : 'close'));
        ctx.say(copied ? `${label} copied` : `${label} could not be copied`);
        setTimeout(() => button.replaceChildren(icon('copy')), 1500);
      }, icon('copy'));
      words.append(button);
    }
    return [h('dt', '', {}, label), words];
  }

  function take(message) {
    if (message.view !== ctx.view || message.task !== id) return;
    list.replaceChildren(...message.rows.flatMap(row));
  }

  function draw() {
    const item = ctx.items.get(id);
    if (!item) return;
    note.textContent = item.note || '';
    note.hidden = !item.note;
    comment.show(id);
    // A line somebody is writing into stays.
    if (!acts.contains(ctx.focused())) acts.replaceChildren(...(ctx.header.live ? ctx.cards.actions(item, n) : []));
  }

  // Show another task; or ask again, because it changed
  function show(task, place) {
    if (task !== id) list.replaceChildren();
    if (task !== id || place !== n) acts.replaceChildren();
    id = task;
    n = place;
    if (id === null) return comment.show(null);
    draw();
    ctx.send({ type: 'details', view: ctx.view, id });
  }

  return { side, show, take, draw };
}
