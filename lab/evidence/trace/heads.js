// The heads above the picture: the names and addresses of the nodes, and the segments between them. They scroll
// sideways with the picture, and so does the scroll bar below it.
"use strict";

const heads = document.getElementById("heads-row"), across = document.getElementById("across");

across.addEventListener("scroll", () => scrollAcross(across.scrollLeft));

function placeHeads() {
  const { columns, lanes, fold, total, end } = view.layout;
  const made = lanes.map((node, position) => nodeHead(node, columns[node], columns[lanes[position + 1]]));
  lanes.slice(1).forEach((node, position) => made.push(segmentHead(lanes[position], node)));
  if (fold !== null) made.push(foldHead(fold));
  heads.replaceChildren(...made.filter(Boolean));
  across.hidden = total <= end;
  across.firstElementChild.style.width = `${total + view.width - end}px`;
  moveHeads();
}

function moveHeads() {
  heads.style.transform = `translateX(${-view.across}px)`;
  if (Math.abs(across.scrollLeft - view.across) >= 1) across.scrollLeft = view.across;
}

function headElement(kind, left, width, ...children) {
  const made = element("div", { class: `head ${kind}` }, ...children);
  made.style.left = `${left}px`;
  made.style.width = `${Math.max(width, 0)}px`;
  return made;
}

function nodeHead(node, column, next) {
  const { title, addresses } = run.nodes[node];
  const mark = NODE_MARKS[Math.floor(node / NODE_COLOURS) % NODE_MARKS.length];
  const name = element("b", {}, element("i", { class: `mark node-${node % NODE_COLOURS}`, "aria-hidden": "true", "data-mark": mark }), visible(title));
  name.title = [title, ...addresses].map(visible).join("\n");
  const about = element("span", { text: visible(addresses.join(" · ")) });
  if (isRouter(node)) {
    const reach = Math.min(view.layout.leg / 3, 40);
    return headElement("router", column.left - reach, column.right - column.left + 2 * reach, name);
  }
  const { text: [start, width], lane, outward } = column;
  if (outward < 0) return headElement("left", Math.max(Math.min(start, lane - 120), RULER - 4), lane + 4 - Math.max(Math.min(start, lane - 120), RULER - 4), name, about);
  const right = next ? Math.min(start + width, next.left - (next.left === next.right ? 10 : view.layout.leg / 3)) : start + width;
  return headElement("right", lane - 4, right - lane + 4, name, about);
}

// The segment that two neighbours share, with the router's address there; nothing if there is a host's output.
function segmentHead(left, right) {
  const { columns, leg } = view.layout, routers = [left, right].filter(isRouter);
  const shared = Object.keys(run.nodes[left].segments).find((name) => name in run.nodes[right].segments);
  if (shared === undefined || !routers.length || (!isRouter(left) && columns[left].outward > 0)) return null;
  const side = routers.length > 1 ? "between" : isRouter(left) ? "back" : "";
  const [first, second] = routers.map((node) => run.nodes[node].segments[shared]);
  const addresses = second === undefined ? first : `${first} · ${withoutPrefix(second, first)}`;
  const from = columns[left].right, width = columns[right].left - from;
  const room = Math.min(width, leg) - 14, start = isRouter(left) ? from + 6 : columns[right].left - 8 - room;
  return headElement(`segment ${side}`, start, room, element("i", { text: visible(shared) }), element("span", { text: visible(addresses) }));
}

// The last number of an IPv4 address, if the others are those of the address before it: ".3"
function withoutPrefix(address, before) {
  const at = address.lastIndexOf(".");
  return at > 0 && before.startsWith(address.slice(0, at + 1)) ? address.slice(at) : address;
}

// The head of the folded nodes is a button that shows them.
function foldHead(x) {
  const folded = run.nodes.map((_, node) => node).filter((node) => !filter.nodes.has(node));
  const text = folded.length === 1 ? t("1 more node") : t("{count} more nodes", { count: number(folded.length) });
  const button = element("button", { type: "button", class: "fold", text, title: folded.map((node) => visible(run.nodes[node].title)).join(", ") });
  button.addEventListener("click", () => showNodes(run.nodes.keys()));
  return headElement("folded", x - 22, FOLD - 14, button);
}
