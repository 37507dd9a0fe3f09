// An overview of the run in a narrow strip at the right edge: the density of packets, the problems, and the
// part in view. It is also the scroll bar.
"use strict";

let overview = null; // the strip without the frame; kept until the scale or the colours change

function drawOverview() {
  const x = view.layout.end + 6, width = OVERVIEW - 10;
  overview ??= paintOverview(width);
  pen.drawImage(overview, x, 0, width, view.height);
  const total = totalHeight();
  const top = view.scroll / total * view.height, height = Math.max(Math.min(view.height / total, 1) * view.height, 6);
  pen.globalAlpha = 0.09;
  pen.fillStyle = colours.ink;
  pen.fillRect(x, top, width, height);
  pen.globalAlpha = 1;
  pen.strokeStyle = colours.soft;
  pen.strokeRect(x + 0.5, top + 0.5, width - 1, Math.min(height, view.height - top) - 1);
}

function paintOverview(width) {
  const density = window.devicePixelRatio || 1;
  const strip = element("canvas");
  strip.width = Math.round(width * density);
  strip.height = Math.max(1, Math.round(view.height * density));
  const brush = strip.getContext("2d");
  brush.scale(density, density);
  brush.fillStyle = colours.band;
  brush.fillRect(0, 0, width, view.height);
  const place = (y) => y / view.scale.height * view.height;
  run.bands.forEach((band, index) => {
    if (!bandShown(band)) return;
    brush.fillStyle = band.kind === "fault" ? colours.fault : colours.line;
    brush.fillRect(0, place(view.bandFrom[index]), width, Math.max(place(view.bandTo[index]) - place(view.bandFrom[index]), 2));
  });
  paintDensity(brush, width, place);
  for (const index of view.events) {
    const kind = run.events[index].kind;
    brush.fillStyle = kind === "stderr" || kind === "fault" ? colours.bad : colours.faint;
    brush.fillRect(0, place(view.eventY[index]), 4, 1);
  }
  return strip;
}

function paintDensity(brush, width, place) {
  const lines = Array.from({ length: Math.ceil(view.height / 2) + 1 }, () => [0, 0]);
  for (const i of view.shown) {
    const line = lines[Math.floor(place(view.first[i]) / 2)];
    line[packets.marks[i] & PROBLEM ? 1 : 0]++;
  }
  const most = Math.max(1, ...lines.map(([plain, bad]) => plain + bad));
  const length = (value) => (value ? 3 + (width - 9) * Math.log1p(value) / Math.log1p(most) : 0);
  lines.forEach(([plain, bad], index) => {
    if (plain) {
      brush.fillStyle = colours.connections[0];
      brush.fillRect(6, index * 2, length(plain), 1.5);
    }
    if (bad) {
      brush.fillStyle = colours.bad;
      brush.fillRect(width - 6, index * 2, 6, 2);
    }
  });
}

function overviewScroll(y) {
  scrollTo(y / view.height * totalHeight() - view.height / 2);
}
