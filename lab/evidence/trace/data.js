// The run's data, inserted by Python: columns for packets, rows for other items.
// Times are microseconds since the start of the run. packets.seen has one for each capture of a packet, in the
// order of its path: its sightings. run.ways has the legs between nodes; a leg begins and ends with a sighting.
"use strict";

const run = JSON.parse(document.getElementById("run").textContent);
const packets = run.packets;
const count = packets.way.length;

// One bit each in packets.marks, as in packet_columns.py.
const LOST = 1, RETRANSMITTED = 2, DUPLICATE = 4, CHANGED = 8, RESET = 16, UNSENT = 32, CHORE = 64, PROBE = 128;
const PROBLEM = LOST | RETRANSMITTED | DUPLICATE | CHANGED | RESET;

function markWords() {
  return [
    [LOST, t("lost")], [RETRANSMITTED, t("retransmission")], [DUPLICATE, t("duplicate")],
    [CHANGED, t("corrupted")], [RESET, t("reset")], [UNSENT, t("sender not seen")], [PROBE, t("probe")],
  ];
}

// When a packet was first and last seen; the arrow of a delayed one runs from the first to the last.
function firstSeen(i) {
  return Math.min(...packets.seen[i]);
}

// The marks of a packet in words; `except` are bits to leave out.
function marksInWords(i, except = 0) {
  return markWords().filter(([bit]) => packets.marks[i] & bit & ~except).map(([, words]) => words);
}

// The place of each packet's first sighting in a list of all sightings, and the offset of its bytes. The bytes
// of the sightings follow each other, as far as they are kept; each piece is padded to a multiple of three.
packets.sighting = new Int32Array(count + 1);
packets.offset = new Int32Array(count + 1);
for (let i = 0; i < count; i++) {
  packets.sighting[i + 1] = packets.sighting[i] + packets.seen[i].length;
  packets.offset[i + 1] = packets.kept[i].reduce((at, length) => at + padded(length), packets.offset[i]);
}

function padded(length) {
  return Math.ceil((length ?? 0) / 3) * 3;
}

// Each piece starts on a group of four characters, so it is decoded without the others.
function keptBytes(offset, length) {
  const text = document.getElementById("bytes").firstChild.substringData(offset / 3 * 4, Math.ceil(length / 3) * 4);
  const whole = atob(text);
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = whole.charCodeAt(at);
  return bytes;
}

// The bytes of a packet's sighting; its first sighting is always kept.
function bytesOf(i, sighting = 0) {
  const before = packets.kept[i].slice(0, sighting).reduce((at, length) => at + padded(length), 0);
  return keptBytes(packets.offset[i] + before, packets.kept[i][sighting]);
}

// Whether the translation of a packet is written in the picture: that of the first packet of its flow.
packets.named = new Uint8Array(count);
{
  const before = new Set();
  packets.translation.forEach((translation, i) => {
    const key = `${translation} ${packets.connection[i]} ${packets.way[i]}`;
    if (translation === null || before.has(key)) return;
    before.add(key);
    packets.named[i] = 1;
  });
}

// The translation of a packet's addresses by a router, if there is one.
function translationAt(i, node) {
  const found = packets.translation[i];
  return found === null ? undefined : run.translations[found].find((translation) => translation.node === node);
}

function payloadOf(i) {
  const bytes = bytesOf(i);
  return bytes.subarray(...decode(bytes).payload);
}

// --- text from programs and peers ---------------------------------------------------------------

// Control characters, invisible ones, and those that change the direction of text.
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]/gu;

function visible(text) {
  return text.replace(UNSAFE, (c) => {
    const named = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0" }[c];
    const code = c.codePointAt(0);
    return named ?? (code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`);
  });
}

const utf8 = new TextDecoder("utf-8");

const TEXT_PREVIEW = 72, HEX_PREVIEW = 4; // characters, or bytes
const previews = new Map();

// The start of a packet's payload, as in `preview`; "" without one.
function previewOf(i) {
  if (!packets.size[i]) return "";
  let kept = previews.get(i);
  if (kept === undefined) {
    if (previews.size > 5000) previews.clear();
    previews.set(i, (kept = preview(payloadOf(i), packets.size[i])));
  }
  return kept;
}

// The start of a payload of `length` bytes: “text” in quotes, or else its first bytes: 05 00 00 00 …
// `payload` is the part of it in this page. packet.py has the same rule and defines when it is text.
function preview(payload, length) {
  const captured = payload.subarray(0, length);
  const text = textIn(captured, captured.length < length);
  if (text) return `“${visible(Array.from(text.slice(0, 2 * TEXT_PREVIEW)).slice(0, TEXT_PREVIEW).join(""))}”`;
  const more = captured.length && length > HEX_PREVIEW ? " …" : "";
  return hexBytes(captured.subarray(0, HEX_PREVIEW)) + more;
}

// The bytes decoded, or "" if they aren't text. If the capture cut them, the last character may be incomplete.
function textIn(bytes, isCut) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes, { stream: isCut });
    return /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/.test(text) ? "" : text;
  } catch {
    return "";
  }
}

// The text of an event or a band, safe to show; a text of the lab is translated, output isn't.
function textOf(item) {
  return visible(item.translated ? t(item.text) : item.text);
}

// --- words and numbers ---------------------------------------------------------------------------

function number(value) {
  return value.toLocaleString("en");
}

// A duration with a unit that fits it.
function duration(us) {
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${trimmed(us / 1000)} ms`;
  return `${trimmed(us / 1e6)} s`;
}

function trimmed(value) {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function clock(us, digits = 6) {
  return (us / 1e6).toFixed(digits);
}

function nodeName(index) {
  return index === null || index < 0 ? t("another node") : run.nodes[index].title;
}

function labelOf(i) {
  return run.labels[packets.label[i]];
}

function describe(i) {
  const ends = { source: nodeName(packets.source[i]), target: nodeName(packets.target[i]) };
  const words = [labelOf(i), t("{source} to {target}", ends), t("at {time} s", { time: clock(firstSeen(i)) })];
  return [...words, ...marksInWords(i)].join(", ");
}

// An element with text, which never becomes markup.
function element(tag, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}
