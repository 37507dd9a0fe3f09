// Draws the diagram on one canvas. Each frame draws only the part in view.
"use strict";

const canvas = document.getElementById("chart");
const pen = canvas.getContext("2d");
const FONT = 'system-ui, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "Microsoft YaHei", sans-serif';
const MONO = 'ui-monospace, "Cascadia Mono", "SF Mono", Menlo, "DejaVu Sans Mono", Consolas, "Noto Sans Mono CJK SC", "Microsoft YaHei", monospace';
const SMALL = `11px ${FONT}`, LABEL = `12px ${FONT}`, CODE = `12px ${MONO}`, TINY = `9.5px ${MONO}`;

const NODE_COLOURS = 8, NODE_MARKS = ["●", "■", "▲", "◆"]; // more nodes have the same colours, with the next mark

let colours = {};
let requested = false;
let boxes = []; // the clickable boxes of this frame: {x, y, width, height, kind, index}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["page", "ink", "soft", "faint", "line", "lane", "band", "bad", "warn", "note", "good", "code", "focus", "fault", "impaired"];
  colours = Object.fromEntries(names.map((name) => [name, value(name)]));
  colours.nodes = Array.from({ length: NODE_COLOURS }, (_, index) => value(`node-${index}`));
  colours.connections = Array.from({ length: 8 }, (_, index) => value(`connection-${index}`));
  colours.states = { LISTEN: value("connection-0"), ESTABLISHED: value("good"), TIME_WAIT: value("faint"), CLOSE_WAIT: value("warn"),
    SYN_SENT: value("connection-3"), SYN_RECV: value("connection-3"), OPEN: value("connection-1"), CONNECTED: value("good"), CLOSE: value("faint") };
}

function nodeColour(node) {
  return colours.nodes[node % NODE_COLOURS];
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
  drawRuler();
  pen.save();
  pen.beginPath();
  pen.rect(RULER - 4, 0, view.layout.end - RULER + 4, view.height);
  pen.clip();
  pen.translate(-view.across, 0);
  drawContent();
  pen.restore();
  drawOverview();
}

function drawContent() {
  drawRouters();
  drawBands();
  drawLanes();
  if (view.squeezed) drawGaps();
  drawSockets();
  drawPackets();
  drawEvents();
  drawBandNames();
  crowdNote?.();
  crowdNote = null;
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

// Truncates a text to the available width in the pen's font. Measuring is slow, so results are cached.
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

// The room for a note: [left, width]. It is centred on its router, or on the only one, or in the window.
function noteRoom(node = -1) {
  const { columns, lanes, leg, end } = view.layout, routers = lanes.filter(isRouter);
  const column = isRouter(node) ? columns[node] : routers.length === 1 ? columns[routers[0]] : null;
  const reach = Math.min(leg * 0.8, 320);
  if (column) return [column.left - reach, column.right - column.left + 2 * reach];
  return [view.across + (RULER + end) / 2 - 320, 640];
}

// A name in a coloured box, as wide as needed, at most `room`.
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
