// Figures of the sequence: all are the server's, or times that were measured here.

function figures() {
  const { current, running } = app;
  const path = pathTo(current, current.leaf);
  const last = path.findLast((message) => message.role === "assistant" && (message.usage || message === running?.message));
  const { usage, timings } = last ?? {};
  const file = files.list.find((entry) => entry.state === "reading");
  const pace = file ? file.pace : running && running.message === last ? running.pace : undefined;
  const isReading = pace?.all && (file || !running.isWriting);
  const tokens = isReading ? pace.read : usage ? usage.prompt + usage.generated : 0;
  return {
    tokens, prompt: usage?.prompt, cached: isReading ? undefined : usage?.cached,
    reading: isReading ? pace.rate : timings?.prompt_n ? timings.prompt_per_second : undefined,
    writing: isReading ? undefined : timings?.predicted_per_second || undefined,
  };
}

function renderFigures() {
  const { tokens, prompt, cached, reading, writing } = figures();
  byId("figure-tokens").textContent = whole(tokens);
  show("figure-cached", cached === undefined ? "–" : whole(cached), cached !== undefined && `of ${whole(prompt)}`);
  show("figure-reading", reading ? rate(reading) : "–", reading && "tokens/s");
  show("figure-writing", writing ? rate(writing) : "–", writing && "tokens/s");
  renderMemory(tokens);
}

function show(id, value, unit) {
  byId(id).replaceChildren(value, ...(unit ? [" ", element("small", {}, unit)] : []));
}

/** Two lines over tokens: the memory of this sequence, and the cache of the Transformer that the model was made from. */
function renderMemory(tokens) {
  const cost = server.card?.meta?.state;
  const figure = byId("memory");
  if (!cost) return figure.replaceChildren();
  const { transformer } = cost;
  const [width, height, left, bottom] = [304, 148, 6, 20];
  const end = Math.max(1024, 2 ** Math.ceil(Math.log2(Math.max(1, tokens) * 1.25)));
  const most = Math.max(stateBytes(cost, end), transformer ? stateBytes(transformer, end) : 0);
  const x = (count) => left + (count / end) * (width - left);
  const y = (bytes) => height - bottom - (bytes / (most * 1.04)) * (height - bottom - 8);
  const svg = drawn("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img" });
  for (const share of [0, 0.5, 1]) {
    svg.append(drawn("line", { class: "grid", x1: left, x2: width, y1: y(most * share), y2: y(most * share) }));
    if (share) svg.append(drawn("text", { x: left, y: y(most * share) - 4 }, bytesText(most * share)));
  }
  for (const [share, anchor] of [[0.5, "middle"], [1, "end"]]) {
    const text = share === 1 ? `${whole(end)} tokens` : whole(end / 2);
    svg.append(drawn("text", { x: x(end * share), y: height - 4, "text-anchor": anchor }, text));
  }
  const rows = [];
  for (const [name, kind, of] of [["Transformer’s cache", "teacher", transformer], ["This sequence", "own", cost]]) {
    if (!of) continue;
    // A window that fills bends the line.
    const line = (from, to) => {
      const places = [from, ...(of.windows ?? []).map((window) => window.tokens).filter((at) => at > from && at < to), to];
      return places.sort((a, b) => a - b).map((at) => `${x(at).toFixed(1)},${y(stateBytes(of, at)).toFixed(1)}`).join(" ");
    };
    svg.append(drawn("polyline", { class: `${kind} ahead`, points: line(tokens, end) }));
    svg.append(drawn("polyline", { class: kind, points: line(0, tokens) }));
    svg.append(drawn("circle", { class: kind, cx: x(tokens), cy: y(stateBytes(of, tokens)), r: 4.5 }));
    rows.push(element("li", {}, element("span", { class: `line ${kind}` }), name,
      element("b", {}, bytesText(stateBytes(of, tokens)))));
  }
  svg.setAttribute("aria-label", `Memory over tokens, at ${counted(tokens, "token")}: `
    + rows.map((row) => `${row.childNodes[1].textContent} ${row.lastChild.textContent}`).join(", "));
  figure.replaceChildren(svg, element("ul", { class: "key" }, ...rows.reverse()));
  byId("memory-text").textContent = !transformer
    ? "This model is a Transformer: what it remembers grows with every token."
    : `After ${counted(tokens, "token")}, beside what the Transformer that it was made from would keep.`;
}
