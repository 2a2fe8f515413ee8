// What all parts of the page use. Text reaches the page as text nodes alone: nothing here or below parses it as HTML.

const byId = (id) => document.getElementById(id);

/** An element with properties; `on...` are listeners, `data` and `aria` attributes. Children are nodes or text. */
function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.className = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** An element of SVG. */
function drawn(name, attributes = {}, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function icon(name) {
  const svg = drawn("svg", { "aria-hidden": "true" });
  svg.append(drawn("use", { href: `#i-${name}` }));
  return svg;
}

const iconButton = (name, label, onclick, more = {}) =>
  element("button", { type: "button", class: "icon", "aria-label": label, title: label, onclick, ...more }, icon(name));

/** Unlike crypto.randomUUID it is there on pages that are not from a secure origin, too. */
function newID() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const whole = (value) => Math.round(value).toLocaleString("en");
const counted = (count, word) => `${whole(count)} ${word}${count === 1 ? "" : "s"}`;

/** Bytes as "5.9 MB". */
function bytesText(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let place = 0;
  while (bytes >= 999.5 && place < units.length - 1) (bytes /= 1000), (place += 1);
  return `${place === 0 || bytes >= 99.95 ? Math.round(bytes) : bytes.toFixed(1)} ${units[place]}`;
}

function secondsText(seconds) {
  if (seconds < 90) return counted(Math.max(1, Math.ceil(seconds)), "second");
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** Says something to who listens to the page. */
function announce(text) {
  byId("status").textContent = text;
}

/** What went wrong, above the message box, until something else is done. */
function notice(text) {
  byId("notice").textContent = text;
}

async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Without a secure origin there is no clipboard.
  const area = element("textarea", { class: "unseen" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** Settings of the page itself; a browser that keeps nothing is none the worse. */
const kept = {
  get(key) {
    try { return localStorage.getItem(`moult.${key}`); } catch { return null; }
  },
  set(key, value) {
    try { localStorage.setItem(`moult.${key}`, value); } catch { /* nothing is kept */ }
  },
};
