// The view: the packets, lines and sockets that are shown, their heights, zoom and scroll position.
"use strict";

const ROOMY = 60; // up to this number of socket states, each gets room for its name

const MARGIN = 12; // pixels above the start of the run

const view = {
  squeezed: true, zoom: 1, scroll: 0, width: 0, height: 0,
  shown: [], events: [], sockets: [], order: new Int32Array(count), reach: new Float64Array(0),
  first: new Float64Array(count), second: new Float64Array(count),
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
  view.scale = new Scale(rows(), view.squeezed, view.height);
  let reach = -Infinity;
  view.reach = Float64Array.from(view.shown, (i) => (reach = Math.max(reach, view.first[i], view.second[i])));
  relayout();
  if (at > 0) scrollTo(view.scale.heightOf(at) * view.zoom + MARGIN - anchor);
  else scrollTo(view.scroll);
}

function relayout() {
  view.layout = layOut(view.width, filter.kinds.has("sockets"), bars.bars, filter.kinds.has("output"));
}

// All rows of the scale.
function rows() {
  const all = [];
  const add = (at, column, above, below, into, index) => all.push({ at, column, above, below, into, index });
  for (const i of view.shown) {
    const [near, far] = packets.route[i] % 2 ? ["right", "left"] : ["left", "right"];
    const first = firstSeen(i), last = lastSeen(i);
    const unsent = packets.marks[i] & UNSENT;
    add(first, unsent ? far : near, 16, 2, view.first, i);
    if (last > first) add(last, far, 3, 2, view.second, i);
    else view.second[i] = -1;
  }
  for (const index of view.events) {
    const event = run.events[index];
    const beside = event.node >= 0 && run.nodes[event.node].side !== "router";
    if (beside) add(event.at, `text ${event.node}`, 9, 8, view.eventY, index);
    else add(event.at, "all", 14, 12, view.eventY, index);
  }
  const roomy = view.sockets.length <= ROOMY;
  for (const index of view.sockets) {
    const { from, to, node, state } = run.sockets[index];
    const column = roomy ? `bar ${node} ${bars.place[index]}` : null;
    add(from, column, 0, Math.max(state.length * 6.4 + 8, ROW + 1), view.socketFrom, index);
    add(to, column, 0, 0, view.socketTo, index);
  }
  if (filter.kinds.has("faults")) run.bands.forEach((band, index) => {
    const beside = run.nodes[band.node] && run.nodes[band.node].side !== "router";
    if (beside) add(band.from, `text ${band.node}`, 9, ROW, view.bandFrom, index);
    else add(band.from, "all", 14, 12, view.bandFrom, index);
    add(band.to, null, 0, 0, view.bandTo, index);
  });
  all.sort((one, other) => one.at - other.at);
  return all.length ? all : [{ at: run.duration, column: null, above: 0, below: 0, into: [], index: 0 }];
}

// The heights on the screen at which a packet was seen first and last; the same if it was seen once.
function heights(i) {
  const first = onScreen(view.first[i]);
  return [first, view.second[i] < 0 ? first : onScreen(view.second[i])];
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

function reveal(y) {
  const height = onScreen(y);
  if (height < 40 || height > view.height - 40) scrollTo(y * view.zoom + MARGIN - view.height / 2);
  else redraw();
}
