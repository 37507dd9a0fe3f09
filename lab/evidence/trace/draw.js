// The picture, on one canvas. It is drawn anew for each frame, and only what the view cuts out of it.
"use strict";

const canvas = document.getElementById("chart");
const pen = canvas.getContext("2d");
const FONT = 'system-ui, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "Microsoft YaHei", sans-serif';
const MONO = 'ui-monospace, "Cascadia Mono", "SF Mono", Menlo, "DejaVu Sans Mono", Consolas, "Noto Sans Mono CJK SC", "Microsoft YaHei", monospace';
const SMALL = `11px ${FONT}`, LABEL = `12px ${FONT}`, CODE = `12px ${MONO}`, TINY = `9.5px ${MONO}`;

let colours = {};
let requested = false;
let boxes = []; // what was drawn with a box that can be clicked: {x, y, width, height, kind, index}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["page", "ink", "soft", "faint", "line", "lane", "band", "bad", "warn", "note", "good", "code", "focus", "fault", "impaired"];
  colours = Object.fromEntries(names.map((name) => [name, value(name)]));
  colours.connections = Array.from({ length: 8 }, (_, index) => value(`connection-${index}`));
  colours.states = { LISTEN: value("connection-0"), ESTABLISHED: value("good"), TIME_WAIT: value("faint"), CLOSE_WAIT: value("warn"),
    SYN_SENT: value("connection-3"), SYN_RECV: value("connection-3"), OPEN: value("connection-1"), CONNECTED: value("good"), CLOSE: value("faint") };
}

function stateColour(state) {
  return colours.states[state] ?? colours.connections[5];
}

function packetColour(i) {
  const marks = packets.marks[i];
  if (marks & (LOST | RESET)) return colours.bad;
  if (marks & (RETRANSMITTED | DUPLICATE | CHANGED)) return colours.warn;
  const connection = packets.connection[i];
  return connection === null ? colours.soft : colours.connections[connection % 8];
}

function redraw() {
  if (requested) return;
  requested = true;
  requestAnimationFrame(() => {
    requested = false;
    draw();
  });
}

function draw() {
  const density = window.devicePixelRatio || 1;
  const size = [Math.round(view.width * density), Math.round(view.height * density)];
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  pen.setTransform(density, 0, 0, density, 0, 0);
  pen.fillStyle = colours.page;
  pen.fillRect(0, 0, view.width, view.height);
  boxes = [];
  drawRouter();
  drawBands();
  drawLanes();
  drawRuler();
  drawSockets();
  drawPackets();
  drawEvents();
  drawBandNames();
  crowdNote?.();
  crowdNote = null;
  drawOverview();
}

// --- the ground ----------------------------------------------------------------------------------

function bandHeights(index) {
  const from = onScreen(view.bandFrom[index]);
  return [from, Math.max(onScreen(view.bandTo[index]), from + 3)];
}

function drawBands() {
  if (!filter.kinds.has("faults")) return;
  run.bands.forEach((band, index) => {
    const [from, to] = bandHeights(index);
    if (to < 0 || from > view.height) return;
    const [x, width] = bandPlace(band), fault = band.kind === "fault";
    pen.fillStyle = fault ? colours.fault : colours.impaired;
    pen.fillRect(x, from, width, to - from);
    pen.fillStyle = fault ? colours.bad : colours.warn;
    pen.fillRect(x, from, 3, to - from);
    pen.fillRect(x, from, width, 1);
    pen.fillRect(x, to - 1, width, 1);
  });
}

// A fault of a host covers its column; one of the link, or of all, covers everything.
function bandPlace(band) {
  const { columns, edges, end } = view.layout;
  const node = run.nodes[band.node];
  if (!node) return [RULER, end - RULER];
  if (node.side === "router") return [edges.left, edges.right - edges.left];
  const { text, lane } = columns[band.node];
  const left = Math.min(text[0], lane) - 6;
  return [left, Math.max(text[0] + text[1], lane) + 8 - left];
}

// Where it begins a band says what it is, in full; what began above the view says it at the top.
function drawBandNames() {
  if (!filter.kinds.has("faults")) return;
  const { edges } = view.layout;
  run.bands.forEach((band, index) => {
    const [from, to] = bandHeights(index);
    if (to < 0 || from > view.height) return;
    const [x, width] = bandPlace(band);
    const colour = band.kind === "fault" ? colours.bad : colours.warn, target = { kind: "band", index };
    const inRouter = run.nodes[band.node]?.side === "router", reach = inRouter ? noteReach() : 0;
    if (inRouter && from > -9) pill(edges.left - reach, from - 9, width + 2 * reach, visible(band.text), colour, target, true);
    else pill(x + 3, Math.min(Math.max(from, 2), Math.max(to - ROW, from)), width - 6, visible(band.text), colour, target);
  });
}

function drawRouter() {
  const { edges } = view.layout;
  pen.fillStyle = colours.band;
  pen.fillRect(edges.left, 0, edges.right - edges.left, view.height);
}

function drawLanes() {
  const { columns, edges } = view.layout;
  const bottom = view.height;
  pen.fillStyle = colours.lane;
  for (const edge of [edges.left, edges.right]) pen.fillRect(edge - 0.5, 0, 1, bottom);
  run.nodes.forEach((node, index) => {
    if (node.side !== "router") pen.fillRect(columns[index].lane - 1, 0, 2, bottom);
  });
}

// Squeezed, the time stands beside what happened; unsqueezed, at round steps.
function drawRuler() {
  pen.font = SMALL;
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  let last = -Infinity;
  for (const [at, y] of view.squeezed ? rowTimes() : stepTimes()) {
    if (y - last < ROW - 2 || y < 8) continue;
    last = y;
    pen.fillStyle = colours.soft;
    pen.fillText(clock(at), RULER - 14, y);
    pen.fillStyle = colours.line;
    pen.fillRect(RULER - 9, y - 0.5, 5, 1);
  }
  if (view.squeezed) drawGaps();
}

function* rowTimes() {
  const [from, to] = view.scaleRange = [bisect(view.scale.y, fromScreen(0)), bisect(view.scale.y, fromScreen(view.height))];
  const step = Math.max(1, Math.floor((to - from) / 4000)); // at a distance, thousands fall on one line
  for (let row = Math.max(from, 1); row < to; row += step) yield [view.scale.at[row], onScreen(view.scale.y[row])];
}

function* stepTimes() {
  const top = view.scale.timeOf(fromScreen(0)), bottom = view.scale.timeOf(fromScreen(view.height));
  const rough = Math.max((bottom - top) / (view.height / 48), 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  for (let at = Math.ceil(top / step) * step; at <= bottom; at += step) yield [at, onScreen(view.scale.heightOf(at))];
}

// Where waiting was squeezed away, the picture says how long it was.
function drawGaps() {
  const [from, to] = view.scaleRange;
  if (to - from > 3000) return;
  pen.textAlign = "center";
  for (let row = Math.max(from, 1); row <= Math.min(to, view.scale.at.length - 1); row++) {
    const gap = view.scale.at[row] - view.scale.at[row - 1];
    const top = onScreen(view.scale.y[row - 1]), bottom = onScreen(view.scale.y[row]);
    if (gap < 1e5 || bottom - top < 30) continue;
    const y = (top + bottom) / 2 + 3;
    pen.strokeStyle = colours.line;
    pen.setLineDash([2, 5]);
    strokeLine([[RULER, y], [view.layout.end, y]]);
    pen.setLineDash([]);
    pen.fillStyle = colours.soft;
    pen.font = `italic ${SMALL}`;
    pen.textAlign = "right";
    pen.fillText(`⋮ ${duration(gap)}`, RULER - 14, y);
  }
  pen.font = SMALL;
}

// --- sockets -------------------------------------------------------------------------------------

function drawSockets() {
  pen.font = TINY;
  pen.textBaseline = "middle";
  const without = run.nodes.map(() => new Set()); // sockets in view for which there is no room
  for (const index of view.sockets) {
    const socket = run.sockets[index], place = bars.place[index];
    const from = onScreen(view.socketFrom[index]), to = onScreen(view.socketTo[index]);
    if (to < 0 || from > view.height) continue;
    if (place >= MAX_BARS) without[socket.node].add(socket.life);
    else drawBar(socket, index, view.layout.columns[socket.node].bars + place * BAR, from, Math.max(to - from, 2));
  }
  without.forEach(({ size }, node) => {
    if (size) drawBarsLeftOut(size, view.layout.columns[node].bars);
  });
}

function drawBarsLeftOut(size, x) {
  const text = `+${plural(size, "socket")}`;
  pen.font = `600 ${SMALL}`;
  pen.textAlign = "left";
  const width = pen.measureText(text).width + 6;
  pen.fillStyle = colours.page;
  pen.fillRect(x - 3, 2, width, 16);
  pen.fillStyle = colours.soft;
  pen.fillText(text, x, 10.5);
}

function drawBar(socket, index, x, y, height) {
  const colour = stateColour(socket.state), width = BAR - 3;
  pen.globalAlpha = socket.state === "TIME_WAIT" ? 0.16 : 0.22;
  pen.fillStyle = colour;
  pen.fillRect(x, y, width, height);
  pen.globalAlpha = 1;
  pen.fillRect(x, y, 2.5, height);
  pen.fillRect(x, y, width, 1);
  if (isSelected("socket", index)) outline(x - 1, y - 1, width + 2, height + 2);
  boxes.push({ x, y, width, height, kind: "socket", index });
  // The word stands in what is visible of the bar.
  const top = Math.max(y, 0), bottom = Math.min(y + height, view.height);
  if (bottom - top < socket.state.length * 5.9 + 4) return;
  pen.save();
  pen.translate(x + width / 2 + 1.5, top + 4);
  pen.rotate(Math.PI / 2);
  pen.textAlign = "left";
  pen.fillStyle = colours.ink;
  pen.fillText(socket.state, 0, 0);
  pen.restore();
}

// --- what programs said, and what the lab did ----------------------------------------------------

function drawEvents() {
  const last = new Map(); // by column: the line drawn last, and how many after it found no room
  const taken = filter.kinds.has("faults") ? run.bands.map((_, index) => bandHeights(index)[0]) : [];
  for (const index of view.events) {
    const event = run.events[index];
    const y = onScreen(view.eventY[index]);
    if (y < -ROW) continue;
    if (y > view.height + ROW) break;
    const node = run.nodes[event.node];
    const column = node && node.side !== "router" ? event.node : "all";
    const before = last.get(column);
    const named = column === "all" && taken.some((height) => Math.abs(height - y) < 17);
    if ((named || (before && y - before.y < 14)) && !isSelected("event", index)) {
      if (before) before.more++;
      continue;
    }
    last.set(column, { y, more: 0, column });
    if (before) drawMore(before);
    if (column === "all") drawNote(event, index, y);
    else drawLine(event, index, y);
  }
  for (const line of last.values()) drawMore(line);
}

function drawMore({ y, more, column }) {
  if (!more || column === "all") return;
  const { text: [x, width], outward } = view.layout.columns[column];
  const said = `+${number(more)}`;
  pen.font = `600 ${SMALL}`;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  const end = outward < 0 ? x + width + 6 : x + width + 8;
  const room = pen.measureText(said).width;
  pen.fillStyle = colours.page;
  pen.fillRect(end - room - 3, y - 7, room + 5, 14);
  pen.fillStyle = colours.soft;
  pen.fillText(said, end, y + 0.5);
}

function drawLine(event, index, y) {
  const { text, lane, outward } = view.layout.columns[event.node];
  const [x, width] = text;
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  pen.font = event.kind === "start" ? `600 ${CODE}` : CODE;
  const colour = { stderr: colours.bad, fault: colours.bad, counter: colours.warn, exit: colours.soft }[event.kind] ?? colours.code;
  const shown = shorten(lineText(event), width);
  const drawn = pen.measureText(shown).width;
  const edge = outward < 0 ? x + drawn + 4 : x - 4;
  pen.strokeStyle = colours.line;
  if (Math.abs(lane - edge) > 8) strokeLine([[edge, y], [lane, y]]);
  pen.fillStyle = colour;
  pen.beginPath();
  pen.arc(lane, y, event.kind === "start" || event.kind === "exit" ? 4 : 2.8, 0, 2 * Math.PI);
  pen.fill();
  if (isSelected("event", index)) outline(x - 3, y - 9, width + 4, 18);
  pen.fillText(shown, x, y + 0.5);
  boxes.push({ x: Math.min(x, lane - 4), y: y - 8, width: width + 4, height: 16, kind: "event", index });
}

function lineText(event) {
  return event.kind === "start" ? `$ ${visible(event.text)}` : visible(event.text);
}

function drawNote(event, index, y) {
  const { edges } = view.layout;
  const colour = { verdict: { pass: colours.good, fail: colours.bad }[run.verdict] ?? colours.warn, fault: colours.bad, link: colours.warn }[event.kind] ?? colours.note;
  const reach = noteReach();
  pen.strokeStyle = colour;
  pen.globalAlpha = 0.5;
  pen.setLineDash([1, 3]);
  strokeLine([[RULER, y], [view.layout.end, y]]);
  pen.setLineDash([]);
  pen.globalAlpha = 1;
  const who = event.node >= 0 ? `${nodeName(event.node)}: ` : "";
  const text = event.kind === "verdict" ? run.verdict : who + lineText(event).split("\\n")[0];
  pill(edges.left - reach, y - 9, edges.right - edges.left + 2 * reach, text, colour, { kind: "event", index }, true);
}

// How far a note reaches into the segments on both sides of the router.
function noteReach() {
  return Math.min(view.layout.leg * 0.8, 320);
}

// A name on a ground of its own colour; as wide as it needs, at most `room`.
function pill(x, y, room, text, colour, target, centred = false) {
  pen.font = `600 ${SMALL}`;
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  const shown = shorten(text, room - 16);
  const width = pen.measureText(shown).width + 16;
  const left = centred ? x + (room - width) / 2 : x;
  pen.beginPath();
  pen.roundRect(left, y, width, 18, centred ? 9 : [0, 0, 6, 0]);
  pen.fillStyle = colours.page;
  pen.fill();
  pen.globalAlpha = 0.14;
  pen.fillStyle = colour;
  pen.fill();
  pen.globalAlpha = 1;
  pen.strokeStyle = colour;
  pen.stroke();
  pen.fillStyle = colour;
  pen.fillText(shown, left + 8, y + 9.5);
  if (isSelected(target.kind, target.index)) outline(left - 2, y - 2, width + 4, 22);
  if (target.kind) boxes.push({ x: left, y, width, height: 18, ...target });
}

// --- small strokes -------------------------------------------------------------------------------

function strokeLine([from, to]) {
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(...to);
  pen.stroke();
}

function outline(x, y, width, height) {
  pen.strokeStyle = colours.focus;
  pen.lineWidth = 2;
  pen.strokeRect(x, y, width, height);
  pen.lineWidth = 1;
}

function isSelected(kind, index) {
  return view.selected?.kind === kind && view.selected.index === index;
}

// As much of a text as fits; the pen's font is set. Measuring is what drawing text costs, so it is kept.
const shortened = new Map();

function shorten(text, room) {
  if (room < 8) return "";
  const key = `${pen.font}\n${Math.round(room)}\n${text}`;
  let kept = shortened.get(key);
  if (kept !== undefined) return kept;
  if (shortened.size > 4000) shortened.clear();
  kept = text.length * 13 < room || pen.measureText(text).width <= room ? text : cutToFit(text.slice(0, Math.ceil(room / 3)), room);
  shortened.set(key, kept);
  return kept;
}

function cutToFit(text, room) {
  const characters = Array.from(text);
  let low = 0, high = characters.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (pen.measureText(`${characters.slice(0, middle).join("")}…`).width <= room) low = middle;
    else high = middle - 1;
  }
  return `${characters.slice(0, low).join("")}…`;
}
