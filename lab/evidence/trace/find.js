// The tool bar: search, and the choice of what is shown.
"use strict";

const searchField = document.getElementById("search");
const found = document.getElementById("found");
let soughtFor = "";
let typing = 0;

searchField.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(find, count > 5000 ? 200 : 60);
});

// Looks for what the field has, and shows the first match. Returns whether that was still to be done.
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
  found.textContent = !soughtFor.trim() ? "" : length ? `${number(Math.max(view.hit, 0) + 1)} of ${number(length)}` : "nothing found";
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
