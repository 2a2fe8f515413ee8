// The page as a whole.

function renderAll() {
  const follows = app.running || isAtEnd();
  const hadFocus = document.activeElement !== document.body;
  renderConversations();
  renderModel();
  renderMessages();
  renderComposer();
  renderFigures();
  renderStates();
  renderMemoryMap();
  byId("title").textContent = app.current.title || "New conversation";
  document.title = app.current.title ? `${app.current.title} – Moult` : "Moult";
  if (follows) scrollToEnd();
  // What had the focus may be gone.
  if (hadFocus && document.activeElement === document.body) byId("scroll").focus({ preventScroll: true });
}

/** The model's name; of several one may be chosen for each conversation. */
function renderModel() {
  const { cards, card } = server;
  byId("model").hidden = cards.length > 1;
  byId("models").hidden = cards.length < 2;
  byId("model").textContent = card?.id ?? "";
  byId("models").replaceChildren(...cards.map(({ id }) => element("option", { value: id, selected: id === card.id }, id)));
}

function renderConversations() {
  byId("conversations").replaceChildren(...app.conversations.map((conversation) => {
    const name = conversation.title || "New conversation";
    const isCurrent = conversation === app.current;
    return element("li", { class: isCurrent ? "current" : "" },
      element("button", {
        class: "open", title: name, "aria-current": isCurrent ? "true" : null, onclick: () => open(conversation),
      }, name),
      iconButton("close", `Delete “${name}”`, () => remove(conversation)));
  }));
}

function renderComposer() {
  const button = byId("send");
  const isBusy = Boolean(app.running) || files.isSending;
  const label = app.running ? "Stop" : files.isSending ? "Do not send yet" : "Send";
  byId("waits").hidden = !files.isSending;
  byId("hint").hidden = files.isSending;
  if (button.getAttribute("aria-label") !== label) {
    button.setAttribute("aria-label", label);
    button.title = label;
    button.replaceChildren(icon(isBusy ? "stop" : "send"));
  }
  button.disabled = !isBusy && ((!byId("text").value.trim() && !files.list.length) || !server.card);
}

/** The message box grows with its text; where CSS does not do it, here. */
function fitInput() {
  const input = byId("text");
  if (!CSS.supports("field-sizing", "content")) {
    input.style.height = "auto";
    input.style.height = `${input.scrollHeight}px`;
  }
  renderComposer();
}

function open(conversation) {
  if (conversation === app.current) return closeDrawers();
  stop();
  editing = null;
  app.current = conversation;
  files.clear();
  kept.set("current", conversation.id);
  closeDrawers();
  renderSettings();
  renderAll();
  scrollToEnd();
  byId("text").focus();
}

/** An empty conversation, of which there is one at most. */
function begin() {
  if (app.conversations.length >= mostConversations) {
    return notice(`This browser keeps ${mostConversations} conversations: delete some, or export them first.`);
  }
  let fresh = app.conversations.find((conversation) => !conversation.messages.length);
  if (!fresh) {
    fresh = newConversation(app.current ?? lastSettings());
    app.conversations.unshift(fresh);
  }
  open(fresh);
}

async function remove(conversation) {
  const isKept = conversation.messages.length > 0;
  if (isKept && !confirm(`Delete “${conversation.title || "New conversation"}” from this browser?`)) return;
  if (app.running?.conversation === conversation) stop();
  app.conversations = app.conversations.filter((other) => other !== conversation);
  await store.remove(conversation.id);
  if (conversation !== app.current) return renderAll();
  app.current = null;
  if (app.conversations.length) open(app.conversations[0]);
  else begin();
}

// MARK: Files of conversations

function exportCurrent() {
  const { title, model, system, sampling, messages, leaf } = app.current;
  const text = JSON.stringify({ format: "moult.conversation", title, model, system, sampling, messages, leaf }, null, 2);
  const link = element("a", {
    href: URL.createObjectURL(new Blob([text], { type: "application/json" })),
    download: `${(title || "conversation").replace(/[^\p{L}\p{N} _-]/gu, "").trim().slice(0, 60) || "conversation"}.json`,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function importFrom(file) {
  try {
    const value = JSON.parse(await file.text());
    const conversation = checked(value);
    app.conversations.unshift(conversation);
    await store.put(conversation);
    open(conversation);
    announce("Imported.");
  } catch (error) {
    notice(`${file.name} could not be imported: ${error.message}`);
  }
}

// MARK: Drawers and theme

const isNarrow = (width) => matchMedia(`(max-width: ${width}px)`).matches;

function setPanel(isOpen) {
  document.body.classList.toggle("panel", isOpen);
  byId("open-panel").setAttribute("aria-expanded", String(isOpen));
  byId("open-panel").setAttribute("aria-pressed", String(isOpen));
  if (!isNarrow(1180)) kept.set("panel", isOpen ? "open" : "closed");
  renderShade();
  if (isOpen && app.current) renderFigures();
}

const openPanelWhereItFits = () => setPanel(!isNarrow(1180) && kept.get("panel") !== "closed");

function setSidebar(isOpen) {
  document.body.classList.toggle("sidebar", isOpen);
  renderShade();
  if (isOpen && isNarrow(820)) byId("close-sidebar").focus();
}

function renderShade() {
  const { classList } = document.body;
  const covers = (isNarrow(1180) && classList.contains("panel")) || (isNarrow(820) && classList.contains("sidebar"));
  byId("shade").hidden = !covers;
  document.querySelector("main").inert = covers;
}

/** Whether there was one to close. */
function closeDrawers() {
  const wasOpen = !byId("shade").hidden;
  setSidebar(false);
  if (isNarrow(1180)) setPanel(false);
  return wasOpen;
}

const themes = { system: "as the system", light: "light", dark: "dark" };

function setTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  const label = `Theme: ${themes[theme]}`;
  byId("theme").setAttribute("aria-label", label);
  byId("theme").title = label;
  if (memoryMap.data) drawMemory(memoryRows());
  kept.set("theme", theme);
}

function selectTab(name) {
  for (const tab of document.querySelectorAll('[role="tab"]')) {
    const isSelected = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(isSelected));
    tab.tabIndex = isSelected ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = !isSelected;
  }
}

// MARK: What is pressed

const onClick = (id, action) => byId(id).addEventListener("click", action);

onClick("new", begin);
onClick("export", exportCurrent);
onClick("import", () => byId("import-file").click());
onClick("attach", () => byId("file").click());
onClick("open-sidebar", () => setSidebar(true));
onClick("close-sidebar", () => { closeDrawers(); byId("open-sidebar").focus(); });
onClick("open-panel", () => {
  setPanel(!document.body.classList.contains("panel"));
  if (!byId("shade").hidden) byId("close-panel").focus();
});
onClick("close-panel", () => { setPanel(false); byId("open-panel").focus(); });
onClick("shade", closeDrawers);
onClick("theme", () => {
  const names = Object.keys(themes);
  setTheme(names[(names.indexOf(kept.get("theme") ?? "system") + 1) % names.length]);
});
onClick("tokens", () => {
  app.showsTokens = !app.showsTokens;
  byId("tokens").setAttribute("aria-pressed", String(app.showsTokens));
  renderMessages();
});
onClick("reset", () => {
  app.current.sampling = {};
  keepSettings(app.current);
  renderSettings();
});
for (const tab of document.querySelectorAll('[role="tab"]')) {
  const name = tab.getAttribute("aria-controls");
  tab.addEventListener("click", () => selectTab(name));
  tab.addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const other = name === "sequence" ? "settings" : "sequence";
    selectTab(other);
    byId(`tab-${other}`).focus();
  });
}
byId("import-file").addEventListener("change", async ({ target }) => {
  for (const file of [...target.files]) await importFrom(file);
  target.value = "";
});
byId("file").addEventListener("change", ({ target }) => {
  files.add([...target.files]);
  target.value = "";
});
byId("models").addEventListener("change", async ({ target }) => {
  app.current.model = target.value;
  await keepSettings(app.current);
  renderSettings();
  renderAll();
});
byId("system").addEventListener("input", ({ target }) => {
  app.current.system = target.value;
  keepSettings(app.current);
});
byId("text").addEventListener("input", fitInput);
byId("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  app.running || files.isSending ? stop() : send();
});
// What has come of an answer until the page is left.
addEventListener("pagehide", () => app.running && store.put(app.running.conversation));
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || byId("key-dialog").open) return;
  if (!closeDrawers()) stop();
});
matchMedia("(max-width: 1180px)").addEventListener("change", openPanelWhereItFits);
matchMedia("(max-width: 820px)").addEventListener("change", renderShade);
const box = document.querySelector(".box");
const bringsFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => {
  if (!bringsFiles(event)) return;
  event.preventDefault();
  box.classList.add("dropping");
});
addEventListener("dragleave", (event) => event.relatedTarget || box.classList.remove("dropping"));
addEventListener("drop", (event) => {
  if (!bringsFiles(event)) return;
  event.preventDefault();
  box.classList.remove("dropping");
  files.add([...event.dataTransfer.files]);
});
byId("scroll").addEventListener("scroll", hideAlternatives);
byId("key-dialog").addEventListener("cancel", (event) => event.preventDefault());

// MARK: The beginning

setTheme(kept.get("theme") in themes ? kept.get("theme") : "system");
openPanelWhereItFits();
await store.open();
app.conversations = await store.all();
const last = app.conversations.find((conversation) => conversation.id === kept.get("current"));
if (last) open(last);
else begin();
try {
  await server.read();
} catch (error) {
  notice(`The server does not answer: ${error.message}`);
}
renderSettings();
renderAll();
