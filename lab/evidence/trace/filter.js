// Filters the items that are shown, and searches them.
"use strict";

const taking = run.nodes.map((_, node) => node).filter((node) => run.nodes[node].part);
const filter = { connection: "", protocol: "", node: "", problems: false, nodes: new Set(taking), kinds: new Set(["packets", "output", "sockets", "faults"]) };

// ARP and neighbour discovery are shown on request, or if there are no other packets.
const chores = packets.marks.reduce((sum, marks) => sum + (marks & CHORE ? 1 : 0), 0);
if (chores && chores === count) filter.kinds.add("chores");

// The nodes with a lane, from left to right.
function shownNodes() {
  return run.nodes.map((_, node) => node).filter((node) => filter.nodes.has(node));
}

// An unknown node, and the lab itself, have the number -1.
function nodeShown(node) {
  return node < 0 || filter.nodes.has(node);
}

function packetShown(i) {
  if (!filter.kinds.has("packets")) return false;
  if (packets.marks[i] & CHORE && !filter.kinds.has("chores")) return false;
  if (filter.problems && !(packets.marks[i] & PROBLEM)) return false;
  if (filter.connection !== "" && packets.connection[i] !== +filter.connection) return false;
  if (filter.protocol !== "" && packets.protocol[i] !== +filter.protocol) return false;
  if (!nodeShown(packets.source[i]) || !nodeShown(packets.target[i]) || !isDrawable(i)) return false;
  return filter.node === "" || packets.source[i] === +filter.node || packets.target[i] === +filter.node;
}

// Whether a packet has a leg that begins or ends at a node with a lane.
function isDrawable(i) {
  return run.ways[packets.way[i]].legs.some(([source, target]) => [source, target].some((node) => node >= 0 && filter.nodes.has(node)));
}

function bandShown(band) {
  return filter.kinds.has("faults") && nodeShown(band.node);
}

const KIND_OF_EVENT = { start: "output", stdout: "output", stderr: "output", exit: "output" };

function eventShown(event) {
  if (!filter.kinds.has(KIND_OF_EVENT[event.kind] ?? "faults")) return false;
  return !event.band && nodeShown(event.node) && (filter.node === "" || event.node === +filter.node || event.node < 0);
}

function socketShown(socket) {
  if (!filter.kinds.has("sockets") || !nodeShown(socket.node)) return false;
  if (filter.connection !== "" && socket.connection !== null && socket.connection !== +filter.connection) return false;
  return filter.node === "" || socket.node === +filter.node;
}

// --- search --------------------------------------------------------------------------------------

let haystack = null; // built at the first search, because it decodes every payload

function search(needle) {
  needle = needle.trim().toLowerCase();
  if (!needle) return [];
  haystack ??= { packets: Array.from({ length: count }, (_, i) => packetText(i)), events: run.events.map(eventText), sockets: run.sockets.map(socketText) };
  const hits = [];
  for (const i of view.shown) if (haystack.packets[i].includes(needle)) hits.push({ kind: "packet", index: i, at: firstSeen(i) });
  run.events.forEach((event, index) => {
    if (haystack.events[index].includes(needle) && eventShown(event)) hits.push({ kind: "event", index, at: event.at });
  });
  run.sockets.forEach((socket, index) => {
    if (haystack.sockets[index].includes(needle) && socketShown(socket)) hits.push({ kind: "socket", index, at: socket.from });
  });
  return hits.sort((one, other) => one.at - other.at);
}

function packetText(i) {
  const payload = packets.size[i] ? utf8.decode(payloadOf(i)) : "";
  const connection = run.connections[packets.connection[i]] ?? "";
  return `${labelOf(i)} ${run.protocols[packets.protocol[i]]} ${connection} ${marksInWords(i).join(" ")} ${payload}`.toLowerCase();
}

function eventText(event) {
  return `${event.text} ${textOf(event)} ${nodeName(event.node)}`.toLowerCase();
}

function socketText(socket) {
  return `${socket.state} ${socket.local} ${socket.remote} ${socket.owner}`.toLowerCase();
}
