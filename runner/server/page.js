// Fetches the page again and puts in what has changed: the server alone decides what is shown.
"use strict";

const EVERY_MS = 1000;
const HIDDEN_MS = 10000;

// Only what differs is touched, so that scrolling, focus and screen readers are left in peace.
function update(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE || old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh);
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const before = [...old.childNodes];
  const after = [...fresh.childNodes];
  after.forEach((node, at) => (before[at] ? update(before[at], node) : old.append(node)));
  before.slice(after.length).forEach((node) => node.remove());
}

async function refresh() {
  try {
    const answer = await fetch(location.pathname, { cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = fresh.title;
    update(document.querySelector("main"), fresh.querySelector("main"));
  } catch {
    document.getElementById("lost").hidden = false;
  }
  setTimeout(refresh, document.hidden ? HIDDEN_MS : EVERY_MS);
}

setTimeout(refresh, EVERY_MS);
