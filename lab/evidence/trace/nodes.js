// The menu of the nodes that have a lane. The choice is kept in the URL: #nodes=alice,bob
"use strict";

const menu = document.getElementById("nodes"), boxesOfNodes = [];

function connectNodeMenu() {
  menu.hidden = run.nodes.length < 2;
  const list = menu.querySelector(".list");
  run.nodes.forEach(({ title }, node) => {
    const box = element("input", { type: "checkbox", value: String(node) });
    box.addEventListener("change", () => showNodes(boxesOfNodes.flatMap(({ checked }, index) => (checked ? [index] : []))));
    boxesOfNodes.push(box);
    list.append(element("label", {}, box, visible(title)));
  });
  document.getElementById("all-nodes").addEventListener("click", () => showNodes(run.nodes.keys()));
  document.getElementById("taking-part").addEventListener("click", () => showNodes(taking));
  document.addEventListener("pointerdown", ({ target }) => menu.contains(target) || closeNodeMenu());
  addEventListener("hashchange", () => showNodes(nodesInUrl() ?? taking));
  filter.nodes = new Set(nodesInUrl() ?? taking);
  checkNodes();
}

// Shows the lanes of these nodes, and no others.
function showNodes(nodes) {
  filter.nodes = new Set(nodes);
  const chosen = shownNodes(), usual = chosen.length === taking.length && taking.every((node) => filter.nodes.has(node));
  const names = chosen.map((node) => encodeURIComponent(run.nodes[node].title)).join(",");
  history.replaceState(null, "", usual ? location.pathname + location.search : `#nodes=${names}`);
  checkNodes();
  relayout();
  refilter();
  say(document.getElementById("nodes-shown").textContent);
}

function checkNodes() {
  boxesOfNodes.forEach((box, node) => { box.checked = filter.nodes.has(node); });
  nameNodeMenu();
}

function nameNodeMenu() {
  const counts = { shown: number(filter.nodes.size), all: number(run.nodes.length) };
  document.getElementById("nodes-shown").textContent = t("nodes: {shown} of {all}", counts);
}

// The nodes that the URL names; null if it names none of this run.
function nodesInUrl() {
  const given = new URLSearchParams(location.hash.slice(1)).get("nodes");
  const names = new Set((given ?? "").split(","));
  const found = run.nodes.flatMap(({ title }, node) => (names.has(title) ? [node] : []));
  return found.length ? found : null;
}

// Returns false if it was closed.
function closeNodeMenu() {
  if (!menu.open) return false;
  if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
  menu.open = false;
  return true;
}
