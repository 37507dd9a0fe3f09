// Converts time to height and back, at zoom 1.
//
// Strategy. A run has durations from microseconds (a handshake) to seconds (a timeout). On the squeezed scale
// the height of a gap is logarithmic, and the items of a column get the space that they need: every packet is
// legible, and a second of waiting takes only a few lines. Otherwise height is proportional to time. Both are
// tables of times and heights, which are searched by bisection.
"use strict";

const ROW = 19; // pixels that one line of text needs

class Scale {
  // Sorted rows: {at, columns, above, below, into, index}. `above` and `below` are the pixels to keep free
  // around the row in its columns, which are a list of names or "all"; its height is stored in into[index].
  constructor(rows, squeezed, viewHeight) {
    this.at = new Float64Array(rows.length + 1);
    this.y = new Float64Array(rows.length + 1);
    this.at[0] = Math.min(0, rows[0]?.at ?? 0);
    if (squeezed) this.squeeze(rows);
    else this.stretch(rows, viewHeight);
    rows.forEach((row, index) => {
      this.at[index + 1] = row.at;
      row.into[row.index] = this.y[index + 1];
    });
    this.height = this.y[rows.length] + ROW;
  }

  squeeze(rows) {
    const free = new Map(); // by column: the height from which it is free
    let lowest = 0, before = this.at[0], height = ROW;
    rows.forEach(({ at, columns, above, below }, index) => {
      height += 3 * Math.log2(1 + (at - before) / 20);
      before = at;
      if (columns === "all") height = Math.max(height, lowest + above);
      else if (columns.length) {
        for (const column of columns) height = Math.max(height, (free.get(column) ?? 0) + above);
        height = Math.max(height, (free.get("all") ?? 0) + above);
      }
      for (const column of columns === "all" ? ["all"] : columns) free.set(column, height + below);
      if (columns.length && below <= ROW) lowest = Math.max(lowest, height + below);
      this.y[index + 1] = height;
    });
  }

  stretch(rows, viewHeight) {
    const span = Math.max((rows.at(-1)?.at ?? 1) - this.at[0], 1);
    const perMicrosecond = Math.max(viewHeight - 6 * ROW, 100) / span;
    rows.forEach(({ at }, index) => {
      this.y[index + 1] = ROW + (at - this.at[0]) * perMicrosecond;
    });
  }

  heightOf(at) {
    return interpolate(this.at, this.y, at);
  }

  timeOf(y) {
    return interpolate(this.y, this.at, y);
  }
}

function interpolate(from, to, value) {
  const high = bisect(from, value);
  if (high === 0) return to[0];
  if (high >= from.length) return to[to.length - 1];
  const span = from[high] - from[high - 1];
  return span ? to[high - 1] + (to[high] - to[high - 1]) * (value - from[high - 1]) / span : to[high];
}

// The first index whose value is at least `value`, in ascending values.
function bisect(values, value) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
