// The horizontal layout: the times, each host's lines, sockets and lane, the router as a band with an
// edge for each segment, and the overview. Vertical positions come from the scale.
"use strict";

const RULER = 88, OVERVIEW = 44, BAR = 15, MAX_BARS = 6;

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

function layOut(width, sockets, bars, showOutput) {
  const room = Math.max(width - RULER - OVERVIEW, 320);
  const sides = { left: [], right: [], router: [] };
  run.nodes.forEach((node, index) => sides[node.side].push(index));
  const hosts = sides.left.length + sides.right.length;
  const band = Math.min(Math.max(room * 0.1, 60), 170);
  const barRoom = run.nodes.map((_, index) => (sockets ? Math.min(bars[index], MAX_BARS) * BAR + (bars[index] ? 8 : 0) : 0));
  const legsAndText = room - band - barRoom.reduce((sum, value) => sum + value, 0) - 12 * hosts;
  const leg = Math.min(Math.max(legsAndText * (showOutput ? 0.2 : 0.45), 84), 420);
  const text = Math.max((legsAndText - 2 * leg) / Math.max(hosts, 1), 14);

  const columns = run.nodes.map(() => null);
  let x = RULER;
  for (const index of sides.left) {
    columns[index] = { text: [x + 6, text - 10], bars: x + text, lane: x + text + barRoom[index] + 6, outward: -1 };
    x += text + barRoom[index] + 12;
  }
  x += leg;
  const edges = { left: x, right: x + band };
  for (const index of sides.router) columns[index] = { text: [x + 5, band - 10], bars: null, lane: x + band / 2, outward: 0 };
  x += band + leg;
  for (const index of sides.right) {
    columns[index] = { lane: x + 6, bars: x + 12 + 4, text: [x + 12 + barRoom[index] + 6, text - 12], outward: 1 };
    x += text + barRoom[index] + 12;
  }
  return { width, columns, edges, leg, end: width - OVERVIEW };
}

// The path of a packet from its sender: [[x, time], …]. `air` is the end that lies between the segments:
// "end" if the packet was lost, "start" if it wasn't captured before the router.
function wayOf(i, layout) {
  const route = packets.route[i];
  const rightward = route === 0 || route === 2;
  const left = packets.left[i], right = packets.right[i];
  const source = laneOf(packets.source[i], rightward ? "left" : "right", layout);
  const target = laneOf(packets.target[i], rightward ? "right" : "left", layout);
  if (route > 1) return stayedWay(i, route === 2 ? "left" : "right", layout);
  const [first, second] = rightward ? [left, right] : [right, left];
  const [near, far] = rightward ? [layout.edges.left, layout.edges.right] : [layout.edges.right, layout.edges.left];
  const middle = (near + far) / 2;
  if (first !== null && second !== null) return { points: [[source, first], [near, first], [far, second], [target, second]], air: null };
  if (first !== null) return { points: [[source, first], [near, first], [middle, first]], air: "end" };
  return { points: [[middle, second], [far, second], [target, second]], air: "start" };
}

function stayedWay(i, side, layout) {
  const at = firstSeen(i), edge = layout.edges[side];
  const fromRouter = run.nodes[packets.source[i]]?.side === "router";
  const known = run.nodes[fromRouter ? packets.target[i] : packets.source[i]]?.side === side;
  const host = laneOf(fromRouter ? packets.target[i] : packets.source[i], side, layout);
  const points = [[host, at], [edge, at]];
  return { points: fromRouter ? points.reverse() : points, air: fromRouter || known ? null : "start" };
}

// A node that isn't in the record has no lane: its packets begin or end somewhere on the segment.
function laneOf(node, side, layout) {
  if (run.nodes[node]?.side === side) return layout.columns[node].lane;
  return layout.edges[side] + (side === "left" ? -1 : 1) * layout.leg * 0.7;
}

// The lane next to the router.
function innermost(side, layout) {
  const lanes = run.nodes.map((node, index) => (node.side === side ? layout.columns[index].lane : null)).filter((lane) => lane !== null);
  if (!lanes.length) return layout.edges[side] + (side === "left" ? -layout.leg : layout.leg);
  return side === "left" ? Math.max(...lanes) : Math.min(...lanes);
}
