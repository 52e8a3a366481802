// Brings a widget's code from the kernel, so that it is in no saved state; the messages are listed in loading.py.

const PATIENCE = 2500; // ms without an answer until the notice

// One copy for every widget of the page, under the code's own key
const PLACE = Symbol.for('kiegen_nb.code');
const loaded = globalThis[PLACE] || (globalThis[PLACE] = new Map());

async function prepare({ esm, css }) {
  const url = URL.createObjectURL(new Blob([esm], { type: 'text/javascript' }));
  try {
    return { module: await import(url), css };
  } finally {
    URL.revokeObjectURL(url);
  }
}

function notice(el, text) {
  const node = document.createElement('p');
  node.className = 'kiegen-notice';
  node.setAttribute('role', 'status');
  node.style.cssText = 'margin:0;padding:6px 10px;font:13px/1.45 var(--jp-ui-font-family,system-ui,sans-serif);color:var(--jp-ui-font-color2,#666)';
  node.textContent = text;
  el.replaceChildren(node);
}

function render({ model, el }) {
  const key = model.get('code_key');
  let begun = false;
  let over = false;
  let finish = null;

  async function begin(code) {
    if (begun || over) return;
    begun = true;
    stop();
    try {
      const { module, css } = await code;
      if (over) return;
      const style = document.createElement('style');
      style.textContent = css;
      el.replaceChildren(style);
      finish = await module.default.render({ model, el });
      if (over) finish?.();
    } catch (error) {
      loaded.delete(key);
      notice(el, `This ${model.get('shows')} cannot be shown here: ${error.message}`);
    }
  }

  function onMessage(message) {
    if (message.type !== 'code' || message.key !== key) return;
    if (!loaded.has(key)) loaded.set(key, prepare(message));
    begin(loaded.get(key));
  }

  const late = setTimeout(() => notice(el, `Run the cell that shows this ${model.get('shows')}. While the kernel is busy, this waits for it.`), PATIENCE);
  const stop = () => {
    clearTimeout(late);
    model.off('msg:custom', onMessage);
  };
  model.on('msg:custom', onMessage);
  if (loaded.has(key)) begin(loaded.get(key));
  else model.send({ type: 'code' });
  return () => {
    over = true;
    stop();
    finish?.();
  };
}

export default { render };
