// Lines of output beside the lane of their host; notes, faults and the verdict across the picture.
"use strict";

function drawEvents() {
  const last = new Map(); // by column: the line drawn last, and the number of lines after it without room
  const taken = run.bands.flatMap((band, index) => (bandShown(band) ? [bandHeights(index)[0]] : []));
  for (const index of view.events) {
    const event = run.events[index];
    const y = onScreen(view.eventY[index]);
    if (y < -ROW) continue;
    if (y > view.height + ROW) break;
    const column = isBeside(event.node) ? event.node : "all";
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
  return event.kind === "start" ? `$ ${textOf(event)}` : textOf(event);
}

function drawNote(event, index, y) {
  const colour = { verdict: { pass: colours.good, fail: colours.bad }[run.verdict] ?? colours.warn, fault: colours.bad, link: colours.warn }[event.kind] ?? colours.note;
  const [left, room] = noteRoom(event.node);
  pen.strokeStyle = colour;
  pen.globalAlpha = 0.5;
  pen.setLineDash([1, 3]);
  strokeLine([[RULER, y], [Math.max(view.layout.total, view.layout.end), y]]);
  pen.setLineDash([]);
  pen.globalAlpha = 1;
  const who = event.node >= 0 ? `${nodeName(event.node)}: ` : "";
  const text = event.kind === "verdict" ? run.verdict : who + lineText(event).split("\\n")[0];
  pill(left, y - 9, room, text, colour, { kind: "event", index }, true);
}
