// The summary of the same group (pages.py), which stays in the saved notebook: hidden while this gallery works. After
// a reload of the page JupyterLab drops the kernel's updates to it; then people are told to show it again.

const RECHECK = 5000; // ms; the summary itself follows the results within a second or two

function createSummary(ctx) {
  const style = h('style');
  const note = h('p', 'kg-stale', { role: 'status' });
  let timer = null;
  note.hidden = true;

  const summaries = () => `.kiegen-summary[data-kiegen-prompt="${CSS.escape(ctx.header.group)}"]`;

  function draw() {
    clearTimeout(timer);
    if (ctx.header.group === undefined) return;
    style.textContent = `@media screen { ${summaries()} { display: none; } }`;
    if (!style.isConnected) document.head.append(style);
    timer = setTimeout(check, RECHECK);
  }

  function check() {
    const { version } = ctx.header;
    const old = version && [...document.querySelectorAll(summaries())].some((node) => node.dataset.kiegenVersion !== version);
    note.hidden = !old;
    note.textContent = old ? 'The summary saved in this notebook is older than these results. Run its cell again, then save.' : '';
    if (old) timer = setTimeout(check, RECHECK);
  }

  function dispose() {
    clearTimeout(timer);
    style.remove();
  }

  return { note, draw, dispose };
}
