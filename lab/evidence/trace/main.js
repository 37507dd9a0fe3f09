// Pointer, keys and tool bar; the start of the page.
"use strict";

const help = document.getElementById("help");

// --- pointer -------------------------------------------------------------------------------------

const pointers = new Map();
let grip = null; // the press under way on the canvas: {y, scroll, moved, inOverview} or {apart}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  const inOverview = event.offsetX > view.layout.end;
  const place = { x: event.offsetX, y: event.offsetY, scroll: view.scroll, across: view.across };
  grip = pointers.size === 2 ? { apart: apart() } : { ...place, moved: false, inOverview };
  if (inOverview && pointers.size === 1) overviewScroll(event.offsetY);
});

canvas.addEventListener("pointermove", (event) => {
  if (!pointers.has(event.pointerId)) return point(event);
  pointers.set(event.pointerId, event);
  if (pointers.size === 2) return pinch();
  if (!grip || grip.apart) return;
  if (Math.abs(event.offsetY - grip.y) > 3 || Math.abs(event.offsetX - grip.x) > 3) grip.moved = true;
  if (grip.inOverview) overviewScroll(event.offsetY);
  else if (grip.moved) {
    scrollTo(grip.scroll + grip.y - event.offsetY);
    scrollAcross(grip.across + grip.x - event.offsetX);
  }
  canvas.style.cursor = grip.moved ? "grabbing" : "";
});

for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => {
  pointers.delete(event.pointerId);
  const click = name === "pointerup" && grip && !grip.moved && !grip.inOverview && !grip.apart;
  if (!pointers.size) grip = null;
  canvas.style.cursor = "";
  if (!click) return;
  const item = itemAt(event.offsetX + view.across, event.offsetY);
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
  const item = event.offsetX > view.layout.end ? null : itemAt(event.offsetX + view.across, event.offsetY);
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
  return textOf((kind === "band" ? run.bands : run.events)[index]).slice(0, 400);
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

// Pinching on a touchpad is reported as a wheel with Ctrl.
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const lines = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? view.height : 1;
  if (event.ctrlKey || event.metaKey || event.altKey) zoomBy(Math.exp(-event.deltaY * lines / 240), event.offsetY);
  else {
    const across = event.shiftKey && !event.deltaX;
    scrollTo(view.scroll + (across ? 0 : event.deltaY * lines));
    scrollAcross(view.across + (across ? event.deltaY : event.deltaX) * lines);
  }
}, { passive: false });

// --- keys ----------------------------------------------------------------------------------------

const KEYS = {
  ArrowDown: () => step(1), ArrowUp: () => step(-1), j: () => step(1), k: () => step(-1),
  ArrowRight: (event) => (event.shiftKey ? scrollAcross(view.across + 120) : step(1, true)),
  ArrowLeft: (event) => (event.shiftKey ? scrollAcross(view.across - 120) : step(-1, true)),
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
  const control = event.target.closest("button, select, summary, input, a, .hex, .whole, .text, #across");
  if (control && ["Enter", " ", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Home", "End", "PageUp", "PageDown"].includes(event.key)) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act(event);
});

function escape(event) {
  event.preventDefault();
  if (event.target === searchField) canvas.focus();
  else if (closeNodeMenu()) return;
  else if (!closeDetails()) select(null);
}

function searchKey(event) {
  if (event.key !== "Enter") return;
  event.preventDefault();
  if (!find()) hit(event.shiftKey ? -1 : 1); // text that was typed just now is searched for first
}

function openSelected() {
  if (!view.selected) step(1);
  if (!view.selected) return;
  showDetails(view.selected);
  panel.querySelector("button").focus();
}

// --- theme, size, start --------------------------------------------------------------------------

function setSqueezed(on) {
  view.squeezed = on;
  view.zoom = 1;
  overview = null;
  document.getElementById("squeeze").setAttribute("aria-pressed", String(on));
  rebuild(view.height / 2);
}

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

function connectToolbar() {
  fillSelect("connection", run.connections);
  fillSelect("protocol", run.protocols);
  fillSelect("node", run.nodes.map(({ title }) => title));
  connectNodeMenu();
  const language = document.getElementById("language");
  for (const [name, title] of Object.entries(run.languages)) language.append(element("option", { value: name, lang: name, text: title }));
  language.addEventListener("change", () => switchLanguage(language.value));
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
}

// Shows the page in another language, with the same view and selection.
function switchLanguage(language) {
  setLanguage(language);
  document.getElementById("language").value = language;
  nameSelects();
  nameNodeMenu();
  placeHeads();
  haystack = null; // it contains translated words
  tellHits();
  tellCounts();
  if (!panel.hidden) showDetails(view.selected);
  redraw();
}

function start() {
  readColours();
  connectToolbar();
  resize();
  switchLanguage(preferredLanguage());
  new ResizeObserver(resize).observe(canvas.parentElement);
  draw();
  document.documentElement.dataset.ready = Math.round(performance.now()); // milliseconds from the page's start to its picture
}

start();
