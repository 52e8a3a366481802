// Thumbnails, and full-size files in one of three ways: the server extension's route, Jupyter's own /files/, or the
// bytes over the kernel's connection. Which one works is found out once, with the first file.

const KEPT = 12; // full-size files held in memory per view
const PROBES = 2; // files that are tried before the connection is taken for all

function pageConfig() {
  try {
    return JSON.parse(document.getElementById('jupyter-config-data').textContent);
  } catch {
    return {};
  }
}

function pageBase() {
  const base = document.body.dataset.baseUrl || pageConfig().baseUrl;
  return base ? new URL(base.endsWith('/') ? base : `${base}/`, location.href).href : null;
}

function encoded(path) {
  return path.split('/').map(encodeURIComponent).join('/');
}

// Where the output folder may be below the server's root: Jupyter tells a kernel no root, so the page is asked too.
function fileRoots({ folder, near, home }) {
  const found = [];
  if (!folder) return found;
  let root = pageConfig().serverRoot || '';
  if (root.startsWith('~') && home) root = home + root.slice(1);
  root = root.replace(/\/+$/, '');
  if (root && folder.startsWith(`${root}/`)) found.push(encoded(folder.slice(root.length + 1)));
  const page = /\/(?:tree|notebooks)\/(.+)$/.exec(location.pathname);
  if (near && page) found.push([...page[1].split('/').slice(0, -1), encoded(near)].join('/'));
  if (near) found.push(encoded(near));
  return [...new Set(found)];
}

function createMedia(ctx) {
  const thumbs = new Map(); // thumbnail key -> blob URL
  const hoping = new Map(); // thumbnail key -> who wants its URL
  const wanted = []; // thumbnail keys that are asked for in a moment
  const files = new Map(); // 'id/n' -> {url, name, streamed} or {text}; the oldest held ones go first
  const finding = new Map(); // 'id/n' -> promise of the same
  const asked = new Map(); // request -> what takes the file
  const unstreamed = new Set(); // 'id/n' that the browser could not load by its address
  let way = null; // promise of a function (id, n, asset) -> address, or of null: the connection
  let probed = 0;
  let requests = 0;

  // Thumbnails

  function withThumb(key, use) {
    const url = thumbs.get(key);
    if (url) return use(url);
    if (!hoping.has(key)) {
      hoping.set(key, []);
      if (wanted.push(key) === 1) queueMicrotask(askThumbs); // one message for all cards that came into view
    }
    hoping.get(key).push(use);
  }

  function askThumbs() {
    const keys = wanted.splice(0).filter((key) => hoping.has(key));
    if (keys.length) ctx.send({ type: 'thumbs', view: ctx.view, keys });
  }

  function takeThumbs(keys, buffers) {
    keys.forEach((key, n) => {
      if (!thumbs.has(key)) thumbs.set(key, URL.createObjectURL(new Blob([buffers[n]], { type: 'image/webp' })));
      const uses = hoping.get(key) || [];
      hoping.delete(key);
      for (const use of uses) use(thumbs.get(key));
    });
  }

  function forgetThumbs() {
    const used = new Set();
    for (const item of ctx.items.values()) for (const asset of item.assets || []) used.add(asset.thumb);
    for (const [key, url] of thumbs) {
      if (used.has(key)) continue;
      URL.revokeObjectURL(url);
      thumbs.delete(key);
    }
    for (const key of hoping.keys()) if (!used.has(key)) hoping.delete(key);
  }

  // Full size

  async function answers(url, options, good) {
    try {
      // A login page would answer 200, too, after a redirect.
      const answer = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout?.(5000), ...options });
      return answer.ok && (await good(answer));
    } catch {
      return false;
    }
  }

  async function decide(id, n, asset) {
    const base = pageBase();
    if (!base) return null;
    const route = (task, place) => `${base}kiegen_nb/media/${encodeURIComponent(task)}/${place}`;
    if (await answers(`${route(id, n)}?probe=1`, {}, async (answer) => (await answer.json()).ok === true)) return route;
    for (const root of fileRoots(ctx.header)) {
      const address = (_, __, { file }) => (file && !file.startsWith('/') ? `${base}files/${root}/${encoded(file)}` : null);
      const url = address(id, n, asset);
      if (url && (await answers(url, { method: 'HEAD' }, () => true))) return address;
    }
    return null;
  }

  function theWay(id, n, asset) {
    if (way === null) {
      probed += 1;
      way = decide(id, n, asset).then((found) => {
        // One file may be gone; the way may still be there.
        if (found === null && probed < PROBES && pageBase()) way = null;
        return found;
      });
    }
    return way;
  }

  async function find(key) {
    const [id, n] = split(key);
    const asset = ctx.items.get(id)?.assets?.[n];
    if (asset && !unstreamed.has(key)) {
      const address = await theWay(id, n, asset);
      const url = address && address(id, n, asset);
      if (url) return { url, name: asset.name, streamed: true };
    }
    return overConnection({ type: 'full', id, n });
  }

  function overConnection(message) {
    return new Promise((resolve) => {
      const request = `${ctx.view}-${++requests}`;
      asked.set(request, resolve);
      ctx.send({ ...message, request });
    });
  }

  function takeFile(message, buffers) {
    const take = asked.get(message.request);
    if (!take) return; // another view asked
    asked.delete(message.request);
    if (!message.ok) return take({ text: message.text });
    take({ url: URL.createObjectURL(new Blob([buffers[0]], { type: message.mime })), name: message.name });
  }

  // Resolves to {url, name} or {text: why not}
  function source(key) {
    if (files.has(key)) return Promise.resolve(files.get(key));
    if (!finding.has(key)) {
      const found = find(key).then((file) => {
        finding.delete(key);
        files.set(key, file);
        drop();
        return file;
      });
      finding.set(key, found);
    }
    return finding.get(key);
  }

  function drop() {
    const held = [...files].filter(([, file]) => !file.streamed);
    for (const [key, file] of held.slice(0, Math.max(0, held.length - KEPT))) {
      if (file.url && ctx.root.querySelector(`[src="${file.url}"]`)) continue;
      if (file.url) URL.revokeObjectURL(file.url);
      files.delete(key);
    }
  }

  // A task that changed may have its file by now.
  function forget(id) {
    for (const [key, file] of files) if (file.text && split(key)[0] === id) files.delete(key);
  }

  // The address did not load: the bytes come over the connection. False if they were what did not load.
  function failed(key) {
    const streamed = files.get(key)?.streamed === true;
    if (streamed) {
      unstreamed.add(key);
      files.delete(key);
    }
    return streamed;
  }

  // Whether a file may be played at a mere glance: not if all of it would have to come first
  async function isNear(key) {
    if (files.has(key)) return Boolean(files.get(key).url);
    const [id, n] = split(key);
    const address = unstreamed.has(key) ? null : await theWay(id, n, ctx.items.get(id)?.assets?.[n] || {});
    return address !== null;
  }

  // The address of a file beside the results, if Jupyter serves it
  async function filesAddress(file) {
    const base = pageBase();
    for (const root of base ? fileRoots(ctx.header) : []) {
      const url = `${base}files/${root}/${encoded(file)}`;
      if (await answers(url, { method: 'HEAD' }, () => true)) return url;
    }
    return null;
  }

  function dispose() {
    for (const url of thumbs.values()) URL.revokeObjectURL(url);
    for (const file of files.values()) if (file.url && !file.streamed) URL.revokeObjectURL(file.url);
  }

  return {
    withThumb, takeThumbs, forgetThumbs, takeFile, source, forget, failed, isNear, filesAddress, overConnection, dispose,
    thumb: (key) => thumbs.get(key), known: (key) => files.get(key),
  };
}
