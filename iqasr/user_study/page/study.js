const at = (id) => document.getElementById(id);
const content = JSON.parse(at('content').textContent);
const hasReference = content.trials.some((trial) => trial.reference);

/** Draw a number in [0, 1) as a function of its place: a rater gets the same order and sides
 *  however often the page is loaded. (FNV-1a, mixed as in MurmurHash3.) */
function draw(...place) {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(JSON.stringify([content.study, ...place]))) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}

/** List what a rater is asked. A rater whose name ends in a number is served the stretch of
 *  questions after that of the number before; others start anywhere. */
function scheduleOf(rater) {
  const served = content.trials.filter((trial) => trial.group === 0);
  const number = /\d{1,6}$/.exec(rater);
  const start = number ? number[0] * content.perRater : Math.floor(draw(rater, 'start') * served.length);
  const own = Array.from({ length: content.perRater }, (_, i) => served[(start + i) % served.length]);
  const entry = (trial) => ({
    trial,
    repeat: false,
    order: draw(rater, 'order', trial.key),
    aFirst: draw(rater, 'side', trial.key) < 0.5,
  });
  const byOrder = (one, other) => one.order - other.order;
  const first = own.map(entry).sort(byOrder);
  const again = first.slice(0, content.repeats).map((asked) => {
    const earliest = Math.max(0.5, asked.order);
    const order = earliest + (1 - earliest) * draw(rater, 'again', asked.trial.key);
    return { ...asked, repeat: true, order, aFirst: !asked.aFirst };
  });
  const always = content.trials.filter((trial) => trial.group === 1).map(entry);
  return [...first, ...again, ...always].sort(byOrder);
}

// What the browser keeps: by rater, when they started and what they chose. The page may be open in
// several tabs: what is kept is read again before anything is added to it.

const storageKey = `iqasr-study-${content.study}`;

function stored() {
  try {
    return JSON.parse(localStorage.getItem(storageKey));
  } catch {
    return null; // a browser that keeps nothing; the welcome says so
  }
}

const kept = stored() || { current: null, raters: {} };

/** Take over what other tabs have added; tells whether this rater has gone on there. */
function takeOver() {
  const before = kept.current === null || JSON.stringify(votes());
  Object.assign(kept.raters, stored()?.raters);
  return kept.current !== null && JSON.stringify(votes()) !== before;
}

function keep() {
  try {
    localStorage.setItem(storageKey, JSON.stringify(kept));
    return true;
  } catch {
    return false;
  }
}

const votes = () => kept.raters[kept.current].votes;
const answers = () => JSON.stringify({ study: content.study, rater: kept.current, ...kept.raters[kept.current] });
const linkedRater = () => new URLSearchParams(location.hash.slice(1)).get('rater');

// Screens

function show(id) {
  for (const screen of document.querySelectorAll('main')) screen.hidden = screen.id !== id;
}

function welcome() {
  takeOver();
  kept.current = null;
  at('not-kept').hidden = keep();
  at('length').textContent = scheduleOf('').length;
  at('rater').value = linkedRater() || '';
  show('welcome');
}

let schedule = [];

function begin(rater) {
  takeOver();
  kept.current = rater;
  if (!Object.hasOwn(kept.raters, rater)) kept.raters[rater] = { started: new Date().toISOString(), votes: [] };
  schedule = scheduleOf(rater);
  proceed();
}

function proceed() {
  keep();
  if (votes().length < schedule.length) return ask(votes().length);
  at('count').textContent = schedule.length;
  at('answers').value = answers();
  at('copied').textContent = '';
  return show('end');
}

let shownAt = Infinity;
let opening;

async function ask(place) {
  const { trial, aFirst } = schedule[place];
  const keys = aFirst ? [trial.a, trial.b] : [trial.b, trial.a];
  const source = (key) => `data:image/png;base64,${content.images[key]}`;
  clearTimeout(opening);
  accept(false);
  look(false);
  at('panes').classList.add('waiting');
  at('undo').disabled = place === 0;
  at('place').textContent = `${place + 1} of ${schedule.length}`;
  Object.assign(at('progress'), { value: place, max: schedule.length });
  show('trial');
  panes.forEach((pane, i) => {
    pane.querySelector('.shown').src = source(keys[i]);
    if (trial.reference) pane.querySelector('.reference').src = source(trial.reference);
  });
  await Promise.allSettled([...document.querySelectorAll('.pane img[src]')].map((image) => image.decode()));
  if (place !== votes().length) return; // taken back meanwhile
  fit();
  at('panes').classList.remove('waiting');
  shownAt = performance.now();
  opening = setTimeout(accept, content.minSeconds * 1000, true);
}

let accepting = false;

function accept(answer) {
  accepting = answer;
  for (const button of document.querySelectorAll('.choose')) button.ariaDisabled = !answer;
}

function choose(side) {
  if (!accepting) return;
  if (takeOver()) return proceed(); // this question was answered in another tab
  const { trial, aFirst, repeat } = schedule[votes().length];
  const choice = (side === 'left') === aFirst ? 'a' : 'b';
  const seconds = Math.round(performance.now() - shownAt) / 1000;
  votes().push({ trial: trial.key, choice, side, seconds, repeat });
  proceed();
}

function undo() {
  if (!takeOver()) votes().pop();
  proceed();
}

function look(on) {
  at('panes').classList.toggle('looking', on);
}

// Keys and buttons

const actions = {
  ArrowLeft: () => choose('left'),
  ArrowUp: () => choose('left'),
  ArrowRight: () => choose('right'),
  ArrowDown: () => choose('right'),
  Backspace: undo,
  '+': () => zoomBy(1),
  '=': () => zoomBy(1),
  '-': () => zoomBy(-1),
  0: fit,
  ...(hasReference && { ' ': () => look(true) }),
};

document.addEventListener('keydown', (event) => {
  const action = actions[event.key];
  if (at('trial').hidden || !action || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  if (!event.repeat) action(); // a key held down would run through the study
});
document.addEventListener('keyup', (event) => {
  if (event.key !== ' ' || at('trial').hidden || !hasReference) return;
  event.preventDefault(); // or it would press the button that has the focus
  look(false);
});

function on(id, handlers) {
  for (const [name, handler] of Object.entries(handlers)) at(id).addEventListener(name, handler);
}

on('left', { click: () => choose('left') });
on('right', { click: () => choose('right') });
on('undo', { click: undo });
on('back', { click: undo });
on('next', { click: welcome });
on('zoom', { click: () => (view.pixels < view.fitting * 4 ? zoomBy(1) : fit()) });
const hideReference = () => look(false);
on('look', { pointerdown: () => look(true), pointerup: hideReference, pointerleave: hideReference, pointercancel: hideReference });
on('look', { contextmenu: (event) => event.preventDefault() });
on('start', {
  submit: (event) => {
    event.preventDefault();
    // The last letter: a random name must not seem to end in a number.
    begin(at('rater').value.trim() || `${Math.random().toString(36).slice(2, 10)}r`);
  },
});
on('download', {
  click: () => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([answers()], { type: 'application/json' }));
    link.download = `votes_${content.study}_${kept.current.replace(/[^\w-]+/g, '_')}.json`;
    link.click();
  },
});
on('copy', {
  click: async () => {
    at('answers').select();
    const copied = await navigator.clipboard?.writeText(answers()).then(() => true, () => false);
    at('copied').textContent = copied ? 'Copied.' : 'Not allowed here: copy the text below.';
    document.querySelector('details').open = !copied;
  },
});

for (const element of document.querySelectorAll('.about-reference')) element.hidden = !hasReference;
if (kept.current !== null && [null, kept.current].includes(linkedRater())) begin(kept.current);
else welcome();
