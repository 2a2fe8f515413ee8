// How tokens are picked. What is not set is left to the server, which takes what the model recommends.

const samplers = [
  { name: "temperature", label: "Temperature", min: 0, max: 2, step: 0.05, otherwise: 1 },
  { name: "top_p", label: "Top p", min: 0.01, max: 1, step: 0.01, otherwise: 1 },
  { name: "top_k", label: "Top k", min: 0, max: 200, step: 1, otherwise: 0 },
  { name: "min_p", label: "Min p", min: 0, max: 1, step: 0.01, otherwise: 0 },
  { name: "repetition_penalty", label: "Repetition penalty", min: 1, max: 2, step: 0.01, otherwise: 1 },
  { name: "max_tokens", label: "Tokens at most", isNumber: true, min: 1, step: 1 },
  { name: "seed", label: "Seed", isNumber: true, min: 0, step: 1 },
];

/** The fields of a request that were set. */
function requestedSampling(conversation) {
  return Object.fromEntries(samplers
    .filter(({ name }) => conversation.sampling[name] !== undefined)
    .map(({ name }) => [name, conversation.sampling[name]]));
}

function renderSettings() {
  const conversation = app.current;
  byId("system").value = conversation.system;
  byId("samplers").replaceChildren(...samplers.map((sampler) => samplerView(conversation, sampler)));
}

function samplerView(conversation, { name, label, isNumber, otherwise, ...range }) {
  const id = `sampler-${name}`;
  const recommended = server.card?.meta?.sampling?.[name] ?? otherwise;
  const input = element("input", { id, type: isNumber ? "number" : "range", ...range, placeholder: "any" });
  if (name === "max_tokens") input.placeholder = "no limit";
  const output = isNumber ? null : element("output", { for: id });
  const view = element("div", { class: "sampler" }, element("label", { for: id }, label), output, input);
  const show = () => {
    const value = conversation.sampling[name];
    view.classList.toggle("set", value !== undefined);
    if (output) output.textContent = `${value ?? recommended}`;
  };
  input.value = conversation.sampling[name] ?? (isNumber ? "" : recommended);
  input.addEventListener("input", () => {
    const value = input.valueAsNumber;
    if (Number.isFinite(value) && input.validity.valid) conversation.sampling[name] = value;
    else delete conversation.sampling[name];
    show();
    keepSettings(conversation);
  });
  show();
  return view;
}

/** Keeps settings with their conversation, and for the next one. */
async function keepSettings(conversation) {
  kept.set("settings", JSON.stringify((({ model, system, sampling }) => ({ model, system, sampling }))(conversation)));
  if (conversation.messages.length) await store.put(conversation);
}

function lastSettings() {
  try { return JSON.parse(kept.get("settings") ?? "{}"); } catch { return {}; }
}
