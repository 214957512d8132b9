'use strict';

const data = JSON.parse(document.getElementById('data').textContent);
const arrows = { higher: ' ↑', lower: ' ↓' };
const cell = (row, index) => row.cells[index].textContent.trim();
const value = (row, index) => parseFloat(cell(row, index));
const named = (root, name) => root.querySelector(`[name="${name}"]`);
const fill = (select, texts) => select.replaceChildren(...texts.map((text, i) => new Option(text, i)));

function assemble(node, attributes, ...children) {
  for (const [key, text] of Object.entries(attributes)) node.setAttribute(key, text);
  node.append(...children);
  return node;
}
const element = (tag, attributes = {}, ...children) => assemble(document.createElement(tag), attributes, ...children);
const drawing = (tag, attributes, ...children) =>
  assemble(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, ...children);

function sortBy(heading) {
  const table = heading.closest('table');
  const column = heading.cellIndex;
  const descending = heading.ariaSort === 'ascending';
  const sign = descending ? -1 : 1;
  const compare = (a, b) => {
    if (column < 2) return sign * cell(a, column).localeCompare(cell(b, column), 'en', { numeric: true });
    const [x, y] = [value(a, column), value(b, column)];
    return isNaN(x) || isNaN(y) ? isNaN(x) - isNaN(y) : sign * (x - y); // no value comes last
  };
  const rows = [...table.tBodies[0].rows].sort(compare);
  table.tBodies[0].append(...rows);
  for (const other of heading.parentNode.cells) other.ariaSort = 'none';
  heading.ariaSort = descending ? 'descending' : 'ascending';
}

function ticks(low, high) {
  const step = 10 ** Math.floor(Math.log10(high - low));
  const width = [2, 1, 0.5, 0.25].map(n => n * step).find(w => (high - low) / w >= 3);
  const first = Math.ceil(low / width);
  return Array.from({ length: Math.floor(high / width) - first + 1 }, (_, i) => (first + i) * width);
}

function range(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = (high - low || Math.abs(high) || 1) * 0.12;
  return [low - margin, high + margin];
}

// Draws points (with the names of the runs) or lines; series: [{run, points: [[x, y], ...]}].
function chart(target, series, [xLabel, yLabel], lines) {
  const width = Math.min(680, Math.max(300, target.clientWidth));
  const [height, left, bottom, top] = [width * 0.6, 56, 44, 24];
  const points = series.flatMap(s => s.points);
  target.replaceChildren();
  if (!points.length) return target.append(element('p', {}, 'There are no values for this choice.'));
  const [x0, x1] = range(points.map(p => p[0]));
  const [y0, y1] = range(points.map(p => p[1]));
  const x = v => left + (v - x0) / (x1 - x0) * (width - left - 8);
  const y = v => height - bottom - (v - y0) / (y1 - y0) * (height - bottom - top);
  const label = `${yLabel} against ${xLabel}`;
  const svg = drawing('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label });
  const draw = (...what) => svg.append(drawing(...what));
  const short = v => String(+v.toPrecision(6));
  const shortened = name => name.length > 24 ? `${name.slice(0, 12)}…${name.slice(-11)}` : name;
  for (const v of ticks(x0, x1)) {
    draw('line', { x1: x(v), x2: x(v), y1: top, y2: height - bottom, class: 'grid' });
    draw('text', { x: x(v), y: height - bottom + 16, 'text-anchor': 'middle', class: 'quiet' }, short(v));
  }
  for (const v of ticks(y0, y1)) {
    draw('line', { x1: left, x2: width - 8, y1: y(v), y2: y(v), class: 'grid' });
    draw('text', { x: left - 6, y: y(v) + 4, 'text-anchor': 'end', class: 'quiet' }, short(v));
  }
  draw('text', { x: width - 8, y: height - 8, 'text-anchor': 'end' }, xLabel);
  draw('text', { x: 4, y: 12 }, yLabel);
  let above = -Infinity; // labels of points are pushed down where they would overlap
  const ordered = lines ? series : [...series].sort((a, b) => b.points[0][1] - a.points[0][1]);
  for (const { run, points } of ordered) {
    if (lines) {
      const path = points.map(p => `${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join(' ');
      draw('polyline', { points: path, class: `curve run-${run % 8}` });
      continue;
    }
    const [px, py] = [x(points[0][0]), y(points[0][1])];
    const flipped = px > width / 2;
    above = Math.max(py + 4, above + 14);
    draw('circle', { cx: px, cy: py, r: 5, class: `run-${run % 8}` });
    draw('text', { x: px + (flipped ? -9 : 9), y: above, 'text-anchor': flipped ? 'end' : 'start' }, shortened(data.runs[run]));
  }
  target.append(svg);
  const legend = series.map(s => element('span', { class: `run-${s.run % 8}` }, data.runs[s.run]));
  if (lines) target.append(element('div', { class: 'legend' }, ...legend));
}

function setUp(section, { better, means }) {
  const control = name => named(section, name);
  const label = metric => better[metric][0].toUpperCase() + (arrows[better[metric][1]] ?? '');
  const rows = [...section.querySelectorAll('.images tbody tr')];

  function tradeoff() {
    const [x, y] = ['x', 'y'].map(name => +control(name).value);
    const series = means
      .map((m, run) => ({ run, points: [[m[x], m[y]]] }))
      .filter(s => s.points[0].every(v => v !== null));
    chart(section.querySelector('.tradeoff'), series, [label(x), label(y)], false);
  }

  function listing(title, chosen, run, column) {
    const items = chosen.map(row => {
      const item = element('li', {}, `${cell(row, 0)}: ${cell(row, column)}`);
      const view = section.querySelector(`.pictures[data-image="${row.dataset.image}"] .view`);
      if (!view) return item;
      const copies = [data.baseline, run].map(v => view.querySelector(`[data-version="${v}"]`));
      const button = element('button', { class: 'compare' }, 'Compare');
      button.addEventListener('click', () => openViewer(view, data.baseline, run));
      const pictures = copies.filter(Boolean).map(figure => figure.cloneNode(true));
      item.append(' ', button, element('div', { class: 'strip' }, ...pictures));
      return item;
    });
    return element('div', {}, element('h4', {}, title), element('ol', {}, ...items));
  }

  function extremes() {
    const [run, metric] = [data.runs.indexOf(control('run').value), +control('metric').value];
    const column = 3 + 2 * metric;
    const sign = better[metric][1] === 'lower' ? -1 : 1;
    const gain = row => sign * value(row, column);
    const sorted = rows.filter(r => +r.dataset.run === run && !isNaN(gain(r))).sort((a, b) => gain(a) - gain(b));
    const count = Math.min(3, Math.ceil(sorted.length / 2));
    const [worst, best] = better[metric][1] ? ['Worst', 'Best'] : ['Lowest', 'Highest'];
    const about = `: ${data.runs[run]}, Δ ${label(metric)}`;
    section.querySelector('.extremes').replaceChildren(
      listing(worst + about, sorted.slice(0, count), run, column),
      listing(best + about, sorted.reverse().slice(0, Math.min(count, sorted.length - count)), run, column),
    );
  }

  section.querySelectorAll('thead button').forEach(button =>
    button.addEventListener('click', () => sortBy(button.parentNode)));
  control('shown')?.addEventListener('change', event => {
    for (const row of rows) row.hidden = event.target.value !== '' && row.dataset.run !== event.target.value;
  });
  for (const [names, draw] of [[['x', 'y'], tradeoff], [['run', 'metric'], extremes]]) {
    if (!control(names[0])) continue;
    names.forEach(name => control(name).addEventListener('change', draw));
    draw();
  }
  section.querySelectorAll('.pictures .view').forEach(view => {
    const other = data.runs.length > 1 ? +(data.baseline === 0) : data.runs.length;
    view.querySelector('.compare').addEventListener('click', () => openViewer(view, data.baseline, other));
    view.querySelectorAll('figure').forEach(figure => figure.addEventListener('click', () => {
      const version = +figure.dataset.version;
      openViewer(view, data.baseline, version === data.baseline ? other : version);
    }));
  });
}

// Viewer: two versions over each other or side by side, zoomed and moved together.
const viewer = document.getElementById('viewer');
const stage = viewer.querySelector('.stage');
const panes = [...stage.querySelectorAll('.pane')];
const place = { zoom: 1, x: 0, y: 0 }; // x, y: what part of the image is in the middle, in its pixels

function openViewer(view, left, right) {
  viewer.querySelector('h2').textContent =
    `${view.parentNode.querySelector('h4').textContent}, ${view.querySelector('p').firstChild.textContent.trim()}`;
  const figures = [...view.querySelectorAll('figure')];
  [['left', left], ['right', right]].forEach(([name, version], side) => {
    const select = named(viewer, name);
    fill(select, figures.map(f => f.querySelector('figcaption').textContent));
    select.selectedIndex = Math.max(0, figures.findIndex(f => +f.dataset.version === version));
    select.onchange = () => {
      panes[side].firstElementChild.src = figures[select.selectedIndex].querySelector('img').src;
      panes[side].firstElementChild.alt = select.selectedOptions[0].text;
    };
    select.onchange();
  });
  viewer.showModal();
  stage.focus();
  Promise.all(panes.map(p => p.firstElementChild.decode())).then(fit);
}

function show() {
  const beside = named(viewer, 'beside').checked;
  const split = named(viewer, 'split');
  stage.classList.toggle('beside', beside);
  split.disabled = beside;
  stage.style.setProperty('--split', `${split.value}%`);
  panes[1].style.clipPath = beside ? 'none' : `inset(0 0 0 ${split.value}%)`;
  for (const pane of panes)
    pane.firstElementChild.style.transform = `scale(${place.zoom}) translate(${-place.x}px, ${-place.y}px)`;
}

function fit() {
  const image = panes[0].firstElementChild;
  place.zoom = Math.min(panes[0].clientWidth / image.naturalWidth, panes[0].clientHeight / image.naturalHeight);
  [place.x, place.y] = [image.naturalWidth / 2, image.naturalHeight / 2];
  show();
}

function zoom(factor) {
  place.zoom = Math.min(32, Math.max(0.25, place.zoom * factor));
  show();
}

function move(dx, dy) {
  const image = panes[0].firstElementChild;
  place.x = Math.min(image.naturalWidth, Math.max(0, place.x - dx / place.zoom));
  place.y = Math.min(image.naturalHeight, Math.max(0, place.y - dy / place.zoom));
  show();
}

named(viewer, 'split').addEventListener('input', show);
named(viewer, 'beside').addEventListener('change', () => { show(); fit(); });
named(viewer, 'in').addEventListener('click', () => zoom(1.5));
named(viewer, 'out').addEventListener('click', () => zoom(1 / 1.5));
named(viewer, 'fit').addEventListener('click', fit);
stage.addEventListener('wheel', event => {
  event.preventDefault();
  zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2);
}, { passive: false });
stage.addEventListener('pointerdown', event => stage.setPointerCapture(event.pointerId));
stage.addEventListener('pointermove', event => {
  if (stage.hasPointerCapture(event.pointerId)) move(event.movementX, event.movementY);
});
stage.addEventListener('keydown', event => {
  const steps = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };
  const factors = { '+': 1.5, '=': 1.5, '-': 1 / 1.5 };
  if (event.key in steps) move(...steps[event.key]);
  else if (event.key in factors) zoom(factors[event.key]);
  else return;
  event.preventDefault();
});

document.querySelectorAll('.set').forEach((section, i) => setUp(section, data.sets[i]));
const tag = document.querySelector('[name="tag"]');
if (tag) {
  const tags = [...new Set(data.curves.flatMap(Object.keys))];
  fill(tag, tags);
  const draw = () => chart(
    document.querySelector('.curves'),
    data.curves.map((c, run) => ({ run, points: c[tags[tag.value]] ?? [] })).filter(s => s.points.length),
    ['iteration', tags[tag.value]], true);
  tag.addEventListener('change', draw);
  draw();
}
