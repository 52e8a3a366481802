// The lightbox: a modal dialog, so that no transformed or clipped ancestor of the output can cut it.

const LONGEST_TEXT = 200000; // characters of a text file that are shown

function createLightbox(ctx) {
  const { media } = ctx;
  let keys = []; // one 'id/n', or two side by side
  let wide = true; // whether the details are shown
  let quiet = true; // whether films are, until somebody turns the sound on
  const stage = h('div', 'kg-stage');
  const caption = h('p', 'kg-caption');
  const place = h('span', 'kg-place');
  const scale = h('span', 'kg-place');
  const less = press('kg-round', 'Smaller (-)', () => zoom.by(1 / 1.4), icon('minus'));
  const more = press('kg-round', 'Larger (+)', () => zoom.by(1.4), icon('plus'));
  const fit = press('kg-round', 'Whole picture (f)', () => zoom.reset(), icon('fit'));
  const zooms = h('span', 'kg-zoom', {}, less, scale, more, fit);
  const stars = h('span');
  const info = press('kg-round', 'Details (i)', () => toggleSide(), icon('info'));
  const save = h('a', 'kg-save', {}, 'Save');
  const previous = press('kg-round kg-previous', 'Previous', () => move(-1), icon('left'));
  const next = press('kg-round kg-next', 'Next', () => move(1), icon('right'));
  const close = press('kg-round kg-close', 'Close', () => dialog.close(), icon('close'));
  const details = createDetails(ctx);
  const head = h('div', 'kg-bar', {}, caption, place, stars, zooms, save, info, close);
  const desk = h('div', 'kg-desk', {}, h('div', 'kg-well', {}, stage, previous, next), details.side);
  const dialog = h('dialog', 'kg-box', { 'aria-label': 'Full size', ...OURS }, head, desk);
  const zoom = createZoom(stage, (factor) => {
    scale.textContent = `${Math.round(factor * 100)} %`;
    less.disabled = fit.disabled = factor === 1;
  });

  const itemOf = (key) => ctx.items.get(split(key)[0]);
  const assetOf = (key) => itemOf(key)?.assets?.[split(key)[1]];

  function pages() {
    const found = [];
    for (const id of ctx.list.shown()) {
      (ctx.items.get(id)?.assets || []).forEach((asset, n) => {
        if (asset.name && asset.kind !== 'audio') found.push(`${id}/${n}`);
      });
    }
    return found;
  }

  function open(wanted) {
    keys = wanted;
    wide = window.innerWidth > 900;
    dialog.showModal();
    show();
    close.focus();
  }

  function show() {
    const all = pages();
    stage.replaceChildren(...keys.map((key) => h('figure', 'kg-view', { 'data-key': key }, h('div', 'kg-frame'))));
    stage.classList.toggle('kg-two', keys.length > 1);
    zoom.reset();
    caption.textContent = keys.length > 1 ? 'Side by side' : title(itemOf(keys[0])) || assetOf(keys[0]).name;
    place.textContent = keys.length === 1 && all.length > 1 ? `${all.indexOf(keys[0]) + 1} of ${all.length}` : '';
    previous.hidden = next.hidden = keys.length > 1 || all.length < 2;
    info.hidden = keys.length > 1;
    drawSide();
    for (const key of keys) drawView(key);
  }

  function drawSide() {
    const alone = keys.length === 1;
    desk.classList.toggle('kg-wide', alone && wide);
    details.side.hidden = !(alone && wide);
    info.setAttribute('aria-pressed', String(alone && wide));
    const rated = alone && ctx.rating.stars(itemOf(keys[0]));
    // A patch must not take the focus away.
    if (!stars.contains(ctx.focused())) stars.replaceChildren(...(rated ? [rated] : []));
    if (alone && wide) details.show(...split(keys[0]));
    else details.show(null, null);
  }

  function toggleSide() {
    if (keys.length !== 1) return;
    wide = !wide;
    drawSide();
  }

  async function drawView(key) {
    put(key, null);
    const file = media.known(key) || (await media.source(key));
    if (!keys.includes(key) || !dialog.open) return;
    put(key, file);
    lookAhead();
  }

  function put(key, file) {
    const view = [...stage.children].find((node) => node.dataset.key === key);
    const item = itemOf(key);
    const asset = assetOf(key);
    if (!view || !asset) return;
    view.setAttribute('aria-busy', String(!file));
    view.firstChild.replaceChildren(...full(title(item) || asset.name, asset, file, key));
    if (keys.length > 1) {
      view.replaceChildren(view.firstChild, h('figcaption', '', {}, h('span', '', {}, called(item)), h('span', 'kg-facts', {}, unbroken(item.facts))));
    }
    zooms.hidden = !zoom.can();
    save.hidden = keys.length > 1 || !file?.url;
    if (file?.url) Object.assign(save, { href: file.url, download: file.name });
  }

  // The bytes come another way if the address does not load; a file no way brings is said to be one.
  function onFail(key) {
    if (media.failed(key)) drawView(key);
    else put(key, { ...media.known(key), text: 'This browser cannot show the file. Save it, or open it where it is.' });
  }

  function full(alt, asset, file, key) {
    const poster = media.thumb(asset.thumb);
    const loading = h('p', 'kg-problem', {}, 'Loading…');
    if (file?.text) return [h('p', 'kg-problem', { role: 'alert' }, file.text)];
    if (asset.kind === 'image') {
      const img = h('img', 'kg-full kg-zooms', { src: file?.url || poster, alt, draggable: 'false' });
      img.classList.toggle('kg-soft', !file);
      // The full picture's place is taken at once, so that nothing jumps when its bytes arrive.
      if (asset.width && asset.height) {
        img.width = asset.width;
        img.style.aspectRatio = `${asset.width} / ${asset.height}`;
      }
      if (!file) return [img];
      // The small picture stays behind it until then, so that nothing turns black.
      if (poster) img.style.background = `center / contain no-repeat url("${poster}")`;
      img.onload = () => (img.style.background = '');
      img.onerror = () => onFail(key);
      return [img];
    }
    if (isFilm(asset) || asset.kind === 'audio') {
      const player = h(asset.kind, 'kg-full', { controls: '', loop: '', playsinline: '', poster, src: file?.url, 'aria-label': alt });
      // The controls lie on the film, not below it at the window's edge.
      if (asset.width && asset.height) Object.assign(player.style, { height: 'auto', aspectRatio: `${asset.width} / ${asset.height}` });
      player.autoplay = true;
      // Several at once would be a noise.
      player.muted = keys.length > 1 || (quiet && isFilm(asset));
      player.onvolumechange = () => {
        if (keys.length === 1) quiet = player.muted;
      };
      if (file) player.onerror = () => onFail(key);
      return file ? [player] : [player, loading];
    }
    if (!file) return [loading];
    const text = h('pre', 'kg-text', { tabindex: '0' }, isWords(asset) ? 'Loading…' : asset.name);
    if (isWords(asset)) {
      const take = (words) => (text.textContent = words.slice(0, LONGEST_TEXT));
      fetch(file.url).then((answer) => (answer.ok ? answer.text() : Promise.reject(answer))).then(take).catch(() => onFail(key));
    }
    return [text];
  }

  // The next picture is fetched while this one is looked at, where that costs the kernel nothing.
  async function lookAhead() {
    const all = pages();
    const key = keys.length === 1 && all[(all.indexOf(keys[0]) + 1) % all.length];
    if (!key || !media.known(keys[0])?.streamed || assetOf(key)?.kind !== 'image') return;
    const file = await media.source(key);
    if (file.streamed) new Image().src = file.url;
  }

  function move(step) {
    const all = pages();
    if (keys.length !== 1 || all.length < 2) return;
    keys = [all[(all.indexOf(keys[0]) + step + all.length) % all.length]];
    show();
  }

  // Cards changed: what is shown may be another file by now, or gone
  function update(ids) {
    if (!dialog.open) return;
    if (keys.some((key) => !assetOf(key)?.name)) return dialog.close();
    const [id] = split(keys[0]);
    if (ids.includes(id)) drawSide();
  }

  dialog.onclick = (event) => {
    const beside = event.target === dialog || event.target.matches('.kg-stage, .kg-view, .kg-frame, .kg-well');
    if (beside && !zoom.moved()) dialog.close();
  };

  dialog.onkeydown = (event) => {
    event.stopPropagation();
    const { target, key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const playing = target.tagName === 'VIDEO' || target.tagName === 'AUDIO';
    if (key === 'Escape') dialog.close();
    else if (key === 'Tab') return trap(event);
    else if (key === 'ArrowLeft' && !playing) move(-1);
    else if (key === 'ArrowRight' && !playing) move(1);
    else if (key === '+' || key === '=') zoom.by(1.4);
    else if (key === '-' || key === '_') zoom.by(1 / 1.4);
    else if (key === 'f') zoom.reset();
    else if (/^[0-5]$/.test(key) && keys.length === 1) ctx.rating.rate(split(keys[0])[0], Number(key));
    else if (key === 'i') toggleSide();
    else return;
    event.preventDefault();
  };

  dialog.onclose = () => {
    const opener = keys[0];
    keys = [];
    stage.replaceChildren();
    details.show(null, null);
    const node = opener && ctx.list.build(split(opener)[0]);
    if (!node) return;
    ([...node.querySelectorAll('.kg-pic')].find((button) => button.dataset.key === opener) || node).focus();
  };

  function trap(event) {
    const all = [...dialog.querySelectorAll('button, a[href], video, audio, pre, input, textarea, [role=slider]')].filter((stop) => !stop.disabled && stop.getClientRects().length);
    if (event.shiftKey) all.reverse();
    if (ctx.focused() !== all[all.length - 1]) return;
    event.preventDefault();
    all[0].focus();
  }

  return { dialog, open, update, take: details.take, isOpen: () => dialog.open, close: () => dialog.close() };
}
