// The summary of the same results (pages.py), which stays in the saved notebook: hidden while this gallery works. After
// a reload of the page JupyterLab drops the kernel's updates to it; then people are told to show it again.

const RECHECK = 5000; // ms; the summary itself follows the results within a second or two

function createSummary(ctx, key) {
  const style = h('style');
  const note = h('p', 'kg-stale', { role: 'status' });
  const summaries = `.kiegen-summary[data-kiegen-prompt="${CSS.escape(key)}"]`;
  let timer = null;
  note.hidden = true;
  // Its place in the cell, too, which would stay as a gap; a rule of its own for browsers that cannot read it.
  const hidden = (selector) => `@media screen { ${selector} { display: none; } }`;
  style.textContent = `${hidden(summaries)}\n${hidden(`.jp-OutputArea-child:has(> .jp-OutputArea-output > ${summaries})`)}`;
  document.head.append(style);

  function draw() {
    clearTimeout(timer);
    timer = setTimeout(check, RECHECK);
  }

  function check() {
    const { version } = ctx.header;
    const old = version && [...document.querySelectorAll(summaries)].find((node) => node.dataset.kiegenVersion !== version);
    note.hidden = !old;
    note.textContent = old ? `The summary saved in this notebook is older than these results. Run ${cell(old)} again, then save.` : '';
    if (old) timer = setTimeout(check, RECHECK);
  }

  function cell(node) {
    const number = node.dataset.kiegenCell;
    return number ? `cell [${number}]` : 'its cell';
  }

  function dispose() {
    clearTimeout(timer);
    style.remove();
  }

  return { note, draw, dispose };
}
