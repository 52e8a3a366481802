// A button that shows the call as text and copies it. The kernel makes the text, so the click asks for it first.

function render({ model, el }) {
  const view = Math.random().toString(36).slice(2);
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'kc-button';
  button.textContent = 'Copy as Python';
  const text = document.createElement('textarea');
  text.className = 'kc-text';
  text.readOnly = true;
  text.spellcheck = false;
  text.setAttribute('aria-label', 'The call in Python');
  // JupyterLab would take keys such as Enter for its own.
  text.setAttribute('data-lm-suppress-shortcuts', 'true');
  const said = document.createElement('span');
  said.className = 'kc-said';
  said.setAttribute('role', 'status');
  el.classList.add('kc');
  el.append(button, said, text);

  function draw() {
    text.value = model.get('text');
    text.hidden = !text.value;
    text.rows = text.value.split('\n').length + 1;
    if (!text.value) said.textContent = '';
  }

  function onMessage(message) {
    if (message.type !== 'copy' || message.view !== view) return;
    draw();
    const selected = () => {
      text.focus();
      text.select();
      said.textContent = document.execCommand('copy') ? 'Copied' : 'Press Ctrl+C to copy';
    };
    if (!navigator.clipboard) selected();
    else navigator.clipboard.writeText(message.text).then(() => (said.textContent = 'Copied'), selected);
  }

  button.onclick = () => model.send({ type: 'copy', view });
  model.on('change:text', draw);
  model.on('msg:custom', onMessage);
  draw();
  return () => {
    model.off('change:text', draw);
    model.off('msg:custom', onMessage);
  };
}

export default { render };
