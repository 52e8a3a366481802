// A small picture of a file, drawn by the browser itself; the whole one is let go at once.

const GLANCE = 112; // pixels a side, twice what is shown

Object.assign(ICONS, {
  upload: 'M11 16V7.8L8.4 10.4 7 9l5-5 5 5-1.4 1.4L13 7.8V16h-2zm-6 4v-5h2v3h10v-3h2v5H5z',
  picture: 'M4 4h16v16H4V4zm2 2v9.6l3.5-3.5 4 4 2.2-2.2 2.3 2.3V6H6zm9 2.2a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6z',
  film: 'M3 5h18v14H3V5zm2 2v2h2V7H5zm0 4v2h2v-2H5zm0 4v2h2v-2H5zm12-8v2h2V7h-2zm0 4v2h2v-2h-2zm0 4v2h2v-2h-2z',
  sound: 'M11 5v14l-5-4H3V9h3l5-4zm3.5 3a5 5 0 0 1 0 8l-1.2-1.5a3 3 0 0 0 0-5L14.5 8z',
});

function kindOf(file) {
  return file.type.split('/')[0];
}

function until(node, event, seconds) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(reject, seconds * 1000);
    const end = (how) => () => (clearTimeout(late), how());
    node.addEventListener(event, end(resolve), { once: true });
    node.addEventListener('error', end(reject), { once: true });
  });
}

function draw(source, width, height) {
  if (!width || !height) return null;
  const part = Math.min(1, GLANCE / Math.min(width, height));
  const canvas = h('canvas', 'ku-glance', { 'aria-hidden': 'true' });
  canvas.width = Math.max(1, Math.round(width * part));
  canvas.height = Math.max(1, Math.round(height * part));
  canvas.getContext('2d').drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}

// Resolves with a canvas, or null where this browser cannot show the file
async function makeGlance(file) {
  const kind = kindOf(file);
  if (kind !== 'image' && kind !== 'video') return null;
  const url = URL.createObjectURL(file);
  const node = document.createElement(kind === 'image' ? 'img' : 'video');
  try {
    if (kind === 'image') {
      node.src = url;
      await until(node, 'load', 30);
      return draw(node, node.naturalWidth, node.naturalHeight);
    }
    node.muted = true;
    node.preload = 'auto';
    node.src = url;
    await until(node, 'loadeddata', 30);
    // The very first frame is often black.
    node.currentTime = Math.min(0.5, (node.duration || 0) / 4);
    await until(node, 'seeked', 10);
    return draw(node, node.videoWidth, node.videoHeight);
  } catch {
    return null;
  } finally {
    node.removeAttribute('src');
    URL.revokeObjectURL(url);
  }
}
