// Time to height and back, at zoom 1.
//
// Strategy. A run is microseconds (a handshake) beside seconds (a timeout). Squeezed, a gap takes
// height by its logarithm, and what stands in one column gets the room it needs; so every packet can
// be read, and a second of waiting takes no more than a few lines. Unsqueezed, height is time. Both
// are one table of moments and heights, looked up by bisection.
"use strict";

const ROW = 19; // pixels that one line of text needs

class Scale {
  // rows, sorted: {at, column, above, below, into, index}. `above` and `below` are what must stay free
  // around it in its column (none where column is null); its height is put into into[index].
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
    const free = new Map(); // column: the height from which on it is free
    let lowest = 0, before = this.at[0], height = ROW;
    rows.forEach(({ at, column, above, below }, index) => {
      height += 3 * Math.log2(1 + (at - before) / 20);
      before = at;
      if (column === "all") height = Math.max(height, lowest + above);
      else if (column !== null) height = Math.max(height, Math.max(free.get(column) ?? 0, free.get("all") ?? 0) + above);
      if (column !== null) {
        free.set(column, height + below);
        if (below <= ROW) lowest = Math.max(lowest, height + below);
      }
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

// The first index whose value is at least `value`; values ascend.
function bisect(values, value) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
