// Sends this view's files to the kernel: one after the other, and of each one piece after the other.

const SILENCE = 10_000; // ms without an answer until it is said, and asked after

// Which page a view is on, and which one this tab showed before: what that one was sending is lost.
const PAGE_PLACE = Symbol.for('kiegen_nb.page');

function thisPage() {
  if (globalThis[PAGE_PLACE]) return globalThis[PAGE_PLACE];
  const page = { id: Math.random().toString(36).slice(2), before: null };
  try {
    page.before = sessionStorage.getItem('kiegen_nb.page');
    sessionStorage.setItem('kiegen_nb.page', page.id);
  } catch {
    // A page without storage; another view gives up what was lost after a while.
  }
  return (globalThis[PAGE_PLACE] = page);
}

// Not gallery_base.js's, which is of tasks
function fileName(data) {
  return data.name || 'pasted picture';
}

function createSender(ctx) {
  const files = new Map(); // file -> { data: File, glance }
  const waiting = []; // files in their order
  let current = null; // { file, at, since } of the one under way: `at` begins the piece without an answer
  let timer = null;

  function choose(list) {
    for (const data of list) {
      const file = Math.random().toString(36).slice(2) + Date.now().toString(36);
      files.set(file, { data, glance: makeGlance(data) });
      waiting.push(file);
      ctx.items.put({ file, name: fileName(data), size: data.size, state: 'receiving', got: 0, view: ctx.view });
    }
    next();
  }

  function next() {
    if (current || !waiting.length) return;
    const file = waiting.shift();
    current = { file, at: -1, since: Date.now() };
    timer ??= setInterval(watch, 1000);
    ctx.ask(begin(file));
  }

  function end(file) {
    const place = waiting.indexOf(file);
    if (place >= 0) waiting.splice(place, 1);
    if (current?.file !== file) return;
    current = null;
    ctx.note('');
    next();
    if (!current) timer = clearInterval(timer) || null;
  }

  async function onGot({ file, got }) {
    if (current?.file !== file) return;
    ctx.note('');
    // The answer to a piece moves on; the answer to "where" may ask for the same piece once more.
    if (got < current.at || (got === current.at && !current.asked)) return;
    const mine = current;
    Object.assign(mine, { at: got, asked: false, since: Date.now() });
    const { data } = files.get(file);
    let piece;
    try {
      piece = await data.slice(got, got + ctx.piece).arrayBuffer();
    } catch {
      ctx.note(`${data.name} cannot be read any more: choose it again.`);
      cancel(file);
      return;
    }
    if (current === mine && mine.at === got && got < data.size) ctx.ask({ type: 'piece', file, at: got }, [piece]);
  }

  // What the kernel says of one of our files: past the first half, the next may begin.
  function onItem(item) {
    if (item.state !== 'receiving') end(item.file);
    if (item.state === 'done' && files.has(item.file)) files.get(item.file).data = null;
  }

  function watch() {
    if (!current || Date.now() - current.since < SILENCE) return;
    current.since = Date.now();
    current.asked = true;
    ctx.note('The kernel does not answer. While it is busy or disconnected, this waits.');
    ctx.ask(current.at < 0 ? begin(current.file) : { type: 'where', file: current.file });
  }

  function begin(file) {
    const { data } = files.get(file);
    return { type: 'begin', page: thisPage().id, file, name: fileName(data), size: data.size, mime: data.type };
  }

  // One that the kernel has not heard of yet is only taken off the list.
  function cancel(file) {
    if (waiting.includes(file)) {
      forget(file);
      ctx.items.drop(file);
    } else {
      end(file);
      ctx.ask({ type: 'cancel', file });
    }
  }

  function forget(file) {
    end(file);
    files.delete(file);
  }

  return {
    choose,
    onGot,
    onItem,
    cancel,
    forget,
    has: (file) => Boolean(files.get(file)?.data),
    glance: (file) => files.get(file)?.glance || null,
    isWaiting: (file) => waiting.includes(file),
    mine: (file) => files.has(file),
    again(file) {
      const { data } = files.get(file);
      ctx.ask({ type: 'remove', file });
      files.delete(file);
      choose([data]);
    },
    dispose: () => clearInterval(timer),
  };
}
