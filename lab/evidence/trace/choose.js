// Selects an item by a click, by stepping or by a search, and announces it.
"use strict";

const status = document.getElementById("status");

// Selects an item, brings it into view, and announces it to screen readers.
function select(item, { open = !panel.hidden, bring = true } = {}) {
  view.selected = item;
  if (!item) return redraw();
  if (open) showDetails(item);
  if (bring) {
    reveal(heightOf(item));
    revealAcross(placeAcross(item));
  }
  say(spoken(item));
  redraw();
}

function heightOf({ kind, index }) {
  return { packet: view.first, event: view.eventY, socket: view.socketFrom, band: view.bandFrom }[kind][index];
}

// The place at which an item begins, in the picture; null if it has none.
function placeAcross({ kind, index }) {
  if (kind === "packet") return wayOnScreen(index).points[0]?.[0] ?? null;
  const { node } = { event: run.events, socket: run.sockets, band: run.bands }[kind][index];
  return view.layout.columns[node]?.lane ?? null;
}

function spoken(item) {
  if (item.kind === "packet") {
    const place = { number: number(view.order[item.index] + 1), count: number(view.shown.length) };
    return t("packet {number} of {count}: {packet}", { ...place, packet: describe(item.index) });
  }
  if (item.kind === "event") return `${titleOf(item)}: ${textOf(run.events[item.index])}`;
  return titleOf(item);
}

function say(text) {
  status.textContent = text;
}

// Selects the next or previous packet that is shown; of the same connection if `same` is true.
function step(by, same = false) {
  if (!view.shown.length) return;
  const selected = view.selected?.kind === "packet" ? view.selected.index : -1;
  let position = selected >= 0 ? view.order[selected] + by : by > 0 ? nearestToTop() : view.shown.length - 1;
  if (selected >= 0 && same) {
    while (view.shown[position] !== undefined && packets.connection[view.shown[position]] !== packets.connection[selected]) position += by;
  }
  const next = view.shown[position];
  if (next !== undefined) select({ kind: "packet", index: next });
}

function nearestToTop() {
  const [from, to] = shownBetween(0, view.height);
  return Math.min(from, Math.max(to - 1, 0));
}

// The item at a point of the picture: a box, or else the nearest arrow within 6 pixels.
function itemAt(x, y) {
  for (let at = boxes.length - 1; at >= 0; at--) {
    const box = boxes[at];
    if (x >= box.x && x <= box.x + box.width && y >= box.y && y <= box.y + box.height) return { kind: box.kind, index: box.index };
  }
  let nearest = null, distance = 7;
  const [from, to] = shownBetween(y - 20, y + 20);
  for (let position = from; position < to; position++) {
    const i = view.shown[position];
    const away = distanceTo(wayOnScreen(i).points, x, y, i);
    if (away < distance) [nearest, distance] = [{ kind: "packet", index: i }, away];
  }
  return nearest;
}

function distanceTo(points, x, y, i) {
  let least = Infinity;
  for (let at = 1; at < points.length; at++) least = Math.min(least, toSegment(points[at - 1], points[at], x, y));
  // The label is above the first part of the path.
  const [[one, height], [other]] = points;
  if (x > Math.min(one, other) && x < Math.max(one, other) && height - y > 0 && height - y < 14) least = Math.min(least, 5);
  return least;
}

function toSegment([x1, y1], [x2, y2], x, y) {
  const length = (x2 - x1) ** 2 + (y2 - y1) ** 2;
  const along = length ? Math.max(0, Math.min(1, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length)) : 0;
  return Math.hypot(x - x1 - along * (x2 - x1), y - y1 - along * (y2 - y1));
}
