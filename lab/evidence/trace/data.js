// What the run left. Python wrote it into the page: columns for packets, rows for all else.
// Times are microseconds since the run's start; null where nothing was seen.
"use strict";

const run = JSON.parse(document.getElementById("run").textContent);
const packets = run.packets;
const count = packets.left.length;

// One bit each in packets.marks; columns.py has the same list.
const LOST = 1, RETRANSMITTED = 2, DUPLICATE = 4, CHANGED = 8, RESET = 16, UNSENT = 32, CHORE = 64, PROBE = 128;
const PROBLEM = LOST | RETRANSMITTED | DUPLICATE | CHANGED | RESET;

const MARK_WORDS = [
  [LOST, "lost"], [RETRANSMITTED, "retransmission"], [DUPLICATE, "duplicate"],
  [CHANGED, "changed on the way"], [RESET, "reset"], [UNSENT, "sender not seen"], [PROBE, "probe"],
];

// When a packet was first and last seen; a delayed one is drawn from the one to the other.
function firstSeen(i) {
  const left = packets.left[i], right = packets.right[i];
  return left === null ? right : right === null ? left : Math.min(left, right);
}

function lastSeen(i) {
  return Math.max(packets.left[i] ?? 0, packets.right[i] ?? 0);
}

function marksInWords(i) {
  return MARK_WORDS.filter(([bit]) => packets.marks[i] & bit).map(([, words]) => words);
}

// Where each packet's bytes begin: they stand one after the other, each padded to a multiple of three,
// as first seen and, where that is kept too, as seen past the router.
packets.offset = new Int32Array(count);
packets.offset2 = new Int32Array(count);
{
  const padded = (length) => Math.ceil((length ?? 0) / 3) * 3;
  let at = 0;
  for (let i = 0; i < count; i++) {
    packets.offset[i] = at;
    packets.offset2[i] = at += padded(packets.kept[i]);
    at += padded(packets.kept2[i]);
  }
}

// Each packet starts on a group of four characters, so one packet is decoded without the others.
function keptBytes(offset, length) {
  const text = document.getElementById("bytes").firstChild.substringData(offset / 3 * 4, Math.ceil(length / 3) * 4);
  const whole = atob(text);
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = whole.charCodeAt(at);
  return bytes;
}

function bytesOf(i) {
  return keptBytes(packets.offset[i], packets.kept[i]);
}

function payloadOf(i) {
  const bytes = bytesOf(i);
  return bytes.subarray(...decode(bytes).payload);
}

// --- text that somebody else wrote ---------------------------------------------------------------

// Control characters, invisible ones, and those that turn the direction of what follows.
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]/gu;

function visible(text) {
  return text.replace(UNSAFE, (c) => {
    const named = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0" }[c];
    const code = c.codePointAt(0);
    return named ?? (code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`);
  });
}

const utf8 = new TextDecoder("utf-8");

const previews = new Map();

// The first characters of a payload that is text; "" where it isn't.
function previewOf(i) {
  if (!packets.size[i]) return "";
  let kept = previews.get(i);
  if (kept === undefined) {
    if (previews.size > 5000) previews.clear();
    previews.set(i, (kept = textIn(payloadOf(i).subarray(0, 72))));
  }
  return kept;
}

function textIn(bytes) {
  const text = utf8.decode(bytes).replace(/\ufffd{1,3}$/, ""); // the last character may have been cut
  for (const c of text) if (c === "\ufffd" || (c < " " && !"\n\r\t".includes(c))) return "";
  return visible(text);
}

// --- words and numbers ---------------------------------------------------------------------------

function number(value) {
  return value.toLocaleString("en");
}

function plural(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

// A duration in the unit that suits it.
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
  return index === null || index < 0 ? "another node" : run.nodes[index].title;
}

function labelOf(i) {
  return run.labels[packets.label[i]];
}

function describe(i) {
  const words = [labelOf(i), `${nodeName(packets.source[i])} to ${nodeName(packets.target[i])}`, `at ${clock(firstSeen(i))} s`];
  return [...words, ...marksInWords(i)].join(", ");
}

// An element with text; text never becomes markup.
function element(tag, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}
