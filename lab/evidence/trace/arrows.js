// Packets as arrows, leg by leg: level from the sender to the router's edge, sloping through the router by the
// delay there, level on the next segment. The arrow of a lost packet ends with a cross.
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
    const way = wayOnScreen(i), colour = packetColour(i);
    addTo(paths, (packets.marks[i] & RETRANSMITTED ? "~" : "") + colour, (path) => trail(path, way.points));
    addTo(heads, colour, (path) => (way.air === "end" ? cross(path, way.points.at(-1)) : head(path, way.points)));
    if (way.air === "start") addTo(heads, colour, (path) => dot(path, way.points[0]));
  }
  strokePaths(paths, heads);
  if (!crowded) drawLabels(from, to);
  for (const item of [view.hover, view.selected]) if (item?.kind === "packet" && view.order[item.index] >= 0) drawChosen(item.index);
}

// Zoomed out, bars show how many packets were sent in each stripe: in the gap of their first leg, from the side
// of their sender. Only the problems are drawn as arrows.
function drawCrowd(from, to) {
  const gaps = new Map(); // by gap and direction: the packets by stripe
  for (let position = from; position < to; position++) {
    const i = view.shown[position], stripe = Math.floor(onScreen(view.first[i]) / STRIPE);
    const key = `${startGap(i)} ${isRightward(i)}`;
    if (!gaps.has(key)) gaps.set(key, new Map());
    gaps.get(key).set(stripe, (gaps.get(key).get(stripe) ?? 0) + 1);
  }
  const most = Math.max(...[...gaps.values()].flatMap((side) => [...side.values()]));
  pen.globalAlpha = 0.55;
  for (const [key, stripes] of gaps) drawStripes(+key.split(" ")[0], key.endsWith("true"), stripes, most);
  pen.globalAlpha = 1;
  const text = t("{count} packets in view: zoom in to see them one by one", { count: number(to - from) });
  const [left, room] = noteRoom();
  crowdNote = () => pill(left, 6, room, text, colours.soft, { kind: "", index: -1 }, true);
}

function drawStripes(gap, rightward, stripes, most) {
  const { columns, lanes, leg } = view.layout;
  const left = columns[lanes[gap]], right = columns[lanes[gap + 1]] ?? { left: left.right + leg };
  pen.fillStyle = colours.connections[rightward ? 0 : 1];
  for (const [stripe, packetCount] of stripes) {
    const length = Math.max(1, (right.left - left.right - 12) * packetCount / most);
    pen.fillRect(rightward ? left.right + 6 : right.left - 6 - length, stripe * STRIPE, length, STRIPE - 1);
  }
}

// The gap in which a packet's arrow begins.
function startGap(i) {
  const [from, to] = gapsOf(legsOf(i, view.layout)[0], view.layout);
  return isRightward(i) ? from : to - 1;
}

function isRightward(i) {
  const [from, to] = ends(legsOf(i, view.layout)[0], i, view.layout);
  return from < to;
}

let crowdNote = null; // drawn last, on top

// A packet's path on the screen.
function wayOnScreen(i) {
  return wayOf(i, view.layout, heights(i));
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

// Labels on the first leg of each path, and the translations of addresses, as far as they don't overlap.
function drawLabels(from, to) {
  pen.textBaseline = "alphabetic";
  const free = new Map(); // by gap: the height from which it is free
  const take = (leg, height) => {
    const names = gapNames(leg);
    if (height < 4 || names.some((name) => height - (free.get(name) ?? -Infinity) < 15)) return false;
    for (const name of names) free.set(name, height);
    return true;
  };
  for (let position = from; position < to; position++) {
    const i = view.shown[position], legs = legsOf(i, view.layout), height = heights(i);
    if (take(legs[0], height(legs[0].first))) drawLabel(i, height(legs[0].first) - 4);
    for (const leg of legs.slice(1)) if (isNamed(i, leg) && take(leg, height(leg.first))) drawTranslation(i, leg, height(leg.first) - 4);
  }
}

// Whether the translation of the packet's addresses is written on this leg.
function isNamed(i, leg) {
  return packets.named[i] && translationAt(i, leg.source) !== undefined;
}

// The new address, above the leg that leaves the router.
function drawTranslation(i, leg, y) {
  const [from, to] = ends(leg, i, view.layout);
  const address = visible(translationAt(i, leg.source).short), room = Math.abs(to - from) - 16;
  pen.font = SMALL;
  const whole = `NAT ${address}`, shown = shorten(pen.measureText(whole).width <= room ? whole : address, room);
  const width = pen.measureText(shown).width;
  pen.textAlign = "left";
  pen.fillStyle = colours.note;
  backed(shown, from < to ? from + 8 : from - 8 - width, y, width);
}

function drawLabel(i, y) {
  const [first] = legsOf(i, view.layout), [start, near] = ends(first, i, view.layout), rightward = start < near;
  const { lane } = view.layout.columns[first.target] ?? { lane: near };
  const far = run.ways[packets.way[i]].legs.length > 1 || packets.marks[i] & LOST ? lane : near;
  const [left, right] = [Math.min(start, far) + 8, Math.max(start, far) - 8];
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
  const before = rightward ? near - 8 : near + 8; // the preview doesn't reach into the router
  put(labelOf(i), `600 ${LABEL}`, packetColour(i), rest());
  if (marks.length && rest() > 24) put(marks.join(", "), LABEL, packetColour(i), rest());
  const room = rightward ? before - x : x - before;
  const preview = room > 40 ? previewOf(i) : "";
  if (preview) put(preview, `11.5px ${MONO}`, colours.soft, room);
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
  const way = wayOnScreen(i);
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
  const [leg, ...legs] = legsOf(i, view.layout), height = heights(i);
  drawLabel(i, height(leg.first) - 4);
  for (const next of legs) if (translationAt(i, next.source)) drawTranslation(i, next, height(next.first) - 4);
}
