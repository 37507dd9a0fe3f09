// The details panel: everything about the selected item; of a packet the headers, the text and the bytes.
"use strict";

const panel = document.getElementById("details");
const MAX_HEX = 2048; // bytes shown at first; a click shows the rest

function showDetails(item) {
  panel.replaceChildren(panelHead(titleOf(item)), ...{ packet: packetDetails, event: eventDetails, socket: socketDetails, band: bandDetails }[item.kind](item.index));
  const opened = panel.hidden;
  panel.hidden = false;
  panel.scrollTop = 0;
  if (opened) resize();
}

function closeDetails() {
  if (panel.hidden) return false;
  const inside = panel.contains(document.activeElement);
  panel.hidden = true;
  resize();
  if (inside) canvas.focus();
  return true;
}

function titleOf({ kind, index }) {
  if (kind === "packet") return `${labelOf(index)}`;
  if (kind === "socket") return t("{state} on {node}", { state: run.sockets[index].state, node: nodeName(run.sockets[index].node) });
  if (kind === "band") return textOf(run.bands[index]);
  const event = run.events[index];
  return `${event.node >= 0 ? nodeName(event.node) : "lab"}: ${eventWord(event.kind)}`;
}

function eventWord(kind) {
  return { start: t("program started"), stdout: t("a line of output"), stderr: t("a line on stderr"), exit: t("program exited"),
    fault: t("fault"), link: t("link changed"), note: t("note"), verdict: t("verdict"), counter: t("kernel counter") }[kind] ?? kind;
}

function panelHead(title) {
  const close = element("button", { type: "button", class: "close", "aria-label": t("Close details (Esc)"), text: "✕" });
  close.addEventListener("click", closeDetails);
  return element("div", { class: "panel-head" }, element("h2", { text: visible(title) }), close);
}

function facts(pairs) {
  const list = element("dl", { class: "facts" });
  for (const [name, value] of pairs) {
    if (value === "" || value === null || value === undefined) continue;
    list.append(element("dt", { text: name }), value instanceof Node ? element("dd", {}, value) : element("dd", { text: visible(String(value)) }));
  }
  return list;
}

// --- events, sockets, bands ----------------------------------------------------------------------

function eventDetails(index) {
  const event = run.events[index];
  const data = Object.entries(event.data ?? {}).map(([name, value]) => [name, typeof value === "object" ? JSON.stringify(value) : value]);
  const command = run.events.find((other) => other.program && other.program === event.program && other.kind === "start");
  return [
    facts([[t("at"), `${clock(event.at)} s`], [t("program"), event.program ? `${event.program}${command ? `: ${command.text}` : ""}` : ""], ...data]),
    element("pre", { class: "whole", text: event.translated ? textOf(event) : event.text.split("\n").map(visible).join("\n") }),
  ];
}

function socketDetails(index) {
  const socket = run.sockets[index];
  const life = run.sockets.map((other, place) => [other, place]).filter(([other]) => other.life === socket.life);
  const steps = element("ol", { class: "life" });
  for (const [step, place] of life) {
    const lasted = t("for {duration}", { duration: duration(step.to - step.from) });
    steps.append(element("li", { text: `${clock(step.from)}  ${step.state}  ${lasted}`, ...(place === index ? { "aria-current": "true" } : {}) }));
  }
  return [
    facts([[t("from"), `${clock(socket.from)} s`], [t("duration"), duration(socket.to - socket.from)], [t("protocol"), socket.protocol],
      [t("local"), socket.local], [t("remote"), socket.remote], [t("program"), socket.owner],
      [t("largest receive queue"), socket.waiting ? number(socket.waiting) : ""]]),
    element("h3", { text: t("Its states, as sampled") }), steps,
  ];
}

function bandDetails(index) {
  const band = run.bands[index];
  return [facts([[t("from"), `${clock(band.from)} s`], [t("to"), `${clock(band.to)} s`], [t("duration"), duration(band.to - band.from)],
    [t("where"), band.node >= 0 ? nodeName(band.node) : t("the link")]])];
}

// --- packets -------------------------------------------------------------------------------------

function packetDetails(i) {
  const box = element("div");
  const kept = packets.kept[i].flatMap((length, sighting) => (length === null ? [] : [sighting]));
  const parts = [packetFacts(i)];
  if (kept.length > 1) parts.push(sightingTabs(i, kept, (sighting) => box.replaceChildren(...decoded(i, sighting))));
  box.replaceChildren(...decoded(i, 0));
  return [...parts, box];
}

function packetFacts(i) {
  const connection = packets.connection[i];
  return facts([
    [t("from, to"), `${nodeName(packets.source[i])} → ${nodeName(packets.target[i])}`],
    ...sightingFacts(i),
    ...routerFacts(i),
    [t("fate"), fateOf(i)],
    [t("connection"), connection === null ? "" : connectionButton(connection)],
    [t("size"), t("{size} on the wire, {payload} of payload", { size: bytesWord(packets.wire[i]), payload: bytesWord(packets.size[i]) })],
  ]);
}

// When the packet was seen in each capture, and the segment at either end on which it wasn't seen.
function sightingFacts(i) {
  const { captures, unsent, lost } = run.ways[packets.way[i]], seen = packets.seen[i];
  const found = captures.map((capture, k) => {
    const later = k ? t(" ({duration} later)", { duration: duration(seen[k] - seen[k - 1]) }) : "";
    return [placeOf(capture), `${clock(seen[k])} s${later}`];
  });
  const missing = (node) => Object.keys(run.nodes[node]?.segments ?? {}).slice(0, 1)
    .filter((segment) => !captures.some((capture) => run.captures[capture].segment === segment))
    .map((segment) => [t("on {segment}", { segment }), t("not seen")]);
  return [...(unsent ? missing(packets.source[i]) : []), ...found, ...(lost === null ? [] : missing(packets.target[i]))];
}

// The place of a capture; of a segment with several routers, the router that made it, too.
function placeOf(capture) {
  const { segment, node } = run.captures[capture];
  if (run.captures.filter((other) => other.segment === segment).length < 2) return t("on {segment}", { segment });
  return t("on {segment}, by {router}", { segment, router: nodeName(node) });
}

// The time in each router of several, and the translation of addresses.
function routerFacts(i) {
  const legs = run.ways[packets.way[i]].legs, seen = packets.seen[i];
  return legs.slice(1).flatMap(([node, , left], number) => {
    const router = nodeName(node), translation = translationAt(i, node), entered = legs[number][3];
    const took = legs.length > 2 ? [[t("in {router}", { router }), duration(seen[left] - seen[entered])]] : [];
    return translation ? [...took, [t("translated by {router}", { router }), translation.text]] : took;
  });
}

function fateOf(i) {
  const { lost, beyond } = run.ways[packets.way[i]];
  if (lost === null) return marksInWords(i, RESET).join(", ");
  const fate = beyond ? t("lost on {segment}", { segment: beyond }) : t("lost in {router}", { router: nodeName(lost) });
  return packets.marks[i] & RETRANSMITTED ? t("{fate}; itself a retransmission", { fate }) : fate;
}

function connectionButton(connection) {
  const button = element("button", { type: "button", class: "link", text: visible(run.connections[connection]) });
  button.addEventListener("click", () => setFilter("connection", filter.connection === String(connection) ? "" : String(connection)));
  button.title = t("show only this connection, or all again");
  return button;
}

function sightingTabs(i, kept, show) {
  const group = element("div", { class: "tabs", role: "group", "aria-label": t("as seen on") });
  kept.forEach((sighting, position) => {
    const { segment } = run.captures[run.ways[packets.way[i]].captures[sighting]];
    const button = element("button", { type: "button", "aria-pressed": String(!position), text: t("as seen on {segment}", { segment }) });
    button.addEventListener("click", () => {
      for (const other of group.children) other.setAttribute("aria-pressed", String(other === button));
      show(sighting);
    });
    group.append(button);
  });
  return group;
}

function decoded(i, sighting) {
  const bytes = bytesOf(i, sighting);
  const cut = packets.wire[i] - bytes.length;
  if (!bytes.length) return [element("p", { class: "cut", text: t("The bytes of this packet are only in the capture.") })];
  const { headers, payload, cut: headerCut } = decode(bytes);
  relativeNumbers(i, headers);
  const dump = hexDump(bytes);
  const parts = [headerTree(headers, dump), ...payloadText(bytes.subarray(...payload)), element("h3", { text: t("Bytes") }), dump.element];
  if (cut > 0) parts.push(element("p", { class: "cut", text: missingBytes(cut, headerCut) }));
  return parts;
}

function missingBytes(cut, headerCut) {
  const size = { size: bytesWord(cut) };
  if (headerCut) return t("{size} of this packet, part of a header among them, aren't in this page", size);
  return t("{size} of this packet aren't in this page", size);
}

// Shows sequence numbers relative to the first packet of each direction.
function relativeNumbers(i, headers) {
  const header = headers.find(({ title }) => title === "TCP");
  if (!header || packets.connection[i] === null) return;
  const own = initialNumber(i, packets.source[i]), peer = initialNumber(i, packets.target[i]);
  const relative = (value, initial) => (value - initial) >>> 0;
  const replace = (name, value, initial) => {
    const field = header.fields.find((candidate) => candidate.name === name);
    if (field && initial !== null) field.value = `${number(relative(value, initial))}  (${field.value})`;
  };
  replace("sequence number", header.sequence, own);
  if (header.flags & 0x10) replace("acknowledgment number", header.acknowledgment, peer);
}

const initialNumbers = new Map();

function initialNumber(i, node) {
  const connection = packets.connection[i], key = `${connection} ${node}`;
  if (!initialNumbers.has(key)) {
    const first = packets.connection.findIndex((other, index) => other === connection && packets.source[index] === node);
    const header = first < 0 ? null : decode(bytesOf(first)).headers.find(({ title }) => title === "TCP");
    initialNumbers.set(key, header && header.flags & 2 ? header.sequence : null);
  }
  return initialNumbers.get(key);
}

function headerTree(headers, dump) {
  const tree = element("div", { class: "headers" });
  for (const header of headers) {
    const summary = element("summary", {}, element("b", { text: header.title }), " ", element("span", { text: visible(header.note) }));
    const list = element("dl", { class: "facts fields" });
    for (const field of header.fields) {
      const row = element("div", { class: "field", tabindex: "0" }, element("dt", { text: field.name }), element("dd", { text: visible(field.value) }));
      lightUp(row, dump, field);
      list.append(row);
    }
    const part = element("details", { ...(["Ethernet"].includes(header.title) ? {} : { open: "" }) }, summary, list);
    lightUp(summary, dump, header);
    tree.append(part);
  }
  return tree;
}

// While the pointer is over a field, or the field has the focus, its bytes are highlighted in the dump.
function lightUp(row, dump, { from, to }) {
  for (const name of ["mouseenter", "focus"]) row.addEventListener(name, () => dump.mark(from, to));
  for (const name of ["mouseleave", "blur"]) row.addEventListener(name, () => dump.mark(0, 0));
}

const ENCODINGS = [["utf-8", "UTF-8"], ["gb18030", "GBK"]];

function payloadText(payload) {
  if (!payload.length) return [];
  const whole = (name) => {
    try {
      return new TextDecoder(name, { fatal: true }).decode(payload) !== null;
    } catch {
      return false;
    }
  };
  const best = whole("utf-8") || !whole("gb18030") ? "utf-8" : "gb18030";
  const text = element("pre", { class: "text" });
  const group = element("div", { class: "tabs", role: "group", "aria-label": t("decode as") });
  const show = (name) => {
    for (const button of group.children) button.setAttribute("aria-pressed", String(button.dataset.name === name));
    text.replaceChildren(...shownLines(new TextDecoder(name).decode(payload)));
  };
  for (const [name, title] of ENCODINGS) {
    const button = element("button", { type: "button", text: title, "data-name": name });
    button.addEventListener("click", () => show(name));
    group.append(button);
  }
  show(best);
  return [element("div", { class: "row" }, element("h3", { text: t("Payload as text, {size}", { size: bytesWord(payload.length) }) }), group), text];
}

// Text with its line ends; other control characters are highlighted escapes.
function shownLines(text) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(UNSAFE)) {
    parts.push(text.slice(at, found.index), element("i", { text: visible(found[0]) }));
    if (found[0] === "\n") parts.push("\n");
    at = found.index + found[0].length;
  }
  parts.push(text.slice(at));
  return parts.filter((part) => part !== "");
}

// --- bytes ---------------------------------------------------------------------------------------

function hexDump(bytes, limit = MAX_HEX) {
  const box = element("div", { class: "hex", tabindex: "0", role: "region", "aria-label": t("bytes in hexadecimal") });
  const cells = [];
  const append = (from, to) => {
    for (let start = from; start < to; start += 16) box.append(hexRow(bytes, start, Math.min(start + 16, to), cells));
  };
  const first = Math.min(limit, bytes.length);
  append(0, first);
  if (first < bytes.length) {
    const more = element("button", { type: "button", class: "more", text: t("show the other {size}", { size: bytesWord(bytes.length - first) }) });
    more.addEventListener("click", () => {
      more.remove();
      append(first, bytes.length);
    });
    box.append(more);
  }
  let marked = [0, 0];
  const mark = (from, to) => {
    const paint = (on) => {
      for (let at = marked[0]; at < marked[1]; at++) for (const cell of cells[at] ?? []) cell.classList.toggle("marked", on);
    };
    paint(false);
    marked = [from, to];
    paint(true);
  };
  return { element: box, mark };
}

function hexRow(bytes, from, to, cells) {
  const row = element("div", {}, element("span", { class: "offset", text: from.toString(16).padStart(4, "0") }));
  const hex = element("span", { class: "octets" }), ascii = element("span", { class: "ascii" });
  for (let at = from; at < to; at++) {
    const byte = bytes[at];
    cells[at] = [element("span", { text: byte.toString(16).padStart(2, "0") }), element("span", { text: byte > 31 && byte < 127 ? String.fromCharCode(byte) : "·" })];
    hex.append(cells[at][0], at - from === 7 ? "  " : " ");
    ascii.append(cells[at][1]);
  }
  row.append(hex, ascii);
  return row;
}
