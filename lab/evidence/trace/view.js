// The view: the packets, lines and sockets that are shown, their heights, zoom and scroll position.
"use strict";

const ROOMY = 60; // up to this number of socket states, each gets room for its name

const MARGIN = 12; // pixels above the start of the run

const view = {
  squeezed: true, zoom: 1, scroll: 0, across: 0, width: 0, height: 0,
  shown: [], events: [], sockets: [], order: new Int32Array(count), reach: new Float64Array(0),
  first: new Float64Array(count), sightings: new Float64Array(packets.sighting[count]),
  eventY: new Float64Array(run.events.length),
  socketFrom: new Float64Array(run.sockets.length), socketTo: new Float64Array(run.sockets.length),
  bandFrom: new Float64Array(run.bands.length), bandTo: new Float64Array(run.bands.length),
  selected: null, hover: null, hits: [], hit: -1,
};

const bars = placeSockets(run.sockets);

// Updates the view after a change of filter or scale. The time at `anchor` (pixels from the top of the
// view) keeps its position.
function rebuild(anchor = 0) {
  const at = view.scale ? view.scale.timeOf(fromScreen(anchor)) : 0;
  view.shown = [];
  for (let i = 0; i < count; i++) if (packetShown(i)) view.shown.push(i);
  view.order.fill(-1);
  view.shown.forEach((i, position) => { view.order[i] = position; });
  view.events = run.events.map((_, index) => index).filter((index) => eventShown(run.events[index]));
  view.sockets = run.sockets.map((_, index) => index).filter((index) => socketShown(run.sockets[index]));
  relayout();
  view.scale = new Scale(rows(), view.squeezed, view.height);
  let reach = -Infinity;
  view.reach = Float64Array.from(view.shown, (i) => (reach = Math.max(reach, level(i))));
  if (at > 0) scrollTo(view.scale.heightOf(at) * view.zoom + MARGIN - anchor);
  else scrollTo(view.scroll);
}

function relayout() {
  view.layout = layOut(view.width, filter.kinds.has("sockets"), bars.bars, filter.kinds.has("output"));
  scrollAcross(view.across);
}

// Levels the sightings of a packet that are at the same time. Returns the greatest of its heights.
function level(i) {
  const at = packets.sighting[i], seen = packets.seen[i];
  view.first[i] = view.sightings[at];
  for (let k = 1; k < seen.length; k++) if (seen[k] <= seen[k - 1]) view.sightings[at + k] = view.sightings[at + k - 1];
  return Math.max(...view.sightings.subarray(at, at + seen.length));
}

// All rows of the scale.
function rows() {
  const all = [];
  const add = (at, columns, above, below, into, index) => all.push({ at, columns, above, below, into, index });
  for (const i of view.shown) addPacket(i, add);
  for (const index of view.events) {
    const event = run.events[index];
    if (isBeside(event.node)) add(event.at, [textColumn(event.node)], 9, 8, view.eventY, index);
    else add(event.at, "all", 14, 12, view.eventY, index);
  }
  const roomy = view.sockets.length <= ROOMY;
  for (const index of view.sockets) {
    const { from, to, node, state } = run.sockets[index];
    const columns = roomy ? [`bar ${node} ${bars.place[index]}`] : [];
    add(from, columns, 0, Math.max(state.length * 6.4 + 8, ROW + 1), view.socketFrom, index);
    add(to, columns, 0, 0, view.socketTo, index);
  }
  run.bands.forEach((band, index) => {
    if (!bandShown(band)) return;
    if (isBeside(band.node)) add(band.from, [textColumn(band.node)], 9, ROW, view.bandFrom, index);
    else add(band.from, "all", 14, 12, view.bandFrom, index);
    add(band.to, [], 0, 0, view.bandTo, index);
  });
  all.sort((one, other) => one.at - other.at);
  return all.length ? all : [{ at: run.duration, columns: [], above: 0, below: 0, into: [], index: 0 }];
}

// The rows of a packet: its first sighting has room for the label above it, and each leg for its arrow.
function addPacket(i, add) {
  const at = packets.sighting[i], legs = legsOf(i, view.layout);
  packets.seen[i].forEach((time, k) => {
    const number = legs.findIndex(({ first }) => first === k), leg = legs[number];
    if (!leg) return add(time, [], 0, 0, view.sightings, at + k);
    const above = number ? (isNamed(i, leg) ? 15 : turns(legs[number - 1], leg) ? 9 : 3) : 16;
    add(time, gapNames(leg), above, 2, view.sightings, at + k);
  });
}

function gapNames(leg) {
  const [from, to] = gapsOf(leg, view.layout);
  return Array.from({ length: to - from }, (_, index) => `gap ${from + index}`);
}

// Whether a leg goes back on the side from which the leg before it came.
function turns(before, leg) {
  const [from, middle, to] = [before.source, leg.source, leg.target].map((node) => view.layout.columns[node]?.lane);
  return (from - middle) * (to - middle) > 0;
}

// Whether an event of a node is drawn beside its lane; if not, across the picture.
function isBeside(node) {
  return Boolean(view.layout.columns[node]) && !isRouter(node);
}

// The column of a host's output: a gap if it lies between two lanes.
function textColumn(node) {
  const { position, outward } = view.layout.columns[node];
  const gap = outward < 0 ? position - 1 : position;
  return gap < 0 || gap >= view.layout.lanes.length - 1 ? `text ${node}` : `gap ${gap}`;
}

// The heights of a packet's sightings on the screen.
function heights(i) {
  const at = packets.sighting[i];
  return (sighting) => onScreen(view.sightings[at + sighting]);
}

// Converts a height of the scale to pixels below the top of the view, and back.
function onScreen(y) {
  return y * view.zoom - view.scroll + MARGIN;
}

function fromScreen(height) {
  return (height + view.scroll - MARGIN) / view.zoom;
}

// The range of view.shown that may be visible between two heights on the screen.
function shownBetween(top, bottom) {
  const from = bisect(view.reach, fromScreen(top));
  const limit = fromScreen(bottom);
  let to = from;
  let low = from, high = view.shown.length;
  while (low < high) {
    to = (low + high) >> 1;
    if (view.first[view.shown[to]] <= limit) low = to + 1;
    else high = to;
  }
  return [from, low];
}

// --- moving about --------------------------------------------------------------------------------

function totalHeight() {
  return view.scale.height * view.zoom + 2 * MARGIN;
}

function scrollTo(y) {
  view.scroll = Math.max(0, Math.min(y, totalHeight() - Math.min(view.height, totalHeight())));
  redraw();
}

function widest() {
  return Math.max(0, view.layout.total - view.layout.end);
}

// Scrolls sideways, together with the heads and the scroll bar below the picture.
function scrollAcross(x) {
  view.across = clamp(Math.round(x), 0, widest());
  moveHeads();
  redraw();
}

// Zooms so that the time at `anchor` pixels from the top keeps its position.
function zoomBy(factor, anchor = view.height / 2) {
  const least = fitting();
  const zoom = Math.max(least, Math.min(view.zoom * factor, 1e6));
  const y = fromScreen(anchor);
  view.zoom = zoom;
  scrollTo(y * zoom + MARGIN - anchor);
}

function fitting() {
  return Math.min(1, (view.height - 2 * MARGIN) / view.scale.height);
}

function fit() {
  view.zoom = fitting();
  scrollTo(0);
}

function revealAcross(x) {
  if (x === null || (x - view.across > RULER + 20 && x - view.across < view.layout.end - 40)) return;
  scrollAcross(x - (RULER + view.layout.end) / 2);
}

function reveal(y) {
  const height = onScreen(y);
  if (height < 40 || height > view.height - 40) scrollTo(y * view.zoom + MARGIN - view.height / 2);
  else redraw();
}
