// The gallery's code is several files that gallery.py joins to one module, in its order: none imports, the last exports.
// Whatever a person or a service wrote is set as textContent or as an attribute, never as markup.
// `ctx`, made in gallery.js, is what the parts of one view share.

const ICONS = {
  play: 'M8 5v14l11-7z',
  warn: 'M12 3 1.8 21h20.4L12 3zm-1 7h2v5h-2v-5zm0 6.5h2v2h-2v-2z',
  file: 'M6 2h8l5 5v15H6V2zm7 1.5V8h4.5',
  close: 'm6.4 5 5.6 5.6L17.6 5 19 6.4 13.4 12l5.6 5.6-1.4 1.4-5.6-5.6L6.4 19 5 17.6l5.6-5.6L5 6.4z',
  left: 'M15.4 7.4 14 6l-6 6 6 6 1.4-1.4L10.8 12z',
  right: 'm8.6 16.6 1.4 1.4 6-6-6-6-1.4 1.4 4.6 4.6z',
  plus: 'M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z',
  minus: 'M5 11h14v2H5z',
  fit: 'M4 4h6v2H6v4H4V4zm10 0h6v6h-2V6h-4V4zM4 14h2v4h4v2H4v-6zm14 0h2v6h-6v-2h4v-4z',
  info: 'M11 10h2v7h-2v-7zm0-3h2v2h-2V7zm1-5a10 10 0 1 0 0 20 10 10 0 0 0 0-20zm0 2a8 8 0 1 1 0 16 8 8 0 0 1 0-16z',
  copy: 'M8 3h11v13h-2V5H8V3zM5 7h10v14H5V7zm2 2v10h6V9H7z',
  group: 'M4 4h16v3H4V4zm0 5h7v5H4V9zm9 0h7v5h-7V9zM4 16h7v4H4v-4zm9 0h7v4h-7v-4z',
  star: 'm12 1.8 3 6.7 7.3.8-5.4 5 1.5 7.2-6.4-3.7-6.4 3.7 1.5-7.2-5.4-5 7.3-.8z',
  check: 'm9.5 17.2-5-5L6 10.7l3.5 3.5L18 5.8l1.5 1.5z',
};

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

// JupyterLab would take keys such as Enter, "edit this cell", for its own.
const OURS = { 'data-lm-suppress-shortcuts': 'true' };

function press(cls, label, onclick, ...children) {
  const node = h('button', cls, { type: 'button', ...OURS }, ...children);
  if (label) node.title = label;
  if (label) node.setAttribute('aria-label', label);
  node.onclick = onclick;
  return node;
}

// A button that rests for a moment after a click, lest it is hit twice
function pressOnce(cls, label, act, ...children) {
  const node = press(cls, label, () => {
    act();
    node.disabled = true;
    setTimeout(() => (node.disabled = false), 3000);
  }, ...children);
  return node;
}

function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const [large, small, unit] = whole < 3600 ? [whole / 60, whole % 60, 'min'] : [whole / 3600, (whole / 60) % 60, 'h'];
  return `${Math.floor(large)}:${String(Math.floor(small)).padStart(2, '0')} ${unit}`;
}

// How long a task still takes is a guess; it is not told to the second.
function about(seconds) {
  if (seconds < 10) return `${Math.max(1, Math.round(seconds))} s`;
  return duration(seconds < 60 ? Math.round(seconds / 5) * 5 : Math.round(seconds / 10) * 10);
}

// Straight up to nine tenths; a task that takes longer than expected creeps on from there.
function share(elapsed, expected) {
  const part = Math.max(0, elapsed) / expected;
  return part <= 0.9 ? part : 0.9 + 0.09 * (1 - Math.exp(2 * (0.9 - part)));
}

function many(number, word) {
  return `${number.toLocaleString('en')} ${word}${number === 1 ? '' : 's'}`;
}

function bytes(size) {
  if (size < 1e6) return `${Math.max(1, Math.round(size / 1e3))} KB`;
  return size < 1e9 ? `${(size / 1e6).toFixed(1)} MB` : `${(size / 1e9).toFixed(2)} GB`;
}

// A grid's results differ in what its labels say, not in their words.
function title(item) {
  return item.label || item.prompt || item.of || '';
}

// What a reader calls a task: its words, else its model
function called(item) {
  return title(item) || item.model || item.id;
}

function split(key) {
  const cut = key.lastIndexOf('/');
  return [key.slice(0, cut), Number(key.slice(cut + 1))];
}

function unbroken(words) {
  return words.map((word) => word.split(' ').join('\u00a0')).join('\u00a0· ');
}

async function toClipboard(text, near) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without the permission, or on a page that is not secure
    const field = h('textarea', 'kg-live', {}, text);
    near.append(field);
    field.select();
    const copied = document.execCommand('copy');
    field.remove();
    return copied;
  }
}
