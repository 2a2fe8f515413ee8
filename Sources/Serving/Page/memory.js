// What the model's memory does with one token: how long its slots keep what they hold, how much is written into each, and which are
// read. The server computes it only while this is open, for the token that is looked at.

const memoryMap = { isOpen: false, data: null, mode: "kept", back: 0, key: "", controller: null, row: 0, column: 0 };

const memoryModes = {
  kept: { label: "Kept", shade: (value) => Math.log2(halfLife(value)) / 12 },
  written: { label: "Written", shade: (value) => 1 + Math.log10(Math.max(value, 1e-4)) / 4 },
  read: { label: "Read", shade: Math.sqrt },
  norm: { label: "Norm", shade: (value) => value },
};

/** Tokens after which half of what is kept by a share of `kept` each is left, at least one and at most 4,096. */
const halfLife = (kept) => Math.min(4096, Math.max(1, kept < 1 ? -Math.LN2 / Math.log(Math.max(kept, 1e-9)) : 4096));
const percentText = (share) => `${(share * 100).toFixed(share < 0.1 || share > 0.9 ? 1 : 0)} %`;

/** One row for each head with a memory, layer after layer. */
function memoryRows() {
  const most = Math.max(1e-9, ...memoryMap.data.layers.flatMap((layer) => layer.norms));
  return memoryMap.data.layers.flatMap(({ layer, heads, norms, kept, slots, window_shares: shares }) =>
    heads.map((head, place) => {
      const part = (values) => values.slice(place * slots.count, (place + 1) * slots.count);
      const own = slots ? part(slots.kept) : [kept[place]];
      return {
        layer, head, share: shares?.[place],
        kept: own, written: own.map((value) => 1 - value), read: slots ? part(slots.read) : [], norm: [norms[place] / most],
        hasSlots: Boolean(slots),
      };
    }));
}

/** Where the token stands that is looked at: by default the last one of the conversation. */
function memoryPlace() {
  const { current } = app;
  const last = find(current, current.leaf);
  const end = last && tokensAt(current, last);
  return end ? Math.max(1, end - memoryMap.back) : undefined;
}

async function readMemory(key) {
  memoryMap.key = key;
  memoryMap.controller?.abort();
  const controller = (memoryMap.controller = new AbortController());
  try {
    const body = {
      model: server.card.id, messages: sentMessages(app.current, app.current.leaf), position: memoryPlace(),
    };
    memoryMap.data = await (await ask("memory", body, controller.signal)).json();
    memoryMap.problem = "";
  } catch (error) {
    if (controller.signal.aborted) return;
    [memoryMap.data, memoryMap.problem] = [null, error.message];
  }
  renderMemoryMap();
}

function renderMemoryMap() {
  const { current, running } = app;
  const isTransformer = server.card?.meta?.state && !server.card.meta.state.transformer;
  byId("map-section").hidden = Boolean(isTransformer);
  byId("map").hidden = !memoryMap.isOpen || !memoryMap.data;
  byId("map-show").setAttribute("aria-pressed", String(memoryMap.isOpen));
  byId("map-show").textContent = memoryMap.isOpen ? "Close" : "Look into the memory";
  byId("map-show").disabled = !current.messages.length;
  if (!memoryMap.isOpen || isTransformer || !current.messages.length) {
    return (byId("map-text").textContent = "What each slot of each head keeps, is given, and is asked for at a token.");
  }
  const key = [current.id, current.leaf, current.model, memoryMap.back].join();
  if (key !== memoryMap.key && !running && server.card) readMemory(key);
  if (!memoryMap.data) return (byId("map-text").textContent = memoryMap.problem || "Being computed …");
  const rows = memoryRows();
  const { token, position } = memoryMap.data;
  const hasSlots = rows.some((row) => row.hasSlots);
  const modes = hasSlots ? ["kept", "written", "read"] : ["kept", "norm"];
  if (!modes.includes(memoryMap.mode)) memoryMap.mode = "kept";
  byId("map-text").textContent = (hasSlots
    ? `Each row is a head, layer after layer, and each column one of its ${Math.max(...rows.map((row) => row.kept.length))} slots.`
    : "This memory has no slots: each row is a head, layer after layer, with one state.")
    + (rows.some((row) => row.share !== undefined) ? " At the right is the share of the window." : "");
  byId("map-token").replaceChildren(element("b", {}, JSON.stringify(token.text)), ` token ${whole(position)}`);
  byId("map-later").disabled = memoryMap.back === 0 || Boolean(running);
  byId("map-earlier").disabled = position === 1 || Boolean(running);
  byId("map-modes").replaceChildren(...modes.map((mode) => element("label", {},
    element("input", {
      type: "radio", name: "map-mode", value: mode, checked: mode === memoryMap.mode,
      onchange: () => { memoryMap.mode = mode; drawMemory(memoryRows()); },
    }), memoryModes[mode].label)));
  drawMemory(rows);
}

const memorySize = (rows) => ({ width: 304, edge: 24, height: Math.max(2, Math.min(9, Math.floor(380 / rows.length))) });

function drawMemory(rows) {
  const canvas = byId("map-canvas");
  const { width, edge, height } = memorySize(rows);
  const scale = devicePixelRatio || 1;
  [canvas.width, canvas.height] = [width * scale, rows.length * height * scale];
  canvas.style.aspectRatio = `${width} / ${rows.length * height}`;
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  context.fillStyle = getComputedStyle(canvas).color;
  const cell = (x, y, wide, shade) => {
    context.globalAlpha = Math.max(0.03, Math.min(1, shade));
    context.fillRect(x, y, wide, height);
  };
  const { shade } = memoryModes[memoryMap.mode];
  const hasShares = rows.some((row) => row.share !== undefined);
  rows.forEach((row, number) => {
    const values = row[memoryMap.mode];
    const wide = (width - (hasShares ? edge : 0)) / values.length;
    values.forEach((value, column) => cell(column * wide, number * height, wide, shade(value)));
    if (row.share !== undefined) cell(width - edge + 8, number * height, edge - 8, row.share);
  });
  tellMemory(rows);
}

/** Says in words what the cell that is pointed at shows. */
function tellMemory(rows) {
  memoryMap.row = Math.min(memoryMap.row, rows.length - 1);
  const row = rows[memoryMap.row];
  memoryMap.column = Math.min(memoryMap.column, row.kept.length - 1);
  const { column } = memoryMap;
  const tokens = halfLife(row.kept[column]);
  const life = `half is left after ${tokens < 4096 ? counted(tokens, "token") : "4,096 tokens or more"}`;
  byId("map-cell").textContent = `Layer ${row.layer + 1}, head ${row.head + 1}${row.hasSlots ? `, slot ${column + 1}` : ""}: keeps `
    + `${percentText(row.kept[column])}, ${life}`
    + (row.hasSlots ? `; read with ${percentText(row.read[column])}` : "")
    + (row.share === undefined ? "." : `; the window has ${percentText(row.share)}.`);
  byId("map-canvas").setAttribute("aria-label",
    `${memoryModes[memoryMap.mode].label}, of ${counted(rows.length, "head")}. Arrow keys go from one to another.`);
}

function openMemory(isOpen) {
  Object.assign(memoryMap, { isOpen, back: 0, key: "", data: null, problem: "" });
  if (!isOpen) memoryMap.controller?.abort();
  renderMemoryMap();
}

function stepMemory(by) {
  memoryMap.back = Math.max(0, memoryMap.back + by);
  renderMemoryMap();
}

byId("map-show").addEventListener("click", () => openMemory(!memoryMap.isOpen));
byId("map-earlier").addEventListener("click", () => stepMemory(1));
byId("map-later").addEventListener("click", () => stepMemory(-1));
byId("map-canvas").addEventListener("pointermove", ({ offsetX, offsetY, target }) => {
  const rows = memoryRows();
  const { width, edge } = memorySize(rows);
  memoryMap.row = Math.max(0, Math.floor((offsetY / target.clientHeight) * rows.length));
  const inner = rows.some((row) => row.share !== undefined) ? (width - edge) / width : 1;
  const columns = rows[Math.min(memoryMap.row, rows.length - 1)].kept.length;
  memoryMap.column = Math.max(0, Math.min(columns - 1, Math.floor((offsetX / target.clientWidth / inner) * columns)));
  tellMemory(rows);
});
byId("map-canvas").addEventListener("keydown", (event) => {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!step) return;
  event.preventDefault();
  memoryMap.row = Math.max(0, memoryMap.row + step[0]);
  memoryMap.column = Math.max(0, memoryMap.column + step[1]);
  tellMemory(memoryRows());
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => memoryMap.data && drawMemory(memoryRows()));
