// Packets as arrows: level from the host to the router's edge, sloping through the router by the delay
// there, level on the other segment. The arrow of a lost packet ends inside the router.
"use strict";

const CROWDED = 3; // pixels of height per packet; with less, packets are counted instead of drawn one by one
const STRIPE = 4; // pixels of height in which packets are counted together

function drawPackets() {
  const [from, to] = shownBetween(-2, view.height + 2);
  const crowded = (to - from) * CROWDED > view.height;
  if (crowded) drawCrowd(from, to);
  const paths = new Map(), heads = new Map();
  for (let position = from; position < to; position++) {
    const i = view.shown[position];
    if (crowded && !(packets.marks[i] & PROBLEM)) continue;
    const way = wayOnScreen(i, ...heights(i)), colour = packetColour(i);
    addTo(paths, (packets.marks[i] & RETRANSMITTED ? "~" : "") + colour, (path) => trail(path, way.points));
    addTo(heads, colour, (path) => (way.air === "end" ? cross(path, way.points.at(-1)) : head(path, way.points)));
    if (way.air === "start") addTo(heads, colour, (path) => dot(path, way.points[0]));
  }
  strokePaths(paths, heads);
  if (!crowded) drawLabels(from, to);
  for (const item of [view.hover, view.selected]) if (item?.kind === "packet" && view.order[item.index] >= 0) drawChosen(item.index);
}

// Zoomed out, a bar per stripe shows how many packets each side sent; only the problems are drawn as arrows.
function drawCrowd(from, to) {
  const stripes = [new Map(), new Map()];
  for (let position = from; position < to; position++) {
    const i = view.shown[position];
    const stripe = Math.floor((onScreen(view.first[i])) / STRIPE), side = stripes[packets.route[i] % 2];
    side.set(stripe, (side.get(stripe) ?? 0) + 1);
  }
  const most = Math.max(...stripes.flatMap((side) => [...side.values()]));
  const starts = [innermost("left", view.layout), innermost("right", view.layout)];
  stripes.forEach((side, back) => {
    pen.fillStyle = colours.connections[back ? 1 : 0];
    pen.globalAlpha = 0.55;
    for (const [stripe, packetCount] of side) {
      const length = Math.max(1, (view.layout.leg - 12) * packetCount / most);
      pen.fillRect(back ? starts[1] - 6 - length : starts[0] + 6, stripe * STRIPE, length, STRIPE - 1);
    }
  });
  pen.globalAlpha = 1;
  const { edges } = view.layout;
  const text = t("{count} packets in view: zoom in to see them one by one", { count: number(to - from) });
  pen.font = `600 ${SMALL}`;
  const width = pen.measureText(text).width + 16;
  crowdNote = () => pill((edges.left + edges.right - width) / 2, 6, width, text, colours.soft, { kind: "", index: -1 }, true);
}

let crowdNote = null; // drawn last, on top

// A packet's path, with heights instead of times.
function wayOnScreen(i, first, second) {
  const way = wayOf(i, view.layout);
  const start = firstSeen(i);
  return { air: way.air, points: way.points.map(([x, at]) => [x, at === start ? first : second]) };
}

function addTo(paths, key, add) {
  let path = paths.get(key);
  if (!path) paths.set(key, (path = new Path2D()));
  add(path);
}

function strokePaths(paths, heads) {
  pen.lineWidth = 1.4;
  for (const [key, path] of paths) {
    pen.strokeStyle = key.replace("~", "");
    pen.setLineDash(key.startsWith("~") ? [5, 3] : []);
    pen.stroke(path);
  }
  pen.setLineDash([]);
  pen.lineWidth = 1.8;
  for (const [colour, path] of heads) {
    pen.fillStyle = pen.strokeStyle = colour;
    pen.fill(path);
    pen.stroke(path);
  }
  pen.lineWidth = 1;
}

function trail(path, points) {
  path.moveTo(...points[0]);
  for (const point of points.slice(1)) path.lineTo(...point);
}

function head(path, points) {
  const [x, y] = points.at(-1);
  const back = x > points.at(-2)[0] ? -7 : 7;
  path.moveTo(x + Math.sign(back) * 1, y);
  path.lineTo(x + back, y - 3);
  path.lineTo(x + back, y + 3);
  path.closePath();
}

function cross(path, [x, y]) {
  for (const slope of [1, -1]) {
    path.moveTo(x - 4.5, y - 4.5 * slope);
    path.lineTo(x + 4.5, y + 4.5 * slope);
  }
}

function dot(path, [x, y]) {
  path.moveTo(x + 3, y);
  path.arc(x, y, 3, 0, 2 * Math.PI);
}

// Labels on the first part of each path, as far as they don't overlap.
function drawLabels(from, to) {
  pen.textBaseline = "alphabetic";
  const free = { left: -Infinity, right: -Infinity };
  for (let position = from; position < to; position++) {
    const i = view.shown[position];
    const [first] = heights(i);
    const route = packets.route[i], rightward = route === 0 || route === 2;
    const side = rightward ? "left" : "right";
    if (first - free[side] < 15 || first < 4) continue;
    free[side] = first;
    drawLabel(i, rightward, first - 4);
  }
}

function drawLabel(i, rightward, y) {
  const way = wayOf(i, view.layout).points;
  const { edges } = view.layout, middle = (edges.left + edges.right) / 2;
  const xs = packets.marks[i] & UNSENT ? [way[0][0], way.at(-1)[0]] : [way[0][0], packets.route[i] > 1 ? way[1][0] : middle];
  const [left, right] = [Math.min(...xs) + 8, Math.max(...xs) - 8];
  const marks = marksInWords(i, RESET);
  let x = rightward ? left : right;
  const put = (text, font, colour, limit) => {
    pen.font = font;
    const shown = shorten(text, limit);
    const width = pen.measureText(shown).width;
    pen.textAlign = "left";
    pen.fillStyle = colour;
    if (!rightward) x -= width;
    backed(shown, x, y, width);
    x += rightward ? width + 7 : -7;
    return shown;
  };
  const rest = () => (rightward ? right - x : x - left);
  const before = rightward ? edges.left - 8 : edges.right + 8; // the preview doesn't reach into the router
  put(labelOf(i), `600 ${LABEL}`, packetColour(i), rest());
  if (marks.length && rest() > 24) put(marks.join(", "), LABEL, packetColour(i), rest());
  const room = rightward ? before - x : x - before;
  const start = room > 40 ? previewOf(i) : "";
  if (start) put(start, `11.5px ${MONO}`, colours.soft, room);
}

// Text on an opaque background, so that lines behind it don't cross it.
function backed(text, x, y, width) {
  const colour = pen.fillStyle;
  pen.globalAlpha = 0.8;
  pen.fillStyle = colours.page;
  pen.fillRect(x - 2, y - 11, width + 4, 14);
  pen.globalAlpha = 1;
  pen.fillStyle = colour;
  pen.fillText(text, x, y);
}

function drawChosen(i) {
  const [first, second] = heights(i);
  const way = wayOnScreen(i, first, second);
  const path = new Path2D(), end = new Path2D();
  trail(path, way.points);
  if (way.air === "end") cross(end, way.points.at(-1));
  else head(end, way.points);
  const selected = isSelected("packet", i);
  pen.lineCap = "round";
  pen.globalAlpha = selected ? 0.32 : 0.18;
  pen.strokeStyle = selected ? colours.focus : packetColour(i);
  pen.lineWidth = 11;
  pen.stroke(path);
  pen.globalAlpha = 1;
  pen.strokeStyle = pen.fillStyle = packetColour(i);
  pen.lineWidth = 2.4;
  pen.stroke(path);
  pen.fill(end);
  pen.stroke(end);
  pen.lineWidth = 1;
  pen.lineCap = "butt";
  drawLabel(i, packets.route[i] === 0 || packets.route[i] === 2, first - 4);
}
