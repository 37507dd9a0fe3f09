// The tool bar: search and filters.
"use strict";

const searchField = document.getElementById("search");
const found = document.getElementById("found");
let soughtFor = "";
let typing = 0;

searchField.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(find, count > 5000 ? 200 : 60);
});

// Searches for the text in the field and selects the first match. Returns false if it was already selected.
function find() {
  clearTimeout(typing);
  if (searchField.value === soughtFor) return false;
  soughtFor = searchField.value;
  view.hits = search(soughtFor);
  view.hit = -1;
  tellHits();
  hit(1);
  return true;
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
  found.textContent = !soughtFor.trim() ? "" : length ? t("{number} of {count}", { number: number(Math.max(view.hit, 0) + 1), count: number(length) }) : t("nothing found");
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
  const tally = (bit) => view.shown.reduce((sum, i) => sum + (packets.marks[i] & bit ? 1 : 0), 0);
  const parts = [packetCount()];
  const add = (bit, words) => tally(bit) && parts.push(words({ count: number(tally(bit)) }));
  add(LOST, (fields) => t("{count} lost", fields));
  add(RETRANSMITTED, (fields) => t("{count} retransmitted", fields));
  add(DUPLICATE, (fields) => t("{count} duplicated", fields));
  add(RESET, (fields) => t("{count} reset", fields));
  document.getElementById("counts").textContent = parts.join(" · ");
}

// "9 of 10 packets (1 ARP, ND hidden)"
function packetCount() {
  const shown = number(view.shown.length), all = number(count);
  const text = view.shown.length < count ? t("{shown} of {all} packets", { shown, all }) : count === 1 ? t("1 packet") : t("{count} packets", { count: all });
  if (!chores || filter.kinds.has("chores")) return text;
  return text + t(" ({count} ARP, ND hidden)", { count: number(chores) });
}

function fillSelect(name, values) {
  const field = document.getElementById(name);
  field.append(element("option", { value: "" }));
  values.forEach((text, index) => field.append(element("option", { value: String(index), text: visible(text) })));
  field.hidden = values.length < 2;
  field.addEventListener("change", () => setFilter(name, field.value));
}

// The first choice of each list; its text depends on the language.
function nameSelects() {
  const titles = { connection: t("all connections"), protocol: t("all protocols"), node: t("all hosts") };
  for (const [name, title] of Object.entries(titles)) document.getElementById(name).options[0].textContent = title;
}
