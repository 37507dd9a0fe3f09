// Decodes a packet's headers field by field, each with the range of its bytes. Field names aren't translated:
// they are those of the RFCs.
//
// Strategy. A Reader walks over the bytes; a header is {title, note, from, to, fields}, and each decoder
// calls the next one by protocol number. The packet may be truncated anywhere: a read past the end throws
// Cut, and the fields decoded until then are kept.
"use strict";

class Cut extends Error {}

const ETHERTYPES = { 0x0800: "IPv4", 0x0806: "ARP", 0x86dd: "IPv6", 0x8100: "VLAN" };
const IP_PROTOCOLS = { 0: "Hop-by-Hop", 1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 43: "Routing", 44: "Fragment",
  58: "ICMPv6", 59: "nothing", 60: "Destination options", 132: "SCTP" };
const TCP_FLAGS = [[0x100, "AE"], [0x80, "CWR"], [0x40, "ECE"], [0x20, "URG"], [0x10, "ACK"], [8, "PSH"], [4, "RST"], [2, "SYN"], [1, "FIN"]];
const ICMP_TYPES = { 0: "echo reply", 3: "destination unreachable", 4: "source quench", 5: "redirect", 8: "echo request",
  11: "time exceeded", 12: "parameter problem", 13: "timestamp", 14: "timestamp reply" };
const UNREACHABLE = ["network unreachable", "host unreachable", "protocol unreachable", "port unreachable", "fragmentation needed",
  "source route failed", "network unknown", "host unknown", "source isolated", "network prohibited", "host prohibited",
  "network unreachable for ToS", "host unreachable for ToS", "communication prohibited"];
const ICMP6_TYPES = { 1: "destination unreachable", 2: "packet too big", 3: "time exceeded", 4: "parameter problem", 128: "echo request",
  129: "echo reply", 130: "listener query", 131: "listener report", 133: "router solicitation", 134: "router advertisement",
  135: "neighbour solicitation", 136: "neighbour advertisement", 137: "redirect", 143: "listener report v2" };
const UNREACHABLE6 = ["no route", "administratively prohibited", "beyond scope", "address unreachable", "port unreachable"];

class Reader {
  constructor(bytes, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
    this.end = end;
    this.headers = [];
  }

  header(title) {
    this.current = { title, note: "", from: this.at, to: this.at, fields: [] };
    this.headers.push(this.current);
    return this.current;
  }

  // Reads an unsigned number of 1, 2 or 4 bytes; `show` turns it into text.
  read(name, size, show = String) {
    if (this.at + size > this.bytes.length) throw new Cut();
    const value = size === 1 ? this.view.getUint8(this.at) : size === 2 ? this.view.getUint16(this.at) : this.view.getUint32(this.at);
    this.field(name, show(value), this.at, this.at + size);
    this.skip(size);
    return value;
  }

  // Reads `size` bytes; `show` turns them into text.
  take(name, size, show) {
    if (this.at + size > this.bytes.length) throw new Cut();
    const text = show(this.bytes.subarray(this.at, this.at + size));
    this.field(name, text, this.at, this.at + size);
    this.skip(size);
    return text;
  }

  field(name, value, from, to) {
    this.current.fields.push({ name, value, from, to });
  }

  skip(size) {
    this.at += size;
    this.current.to = Math.min(this.at, this.bytes.length);
  }
}

// Returns {headers, payload: [from, to], cut: whether the capture ends inside a header}.
function decode(bytes) {
  const reader = new Reader(bytes);
  let cut = false;
  try {
    ethernet(reader);
  } catch (error) {
    if (!(error instanceof Cut)) throw error;
    cut = true;
  }
  const end = Math.min(reader.end, bytes.length);
  return { headers: reader.headers, payload: [cut ? end : Math.min(reader.at, end), end], cut };
}

function ethernet(reader) {
  const header = reader.header("Ethernet");
  const target = reader.take("destination", 6, mac);
  const source = reader.take("source", 6, mac);
  header.note = `${source} → ${target}`;
  let type = reader.read("type", 2, (value) => named(ETHERTYPES, value, hex4));
  if (type === 0x8100) {
    reader.read("VLAN", 2, (value) => String(value & 0xfff));
    type = reader.read("type", 2, (value) => named(ETHERTYPES, value, hex4));
  }
  if (type === 0x0806) arp(reader);
  else internet(reader, type === 0x0800 ? 4 : type === 0x86dd ? 6 : 0);
}

function arp(reader) {
  const header = reader.header("ARP");
  reader.read("hardware type", 2, (value) => (value === 1 ? "Ethernet (1)" : String(value)));
  reader.read("protocol type", 2, (value) => named(ETHERTYPES, value, hex4));
  reader.read("hardware size", 1);
  reader.read("protocol size", 1);
  const operation = reader.read("operation", 2, (value) => ({ 1: "request (1)", 2: "reply (2)" })[value] ?? String(value));
  reader.take("sender MAC", 6, mac);
  const sender = reader.take("sender IP", 4, ip4);
  reader.take("target MAC", 6, mac);
  const target = reader.take("target IP", 4, ip4);
  header.note = operation === 1 ? `who has ${target}? tell ${sender}` : `${sender} is at the sender's MAC`;
}

function internet(reader, version) {
  if (version === 4) ipv4(reader);
  else if (version === 6) ipv6(reader);
}

function ipv4(reader) {
  const start = reader.at;
  const header = reader.header("IPv4");
  const first = reader.read("version, header length", 1, (value) => `${value >> 4}, ${(value & 15) * 4} bytes`);
  reader.read("DSCP, ECN", 1, (value) => `${value >> 2}, ${value & 3}`);
  const length = reader.read("total length", 2, bytesWord);
  reader.read("identification", 2, hex4);
  const fragment = reader.read("flags, fragment offset", 2, fragmentWord);
  reader.read("time to live", 1);
  const protocol = reader.read("protocol", 1, (value) => named(IP_PROTOCOLS, value));
  reader.read("checksum", 2, hex4);
  const source = reader.take("source", 4, ip4);
  const target = reader.take("destination", 4, ip4);
  header.note = `${source} → ${target}`;
  const end = start + (first & 15) * 4;
  if (end > reader.at) reader.take("options", end - reader.at, hexBytes);
  // The length may be 0 with segmentation offload; frames shorter than 60 bytes are padded.
  if (length) reader.end = Math.min(reader.end, start + length);
  if (fragment & 0x1fff) reader.header("a later fragment").note = "its first fragment has the header that follows IP";
  else transport(reader, protocol);
}

function fragmentWord(value) {
  const flags = [value & 0x4000 ? "don't fragment" : "", value & 0x2000 ? "more fragments" : ""].filter(Boolean);
  return `${flags.join(", ") || "none"}; offset ${(value & 0x1fff) * 8}`;
}

function ipv6(reader) {
  const start = reader.at;
  const header = reader.header("IPv6");
  reader.read("version, class, flow label", 4, (value) => `${value >>> 28}, ${(value >>> 20) & 255}, 0x${(value & 0xfffff).toString(16)}`);
  const length = reader.read("payload length", 2, bytesWord);
  let next = reader.read("next header", 1, (value) => named(IP_PROTOCOLS, value));
  reader.read("hop limit", 1);
  const source = reader.take("source", 16, ip6);
  const target = reader.take("destination", 16, ip6);
  header.note = `${source} → ${target}`;
  if (length) reader.end = Math.min(reader.end, start + 40 + length);
  while ([0, 43, 44, 60].includes(next)) {
    const extension = reader.at;
    reader.header(`IPv6 ${IP_PROTOCOLS[next]}`);
    const fragment = next === 44;
    next = reader.read("next header", 1, (value) => named(IP_PROTOCOLS, value));
    const words = reader.read(fragment ? "reserved" : "length", 1, (value) => (fragment ? String(value) : bytesWord(8 + value * 8)));
    if (!fragment) {
      reader.take("content", extension + 8 + words * 8 - reader.at, hexBytes);
      continue;
    }
    const place = reader.read("offset, more", 2, (value) => `offset ${value & 0xfff8}${value & 1 ? ", more fragments" : ""}`);
    reader.read("identification", 4, (value) => `0x${value.toString(16)}`);
    if (place & 0xfff8) return;
  }
  transport(reader, next);
}

function transport(reader, protocol) {
  if (protocol === 6) tcp(reader);
  else if (protocol === 17) udp(reader);
  else if (protocol === 1) icmp(reader, ICMP_TYPES, 3, UNREACHABLE, "ICMP");
  else if (protocol === 58) icmp(reader, ICMP6_TYPES, 1, UNREACHABLE6, "ICMPv6");
}

function tcp(reader) {
  const start = reader.at;
  const header = reader.header("TCP");
  const source = reader.read("source port", 2);
  const target = reader.read("destination port", 2);
  header.sequence = reader.read("sequence number", 4);
  header.acknowledgment = reader.read("acknowledgment number", 4);
  const rest = reader.read("header length, flags", 2, (value) => `${(value >> 12) * 4} bytes, ${flagWords(value) || "none"}`);
  header.flags = rest & 0x1ff;
  header.note = `${source} → ${target}  ${flagWords(rest)}`;
  reader.read("window", 2);
  reader.read("checksum", 2, hex4);
  reader.read("urgent pointer", 2);
  tcpOptions(reader, start + (rest >> 12) * 4);
}

function flagWords(value) {
  return TCP_FLAGS.filter(([bit]) => value & bit).map(([, name]) => name).join(" ");
}

// RFC 9293 section 3.2, RFC 7323, RFC 2018, RFC 7413
function tcpOptions(reader, end) {
  while (reader.at < end) {
    const start = reader.at;
    const kind = reader.bytes[start];
    if (kind === undefined) throw new Cut();
    if (kind < 2) {
      reader.take("option", 1, () => (kind ? "no operation" : "end of options"));
      if (!kind) return;
      continue;
    }
    const length = reader.bytes[start + 1];
    if (length === undefined || length < 2) throw new Cut();
    reader.take("option", Math.min(length, end - start), (bytes) => optionWord(kind, bytes));
  }
}

function optionWord(kind, bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (kind === 2 && bytes.length === 4) return `maximum segment size ${view.getUint16(2)}`;
  if (kind === 3 && bytes.length === 3) return `window scale ${bytes[2]} (× ${2 ** bytes[2]})`;
  if (kind === 4) return "SACK permitted";
  if (kind === 8 && bytes.length === 10) return `timestamps ${view.getUint32(2)}, echo ${view.getUint32(6)}`;
  if (kind === 5) {
    const blocks = [];
    for (let at = 2; at + 8 <= bytes.length; at += 8) blocks.push(`${view.getUint32(at)}–${view.getUint32(at + 4)}`);
    return `SACK ${blocks.join(", ")}`;
  }
  return `kind ${kind}: ${hexBytes(bytes.subarray(2))}`;
}

function udp(reader) {
  const header = reader.header("UDP");
  const source = reader.read("source port", 2);
  const target = reader.read("destination port", 2);
  reader.read("length", 2, bytesWord);
  reader.read("checksum", 2, hex4);
  header.note = `${source} → ${target}`;
}

function icmp(reader, types, unreachable, codes, title) {
  const header = reader.header(title);
  const type = reader.read("type", 1, (value) => named(types, value));
  const code = reader.read("code", 1, (value) => (type === unreachable && codes[value] ? `${codes[value]} (${value})` : String(value)));
  reader.read("checksum", 2, hex4);
  header.note = (type === unreachable && codes[code]) || types[type] || `type ${type}`;
  const echo = title === "ICMP" ? type === 8 || type === 0 : type === 128 || type === 129;
  if (echo) {
    reader.read("identifier", 2);
    reader.read("sequence number", 2);
    return;
  }
  const error = title === "ICMP" ? [3, 4, 5, 11, 12].includes(type) : type < 128;
  reader.read(type === 3 && code === 4 && title === "ICMP" ? "unused, next-hop MTU" : title !== "ICMP" && type === 2 ? "MTU" : "rest of header", 4);
  if (!error) return;
  const before = reader.headers.length;
  internet(reader, title === "ICMP" ? 4 : 6);
  for (const quoted of reader.headers.slice(before)) quoted.title = `the packet it is about: ${quoted.title}`;
}

// --- how values are shown ------------------------------------------------------------------------

function named(names, value, show = String) {
  return names[value] ? `${names[value]} (${show(value)})` : show(value);
}

function hex4(value) {
  return `0x${value.toString(16).padStart(4, "0")}`;
}

function bytesWord(value) {
  return t("{count} bytes", { count: number(value) });
}

function hexBytes(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

function mac(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

function ip4(bytes) {
  return bytes.join(".");
}

// RFC 5952: lower case, the longest run of two or more zero groups becomes "::".
function ip6(bytes) {
  const groups = [];
  for (let at = 0; at < 16; at += 2) groups.push((bytes[at] << 8 | bytes[at + 1]).toString(16));
  let best = "";
  for (const zeros of groups.join(":").match(/\b0(:0)+\b/g) ?? []) if (zeros.length > best.length) best = zeros;
  if (!best) return groups.join(":");
  const [before, after] = splitOnce(groups.join(":"), best);
  return `${before.replace(/:$/, "")}::${after.replace(/^:/, "")}`;
}

function splitOnce(text, separator) {
  const at = text.search(new RegExp(`(^|:)${separator}(:|$)`));
  const start = text[at] === ":" ? at + 1 : at;
  return [text.slice(0, start), text.slice(start + separator.length)];
}
