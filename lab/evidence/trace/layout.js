// The horizontal layout: the times, a lane for each node that is shown, the lane of the folded nodes, and the
// overview. A host has a line, its sockets and its output; a router is a band. Vertical positions come from the
// scale. If there is no room for all lanes, the picture is wider than the window and scrolls.
"use strict";

const RULER = 88, OVERVIEW = 44, BAR = 15, MAX_BARS = 6;
const FOLD = 116; // pixels for the lane of the folded nodes
const MIN_GAP = 84, MIN_BUSY_GAP = 136; // pixels between lanes; with output of a host in between

function isRouter(node) {
  return run.nodes[node]?.role === "router";
}

// The number of socket bars side by side per node, and the column of each socket.
function placeSockets(sockets) {
  const ends = run.nodes.map(() => []);
  const place = new Int32Array(sockets.length);
  const lives = new Map(); // a socket keeps its column in all its states
  sockets.forEach((socket, index) => {
    const key = socket.life;
    const columns = ends[socket.node];
    let column = lives.get(key);
    if (column === undefined) {
      column = columns.findIndex((end) => end <= socket.from);
      if (column < 0) column = columns.length;
      lives.set(key, column);
    }
    columns[column] = Math.max(columns[column] ?? 0, socket.gone);
    place[index] = column;
  });
  return { place, bars: ends.map((columns) => columns.length) };
}

// The side of a host's lane on which its output is: left of the first router, on the left.
function outwards(lanes) {
  const first = lanes.findIndex(isRouter), border = first < 0 ? Math.min(1, lanes.length - 1) : first;
  return lanes.map((_, position) => (position < border ? -1 : 1));
}

// The widths of a gap, of the output outside the first and the last lane, and of a router. They are whole pixels,
// so that lines are sharp.
function widths(room, lanes, fixed, outer, showOutput) {
  const routers = lanes.filter(isRouter).length, gaps = Math.max(lanes.length - 1, 0);
  const band = Math.round(routers > 1 ? clamp(room * 0.16 / routers, 44, 170) : clamp(room * 0.1, 60, 170));
  const free = room - fixed - routers * band;
  const shares = showOutput ? [0.2, 0.3] : [0.45, 0.05]; // of a gap, and of the output outside
  const total = gaps * shares[0] + outer * shares[1] || 1;
  const busy = lanes.length > 3 && showOutput;
  const leg = Math.round(clamp(free * shares[0] / total, busy ? MIN_BUSY_GAP : MIN_GAP, 420));
  return { leg, band, text: Math.max(Math.floor((free - gaps * leg) / Math.max(outer, 1)), busy ? MIN_BUSY_GAP : 14) };
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

function layOut(width, sockets, bars, showOutput) {
  const lanes = shownNodes(), last = lanes.length - 1, folded = run.nodes.length - lanes.length;
  const sides = outwards(lanes), hosts = lanes.filter((node) => !isRouter(node)).length;
  const barRoom = (node) => (sockets && !isRouter(node) && bars[node] ? Math.min(bars[node], MAX_BARS) * BAR + 8 : 0);
  const outside = [last >= 0 && !isRouter(lanes[0]) && sides[0] < 0, last >= 0 && !isRouter(lanes[last]) && sides[last] > 0];
  const fixed = lanes.reduce((sum, node) => sum + barRoom(node), 12 * hosts + (folded ? FOLD : 0));
  const room = Math.max(width - RULER - OVERVIEW, 320);
  const { leg, band, text } = widths(room, lanes, fixed, outside.filter(Boolean).length, showOutput);

  const columns = run.nodes.map(() => null);
  let x = RULER + (outside[0] ? 0 : 20);
  lanes.forEach((node, position) => {
    const side = sides[position], before = position ? leg : 0;
    if (isRouter(node)) {
      const left = x + before;
      columns[node] = { left, right: left + band, lane: left + band / 2, text: [left + 5, band - 10], bars: null, outward: 0, position };
      x = left + band;
    } else if (side < 0) {
      const wide = position ? leg : text, lane = x + wide + barRoom(node) + 6;
      columns[node] = { left: lane, right: lane, lane, text: [x + 6, wide - 10], bars: x + wide, outward: -1, position };
      x = lane + 6;
    } else {
      const lane = x + before + 6, wide = position === last ? text : leg;
      columns[node] = { left: lane, right: lane, lane, text: [lane + 6 + barRoom(node) + 6, wide - 12], bars: lane + 10, outward: 1, position };
      x = lane + 6 + barRoom(node);
    }
  });
  if (outside[1]) x += text;
  const fold = folded ? x + 34 : null;
  const total = x + (folded ? FOLD : 0), end = width - OVERVIEW;
  return { width, columns, lanes, leg, fold, total, end, legs: visibleLegs(columns) };
}

// --- the paths of packets --------------------------------------------------------------------------

// The legs of each path between nodes that are shown: two legs become one if the node between them isn't.
function visibleLegs(columns) {
  return run.ways.map(({ legs }) => {
    const shown = [];
    for (const [source, target, first, last] of legs) {
      const before = shown.at(-1);
      if (before && before.target >= 0 && !columns[before.target]) Object.assign(before, { target, last });
      else shown.push({ source, target, first, last });
    }
    return shown;
  });
}

function legsOf(i, layout) {
  return layout.legs[packets.way[i]];
}

// The gaps between lanes that a leg crosses: [first, behind the last].
function gapsOf(leg, layout) {
  const [from, to] = [leg.source, leg.target].map((node) => layout.columns[node]?.position);
  if (from === undefined && to === undefined) return [0, 0];
  const beside = (position) => (position ? [position - 1, position] : [0, 1]);
  if (from === undefined) return beside(to);
  if (to === undefined) return beside(from);
  return [Math.min(from, to), Math.max(from, to)];
}

// The path of a packet from its sender: [[x, y], …]. `heightAt` has the height of each sighting. `air` is the
// end that isn't at a node: "end" if the packet was lost, "start" if it wasn't captured before the router.
function wayOf(i, layout, heightAt) {
  const way = run.ways[packets.way[i]], legs = legsOf(i, layout);
  const points = [];
  legs.forEach((leg, number) => {
    const [from, to] = ends(leg, i, layout);
    const y = heightAt(leg.first);
    if (number) turn(points, layout.columns[leg.source], from, y);
    else if (way.unsent && layout.columns[leg.source]) points.push([layout.columns[leg.source].lane, y]);
    points.push([from, y], [to, heightAt(leg.last)]);
  });
  const air = way.lost !== null ? "end" : way.unsent || !layout.columns[legs[0]?.source] ? "start" : null;
  if (way.lost !== null && points.length) points.push(lostAt(way, i, layout, points));
  return { points, air };
}

// Where a leg leaves its source and reaches its target. A node that isn't known is somewhere on the segment.
function ends(leg, i, layout) {
  const source = layout.columns[leg.source], target = layout.columns[leg.target];
  if (source && target) {
    return source.lane < target.lane ? [source.right, target.left] : [source.left, target.right];
  }
  if (target) {
    const side = target.position ? -1 : 1;
    return [edge(target, side) + side * layout.leg * 0.7, edge(target, side)];
  }
  const away = layout.columns[packets.target[i]]?.lane ?? Infinity;
  const side = source.position === layout.lanes.length - 1 || away < source.lane ? -1 : 1;
  return [edge(source, side), edge(source, side) + side * layout.leg * 0.7];
}

function edge(column, side) {
  return side < 0 ? column.left : column.right;
}

// A packet that leaves a router on the side from which it came turns round in the middle.
function turn(points, column, from, y) {
  const [before, height] = points.at(-1);
  if (column && before === from && column.left !== column.right) points.push([column.lane, (height + y) / 2]);
}

// The end of a lost packet: in the router, or on the segment beyond it.
function lostAt(way, i, layout, points) {
  const [x, y] = points.at(-1), column = layout.columns[way.lost];
  const rightward = points.at(-2)[0] < x;
  if (!column) return [x + (rightward ? 1 : -1) * 8, y];
  if (!way.beyond) return [column.lane, y];
  const target = layout.columns[packets.target[i]], side = target ? Math.sign(target.lane - column.lane) : rightward ? 1 : -1;
  return [edge(column, side) + side * layout.leg * 0.4, y];
}
