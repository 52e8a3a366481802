// Zoom and pan of what is on the lightbox's stage; two pictures side by side move as one.

const LARGEST_ZOOM = 12;

function createZoom(stage, changed) {
  let scale = 1;
  let x = 0; // CSS pixels the middle is moved
  let y = 0;
  let drag = null;
  let moved = false;

  const frames = () => [...stage.querySelectorAll('.kg-frame')];
  const can = () => stage.querySelector('.kg-zooms') !== null;

  function draw() {
    const box = frames()[0]?.getBoundingClientRect() || { width: 0, height: 0 };
    const limit = (size) => (size * (scale - 1)) / 2;
    x = Math.max(-limit(box.width), Math.min(limit(box.width), x));
    y = Math.max(-limit(box.height), Math.min(limit(box.height), y));
    stage.style.setProperty('--kg-zoom', `translate(${x}px, ${y}px) scale(${scale})`);
    stage.classList.toggle('kg-zoomed', scale > 1);
    changed(scale);
  }

  // Zoom so that the point under the pointer stays where it is
  function zoomTo(wanted, at = null) {
    if (!can()) return;
    const next = Math.max(1, Math.min(LARGEST_ZOOM, wanted));
    const frame = at?.target.closest?.('.kg-frame') || frames()[0];
    const box = frame.getBoundingClientRect();
    const dx = at ? at.clientX - box.left - box.width / 2 : 0;
    const dy = at ? at.clientY - box.top - box.height / 2 : 0;
    x = dx - ((dx - x) * next) / scale;
    y = dy - ((dy - y) * next) / scale;
    scale = next;
    draw();
  }

  function reset() {
    scale = 1;
    x = y = 0;
    draw();
  }

  stage.addEventListener('wheel', (event) => {
    if (!can()) return;
    event.preventDefault();
    const step = event.deltaMode === 1 ? event.deltaY * 16 : event.deltaY;
    zoomTo(scale * Math.exp(-Math.max(-120, Math.min(120, step)) * 0.003), event);
  }, { passive: false });

  stage.ondblclick = (event) => {
    // While zoomed the pointer is the stage's own.
    if (scale > 1) reset();
    else if (event.target.closest('.kg-frame')) zoomTo(2.5, event);
  };

  stage.onpointerdown = (event) => {
    moved = false;
    if (scale === 1 || event.button !== 0 || !event.target.closest('.kg-zooms')) return;
    // The click that ends it is the stage's then, which would close the lightbox.
    moved = true;
    drag = { x: event.clientX - x, y: event.clientY - y };
    stage.setPointerCapture(event.pointerId);
  };
  stage.onpointermove = (event) => {
    if (!drag) return;
    x = event.clientX - drag.x;
    y = event.clientY - drag.y;
    draw();
  };
  stage.onpointerup = stage.onpointercancel = () => (drag = null);

  return {
    reset, can, draw,
    by: (factor) => zoomTo(scale * factor),
    moved: () => moved,
  };
}
