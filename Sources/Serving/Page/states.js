// The time line of a conversation's states: the server keeps one at the end of each message, so that going back to one, and
// on from there, reads only what is new.

function renderStates() {
  const conversation = app.current;
  const box = byId("states");
  byId("states-text").textContent = conversation.messages.length
    ? "A click goes back to the end of a message; what you write then begins a branch there."
    : "The end of each message will be marked here.";
  const { places, rows } = laidOut(conversation);
  const [step, height] = [46, 40];
  const current = new Set(pathTo(conversation, conversation.leaf).map((message) => message.id));
  const x = ({ column }) => 18 + column * step;
  const y = ({ row }) => 18 + row * height;
  const columns = Math.max(0, ...Array.from(places.values(), (place) => place.column));
  const [width, tall] = [36 + columns * step, rows * height];
  const svg = drawn("svg", { width, height: tall, viewBox: `0 0 ${width} ${tall}`, "aria-hidden": "true" });
  svg.style.width = `${width}px`;
  svg.style.height = `${tall}px`;
  const marks = [];
  const drawnLast = [];
  conversation.messages.forEach((message) => {
    const place = places.get(message.id);
    const parent = places.get(message.parent);
    const isCurrent = current.has(message.id);
    if (parent) {
      const [from, to] = [{ x: x(parent), y: y(parent) }, { x: x(place), y: y(place) }];
      const bend = Math.min(18, to.x - from.x);
      const path = from.y === to.y
        ? `M${from.x} ${from.y}H${to.x}`
        : `M${from.x} ${from.y}V${to.y - bend}Q${from.x} ${to.y} ${from.x + bend} ${to.y}H${to.x}`;
      const line = drawn("path", isCurrent ? { d: path, class: "current" } : { d: path });
      isCurrent ? drawnLast.push(line) : svg.append(line);
    }
    const tokens = tokensAt(conversation, message);
    const label = `${message.role === "user" ? "Your message" : "Answer"} ${Math.floor(place.column / 2) + 1}`
      + (tokens ? `, ${counted(tokens, "token")}` : "") + `: ${message.content.slice(0, 60) || "file"}`;
    const mark = element("button", {
      class: `${message.role}${isCurrent ? " current" : ""}`, "aria-label": label, title: label,
      "aria-current": message.id === conversation.leaf ? "true" : null, onclick: () => rewind(message.id),
    });
    mark.style.left = `${x(place)}px`;
    mark.style.top = `${y(place)}px`;
    marks.push(mark);
    if (tokens && message.role === "assistant") {
      const text = element("span", { "aria-hidden": "true" }, whole(tokens));
      text.style.left = `${x(place)}px`;
      text.style.top = `${y(place) + 9}px`;
      marks.push(text);
    }
  });
  svg.append(...drawnLast);
  box.replaceChildren(svg, ...marks);
  box.hidden = conversation.messages.length === 0;
}

/** A column for each message of a branch, and a row for each branch. */
function laidOut(conversation) {
  const places = new Map();
  let rows = 0;
  const lay = (message, column, row) => {
    places.set(message.id, { column, row });
    childrenOf(conversation, message.id).forEach((child, place) => lay(child, column + 1, place ? rows++ : row));
  };
  for (const root of childrenOf(conversation, null)) lay(root, 0, rows++);
  return { places, rows };
}

/** Goes back to the end of a message. */
function rewind(id) {
  if (app.running) return;
  visit(id);
  byId("states").querySelector("[aria-current]")?.focus();
  const message = find(app.current, id);
  announce(`At the end of ${message.role === "user" ? "your message" : "an answer"}.`);
}
