// Pointer, keys, tool bar; and the start.
"use strict";

const status = document.getElementById("status");
const searchField = document.getElementById("search");
const stage = document.getElementById("stage");
const help = document.getElementById("help");

// --- choosing ------------------------------------------------------------------------------------

// Selects an item, brings it into view, and tells it to those who don't see the picture.
function select(item, { open = !panel.hidden, bring = true } = {}) {
  view.selected = item;
  if (!item) return redraw();
  if (open) showDetails(item);
  if (bring) reveal(heightOf(item));
  say(spoken(item));
  redraw();
}

function heightOf({ kind, index }) {
  return { packet: view.first, event: view.eventY, socket: view.socketFrom, band: view.bandFrom }[kind][index];
}

function spoken(item) {
  if (item.kind === "packet") return `packet ${number(view.order[item.index] + 1)} of ${number(view.shown.length)}: ${describe(item.index)}`;
  if (item.kind === "event") return `${titleOf(item)}: ${visible(run.events[item.index].text)}`;
  return titleOf(item);
}

function say(text) {
  status.textContent = text;
}

// The next or previous packet that is shown; within its connection where `same` is set.
function step(by, same = false) {
  if (!view.shown.length) return;
  const selected = view.selected?.kind === "packet" ? view.selected.index : -1;
  let position = selected >= 0 ? view.order[selected] + by : by > 0 ? nearestToTop() : view.shown.length - 1;
  if (selected >= 0 && same) {
    while (view.shown[position] !== undefined && packets.connection[view.shown[position]] !== packets.connection[selected]) position += by;
  }
  const next = view.shown[position];
  if (next !== undefined) select({ kind: "packet", index: next });
}

function nearestToTop() {
  const [from, to] = shownBetween(0, view.height);
  return Math.min(from, Math.max(to - 1, 0));
}

// What is under a point: boxes before lines, the nearest line within 6 pixels.
function itemAt(x, y) {
  for (let at = boxes.length - 1; at >= 0; at--) {
    const box = boxes[at];
    if (x >= box.x && x <= box.x + box.width && y >= box.y && y <= box.y + box.height) return { kind: box.kind, index: box.index };
  }
  let nearest = null, distance = 7;
  const [from, to] = shownBetween(y - 20, y + 20);
  for (let position = from; position < to; position++) {
    const i = view.shown[position];
    const away = distanceTo(wayOnScreen(i, ...heights(i)).points, x, y, i);
    if (away < distance) [nearest, distance] = [{ kind: "packet", index: i }, away];
  }
  return nearest;
}

function distanceTo(points, x, y, i) {
  let least = Infinity;
  for (let at = 1; at < points.length; at++) least = Math.min(least, toSegment(points[at - 1], points[at], x, y));
  // Its label stands above the first stretch.
  const [[one, height], [other]] = points;
  if (x > Math.min(one, other) && x < Math.max(one, other) && height - y > 0 && height - y < 14) least = Math.min(least, 5);
  return least;
}

function toSegment([x1, y1], [x2, y2], x, y) {
  const length = (x2 - x1) ** 2 + (y2 - y1) ** 2;
  const along = length ? Math.max(0, Math.min(1, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length)) : 0;
  return Math.hypot(x - x1 - along * (x2 - x1), y - y1 - along * (y2 - y1));
}

// --- pointer -------------------------------------------------------------------------------------

const pointers = new Map();
let grip = null; // what a press on the canvas began: {y, scroll, moved, overview} or {apart}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  const inOverview = event.offsetX > view.layout.end;
  grip = pointers.size === 2 ? { apart: apart() } : { y: event.offsetY, scroll: view.scroll, moved: false, inOverview };
  if (inOverview && pointers.size === 1) overviewScroll(event.offsetY);
});

canvas.addEventListener("pointermove", (event) => {
  if (!pointers.has(event.pointerId)) return point(event);
  pointers.set(event.pointerId, event);
  if (pointers.size === 2) return pinch();
  if (!grip || grip.apart) return;
  if (Math.abs(event.offsetY - grip.y) > 3) grip.moved = true;
  if (grip.inOverview) overviewScroll(event.offsetY);
  else if (grip.moved) scrollTo(grip.scroll + grip.y - event.offsetY);
  canvas.style.cursor = grip.moved ? "grabbing" : "";
});

for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => {
  pointers.delete(event.pointerId);
  const click = name === "pointerup" && grip && !grip.moved && !grip.inOverview && !grip.apart;
  if (!pointers.size) grip = null;
  canvas.style.cursor = "";
  if (!click) return;
  const item = itemAt(event.offsetX, event.offsetY);
  if (item) select(item, { open: true, bring: false });
  else select(null);
});

canvas.addEventListener("pointerleave", () => {
  if (view.hover) {
    view.hover = null;
    redraw();
  }
});

function point(event) {
  const item = event.offsetX > view.layout.end ? null : itemAt(event.offsetX, event.offsetY);
  canvas.style.cursor = item ? "pointer" : "";
  canvas.title = item ? tipOf(item) : "";
  if (item?.kind === view.hover?.kind && item?.index === view.hover?.index) return;
  view.hover = item;
  redraw();
}

function tipOf({ kind, index }) {
  if (kind === "packet") return describe(index);
  if (kind === "socket") {
    const { state, local, remote, from, to } = run.sockets[index];
    return `${state} ${visible(local)} ↔ ${visible(remote)}, ${duration(to - from)}`;
  }
  return visible((kind === "band" ? run.bands : run.events)[index].text).slice(0, 400);
}

function apart() {
  const [one, other] = [...pointers.values()];
  return { span: Math.max(Math.hypot(one.offsetX - other.offsetX, one.offsetY - other.offsetY), 10), middle: (one.offsetY + other.offsetY) / 2 };
}

function pinch() {
  const now = apart();
  zoomBy(now.span / grip.apart.span, now.middle);
  scrollTo(view.scroll + grip.apart.middle - now.middle);
  grip.apart = now;
}

// Pinching a touchpad arrives as a wheel with Ctrl.
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const lines = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? view.height : 1;
  if (event.ctrlKey || event.metaKey || event.altKey) zoomBy(Math.exp(-event.deltaY * lines / 240), event.offsetY);
  else scrollTo(view.scroll + event.deltaY * lines);
}, { passive: false });

// --- keys ----------------------------------------------------------------------------------------

const KEYS = {
  ArrowDown: () => step(1), ArrowUp: () => step(-1), j: () => step(1), k: () => step(-1),
  ArrowRight: () => step(1, true), ArrowLeft: () => step(-1, true),
  Enter: openSelected,
  "/": () => searchField.select(), n: () => hit(1), N: () => hit(-1),
  "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5), 0: fit,
  PageDown: () => scrollTo(view.scroll + view.height * 0.9), PageUp: () => scrollTo(view.scroll - view.height * 0.9), " ": () => scrollTo(view.scroll + view.height * 0.9),
  Home: () => scrollTo(0), End: () => scrollTo(totalHeight()),
  s: () => setSqueezed(!view.squeezed), p: () => document.getElementById("problems").click(), t: switchTheme, "?": () => help.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  if (event.key === "Escape") return escape(event);
  if (event.target === searchField) return searchKey(event);
  const control = event.target.closest("button, select, summary, input, a, .hex, .whole, .text");
  if (control && ["Enter", " ", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Home", "End", "PageUp", "PageDown"].includes(event.key)) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

function escape(event) {
  event.preventDefault();
  if (event.target === searchField) canvas.focus();
  else if (!closeDetails()) select(null);
}

function searchKey(event) {
  if (event.key !== "Enter") return;
  event.preventDefault();
  find(); // what was typed a moment ago may not have been looked for yet
  hit(event.shiftKey ? -1 : 1);
}

function openSelected() {
  if (!view.selected) step(1);
  if (!view.selected) return;
  showDetails(view.selected);
  panel.querySelector("button").focus();
}

// --- search and filter ---------------------------------------------------------------------------

const found = document.getElementById("found");
let soughtFor = "";
let typing = 0;

searchField.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(find, count > 5000 ? 200 : 60);
});

function find() {
  clearTimeout(typing);
  if (searchField.value === soughtFor) return;
  soughtFor = searchField.value;
  view.hits = search(soughtFor);
  view.hit = -1;
  tellHits();
  if (view.hits.length) hit(1);
  view.hit = -1; // Enter then starts with the one that is shown
  redraw();
}

function hit(by) {
  const { length } = view.hits;
  if (!length) return;
  view.hit = view.hit < 0 ? (by > 0 ? 0 : length - 1) : (view.hit + by + length) % length;
  const { kind, index } = view.hits[view.hit];
  select({ kind, index });
  tellHits();
}

function tellHits() {
  const { length } = view.hits;
  found.textContent = !soughtFor.trim() ? "" : length ? `${view.hit < 0 ? 1 : number(view.hit + 1)} of ${number(length)}` : "nothing found";
}

function setFilter(name, value) {
  if (name === "kind") filter.kinds[filter.kinds.has(value) ? "delete" : "add"](value);
  else filter[name] = value;
  const field = document.getElementById(name);
  if (field) field.value = value;
  refilter();
}

function refilter() {
  overview = null;
  rebuild(view.height / 2);
  if (view.selected?.kind === "packet" && view.order[view.selected.index] < 0) view.selected = null;
  if (soughtFor) {
    view.hits = search(soughtFor);
    view.hit = -1;
    tellHits();
  }
  tellCounts();
  placeHeads();
}

function tellCounts() {
  const all = view.shown.length === count ? "" : ` of ${number(count)}`;
  const hidden = chores && !filter.kinds.has("chores") ? ` (${number(chores)} ARP, ND hidden)` : "";
  const tally = (bit) => view.shown.reduce((sum, i) => sum + (packets.marks[i] & bit ? 1 : 0), 0);
  const parts = [`${number(view.shown.length)}${all} ${count === 1 ? "packet" : "packets"}${hidden}`];
  for (const [bit, words] of [[LOST, "lost"], [RETRANSMITTED, "retransmitted"], [DUPLICATE, "duplicated"], [RESET, "reset"]]) {
    if (tally(bit)) parts.push(`${number(tally(bit))} ${words}`);
  }
  document.getElementById("counts").textContent = parts.join(" · ");
}

function fillSelect(name, title, values) {
  const field = document.getElementById(name);
  field.append(element("option", { value: "", text: title }));
  values.forEach((text, index) => field.append(element("option", { value: String(index), text: visible(text) })));
  field.hidden = values.length < 2;
  field.addEventListener("change", () => setFilter(name, field.value));
}

function setSqueezed(on) {
  view.squeezed = on;
  view.zoom = 1;
  overview = null;
  document.getElementById("squeeze").setAttribute("aria-pressed", String(on));
  rebuild(view.height / 2);
}

// --- theme, size, start --------------------------------------------------------------------------

const systemDark = matchMedia("(prefers-color-scheme: dark)");

function switchTheme() {
  const dark = (document.documentElement.dataset.theme ?? (systemDark.matches ? "dark" : "light")) === "dark";
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  recolour();
}

function recolour() {
  readColours();
  overview = null;
  redraw();
}

systemDark.addEventListener("change", recolour);

function resize() {
  const { width, height } = canvas.parentElement.getBoundingClientRect();
  if (!width || !height) return;
  view.width = width;
  view.height = height;
  overview = null;
  if (view.squeezed && view.scale) {
    relayout();
    scrollTo(view.scroll);
  } else rebuild();
  placeHeads();
}

// The names of the lanes and segments, above them; the router's addresses stand at its edges.
function placeHeads() {
  const { columns, edges, leg } = view.layout;
  const made = [];
  const place = (kind, left, width, ...children) => {
    const head = element("div", { class: `head ${kind}` }, ...children);
    head.style.left = `${left}px`;
    head.style.width = `${Math.max(width, 0)}px`;
    made.push(head);
  };
  run.nodes.forEach((node, index) => {
    const name = element("b", { text: visible(node.title) });
    if (node.side === "router") return place("router", edges.left - 20, edges.right - edges.left + 40, name);
    const { text: [start, width], lane } = columns[index];
    const [left, right] = node.side === "left" ? [Math.min(start, lane - 120), lane + 4] : [lane - 4, start + width];
    place(node.side, left, right - left, name, element("span", { text: visible(node.addresses.join(" · ")) }));
  });
  const router = run.nodes.find(({ side }) => side === "router")?.addresses ?? [];
  const segment = (side) => element("i", { text: visible(run.segments[side]) });
  place("segment", edges.left - leg + 8, leg - 14, segment("left"), element("span", { text: router[0] ?? "" }));
  place("segment back", edges.right + 6, leg - 14, segment("right"), element("span", { text: router[1] ?? "" }));
  document.getElementById("heads").replaceChildren(...made);
}

function connectToolbar() {
  fillSelect("connection", "all connections", run.connections);
  fillSelect("protocol", "all protocols", run.protocols);
  fillSelect("node", "all hosts", run.nodes.map(({ title }) => title));
  for (const chip of document.querySelectorAll("[data-kind]")) {
    const { kind } = chip.dataset;
    chip.hidden = kind === "chores" && !chores;
    chip.setAttribute("aria-pressed", String(filter.kinds.has(kind)));
    chip.addEventListener("click", () => {
      setFilter("kind", kind);
      chip.setAttribute("aria-pressed", String(filter.kinds.has(kind)));
    });
  }
  const on = (id, act) => document.getElementById(id).addEventListener("click", act);
  on("problems", ({ currentTarget }) => {
    filter.problems = !filter.problems;
    currentTarget.setAttribute("aria-pressed", String(filter.problems));
    refilter();
  });
  on("squeeze", () => setSqueezed(!view.squeezed));
  on("zoom-in", () => zoomBy(1.5));
  on("zoom-out", () => zoomBy(1 / 1.5));
  on("fit", fit);
  on("theme", switchTheme);
  on("help-button", () => help.showModal());
  on("help-close", () => help.close());
  for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => navigator.clipboard?.writeText(button.dataset.copy));
}

function start() {
  readColours();
  connectToolbar();
  resize();
  tellCounts();
  new ResizeObserver(resize).observe(stage);
  draw();
  document.documentElement.dataset.ready = Math.round(performance.now()); // milliseconds from the page's start to its picture
}

start();
