'use strict';

// Zoom and pan: one view for both panes. `pixels` is the number of screen pixels that a pixel of
// the images covers, each way; (x, y) is the place in the images that is in the middle of a pane.

const panes = [...document.querySelectorAll('.pane')];
const view = { pixels: 1, fitting: 1, x: 0, y: 0 };
const density = () => window.devicePixelRatio || 1;

function fit() {
  const { naturalWidth: width, naturalHeight: height } = panes[0].querySelector('img');
  const largest = Math.min(panes[0].clientWidth / width, panes[0].clientHeight / height) * density();
  view.fitting = Math.max(1, Math.floor(largest));
  Object.assign(view, { pixels: view.fitting, x: width / 2, y: height / 2 });
  apply();
}

function apply() {
  const { naturalWidth: width, naturalHeight: height } = panes[0].querySelector('img');
  view.x = Math.min(Math.max(view.x, 0), width);
  view.y = Math.min(Math.max(view.y, 0), height);
  const start = (side, place) => Math.round((side / 2) * density() - place * view.pixels) / density();
  const corner = [start(panes[0].clientWidth, view.x), start(panes[0].clientHeight, view.y)];
  for (const image of document.querySelectorAll('.pane img')) {
    image.style.width = `${(width * view.pixels) / density()}px`;
    image.style.transform = `translate(${corner[0]}px, ${corner[1]}px)`;
  }
  at('times').textContent = Math.round((10 * view.pixels) / view.fitting) / 10;
}

/** Zoom, holding still the place under the pointer or, without one, in the middle. */
function zoomTo(pixels, pane, pointer) {
  const before = view.pixels;
  view.pixels = Math.min(Math.max(Math.round(pixels), 1), view.fitting * 8);
  if (pane) {
    const box = pane.getBoundingClientRect();
    const shift = density() / before - density() / view.pixels;
    view.x += (pointer.clientX - box.left - box.width / 2) * shift;
    view.y += (pointer.clientY - box.top - box.height / 2) * shift;
  }
  apply();
}

const zoomBy = (steps, ...where) => zoomTo(view.pixels + steps * view.fitting, ...where);

const fingers = new Map();
let pinch = null;

function spread() {
  const [one, other] = [...fingers.values()];
  return Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
}

function lift(event) {
  fingers.delete(event.pointerId);
  pinch = null;
}

for (const pane of panes) {
  let turned = 0;
  pane.addEventListener('wheel', (event) => {
    event.preventDefault();
    turned += event.deltaY;
    if (Math.abs(turned) < 40) return; // a touch pad sends many small turns
    zoomBy(-Math.sign(turned), pane, event);
    turned = 0;
  }, { passive: false });
  pane.addEventListener('pointerdown', (event) => {
    pane.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event);
    pinch = fingers.size === 2 ? { spread: spread(), pixels: view.pixels } : null;
  });
  pane.addEventListener('pointermove', (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const scale = density() / view.pixels / fingers.size;
    view.x -= (event.clientX - before.clientX) * scale;
    view.y -= (event.clientY - before.clientY) * scale;
    fingers.set(event.pointerId, event);
    zoomTo(pinch ? (pinch.pixels * spread()) / pinch.spread : view.pixels);
  });
  pane.addEventListener('pointerup', lift);
  pane.addEventListener('pointercancel', lift);
  pane.addEventListener('dblclick', fit);
}
window.addEventListener('resize', () => at('trial').hidden || fit());
