// The background of the diagram: bands for faults and link settings, lanes, times, and socket bars.
"use strict";

function bandHeights(index) {
  const from = onScreen(view.bandFrom[index]);
  return [from, Math.max(onScreen(view.bandTo[index]), from + 3)];
}

function drawBands() {
  run.bands.forEach((band, index) => {
    const [from, to] = bandHeights(index);
    if (!bandShown(band) || to < 0 || from > view.height) return;
    const [x, width] = bandPlace(band), fault = band.kind === "fault";
    pen.fillStyle = fault ? colours.fault : colours.impaired;
    pen.fillRect(x, from, width, to - from);
    pen.fillStyle = fault ? colours.bad : colours.warn;
    pen.fillRect(x, from, 3, to - from);
    pen.fillRect(x, from, width, 1);
    pen.fillRect(x, to - 1, width, 1);
  });
}

// The band of a host's fault covers its column; that of a link setting covers the router, or everything.
function bandPlace(band) {
  const column = view.layout.columns[band.node];
  if (!column) return [RULER, Math.max(view.layout.total, view.layout.end) - RULER];
  if (isRouter(band.node)) return [column.left, column.right - column.left];
  const { text, lane } = column;
  const left = Math.min(text[0], lane) - 6;
  return [left, Math.max(text[0] + text[1], lane) + 8 - left];
}

// The name of a band is drawn at its beginning, or at the top if it began above the view.
function drawBandNames() {
  run.bands.forEach((band, index) => {
    const [from, to] = bandHeights(index);
    if (!bandShown(band) || to < 0 || from > view.height) return;
    const [x, width] = bandPlace(band);
    const colour = band.kind === "fault" ? colours.bad : colours.warn, target = { kind: "band", index };
    const [start, room] = noteRoom(band.node);
    if (isRouter(band.node) && from > -9) pill(start, from - 9, room, textOf(band), colour, target, true);
    else pill(x + 3, Math.min(Math.max(from, 2), Math.max(to - ROW, from)), width - 6, textOf(band), colour, target);
  });
}

function drawRouters() {
  pen.fillStyle = colours.band;
  for (const node of view.layout.lanes.filter(isRouter)) {
    const { left, right } = view.layout.columns[node];
    pen.fillRect(left, 0, right - left, view.height);
  }
}

function drawLanes() {
  for (const node of view.layout.lanes) {
    const { left, right } = view.layout.columns[node];
    pen.fillStyle = isRouter(node) ? colours.lane : nodeColour(node);
    if (isRouter(node)) for (const edge of [left, right]) pen.fillRect(edge - 0.5, 0, 1, view.height);
    else pen.fillRect(left - 1, 0, 2, view.height);
  }
  if (view.layout.fold === null) return;
  pen.strokeStyle = colours.faint;
  pen.setLineDash([2, 4]);
  strokeLine([[view.layout.fold, 0], [view.layout.fold, view.height]]);
  pen.setLineDash([]);
}

// On the squeezed scale each row has its time; otherwise there are times at round steps.
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
  if (!view.squeezed) return;
  pen.fillStyle = colours.soft;
  pen.font = `italic ${SMALL}`;
  for (const [y, gap] of squeezedGaps()) pen.fillText(`⋮ ${duration(gap)}`, RULER - 14, y);
}

// The rows of the scale that are in view.
function rowsInView() {
  return [bisect(view.scale.y, fromScreen(0)), bisect(view.scale.y, fromScreen(view.height))];
}

function* rowTimes() {
  const [from, to] = rowsInView();
  const step = Math.max(1, Math.floor((to - from) / 4000)); // zoomed out, thousands fall on one line
  for (let row = Math.max(from, 1); row < to; row += step) yield [view.scale.at[row], onScreen(view.scale.y[row])];
}

function* stepTimes() {
  const top = view.scale.timeOf(fromScreen(0)), bottom = view.scale.timeOf(fromScreen(view.height));
  const rough = Math.max((bottom - top) / (view.height / 48), 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  for (let at = Math.ceil(top / step) * step; at <= bottom; at += step) yield [at, onScreen(view.scale.heightOf(at))];
}

function drawGaps() {
  pen.strokeStyle = colours.line;
  pen.setLineDash([2, 5]);
  for (const [y] of squeezedGaps()) strokeLine([[RULER, y], [Math.max(view.layout.total, view.layout.end), y]]);
  pen.setLineDash([]);
}

// The squeezed gaps in view: height and duration.
function* squeezedGaps() {
  const [from, to] = rowsInView();
  if (to - from > 3000) return;
  for (let row = Math.max(from, 1); row <= Math.min(to, view.scale.at.length - 1); row++) {
    const gap = view.scale.at[row] - view.scale.at[row - 1];
    const top = onScreen(view.scale.y[row - 1]), bottom = onScreen(view.scale.y[row]);
    if (gap < 1e5 || bottom - top < 30) continue;
    yield [(top + bottom) / 2 + 3, gap];
  }
}

// --- sockets -------------------------------------------------------------------------------------

function drawSockets() {
  pen.font = TINY;
  pen.textBaseline = "middle";
  const without = run.nodes.map(() => new Set()); // sockets in view without room for a bar
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
  const text = size === 1 ? t("+1 socket") : t("+{count} sockets", { count: number(size) });
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
  // The name of the state is drawn in the visible part of the bar.
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
