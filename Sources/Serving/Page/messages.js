// The messages of the branch that one is on.

let editing = null;

function renderMessages() {
  const conversation = app.current;
  const path = pathTo(conversation, conversation.leaf);
  const list = byId("messages");
  list.replaceChildren(...(path.length ? path.map(messageView) : [welcome()]));
  const later = path.length ? laterThan(conversation, conversation.leaf) : 0;
  if (later && !app.running) {
    list.append(element("p", { class: "rewound" },
      `${counted(later, "later message")} ${later === 1 ? "is" : "are"} kept. What you write now begins a new branch.`,
      element("button", {
        class: "link", onclick: () => visit(tipOf(conversation, conversation.leaf)),
      }, "Go forward again")));
  }
}

function laterThan(conversation, id) {
  return childrenOf(conversation, id).reduce((sum, child) => sum + 1 + laterThan(conversation, child.id), 0);
}

function welcome() {
  const cost = server.card?.meta?.state;
  const held = cost && cost.bytes_per_token === 0 && `${bytesText(cost.constant_bytes)} at most, however long it gets`;
  return element("div", { class: "welcome" },
    element("h2", {}, "What would you like to talk about?"),
    element("p", {}, held
      ? `This model remembers a conversation in ${held}. Give it a long text to read, and ask about it.`
      : "Write a message, or give the model a text to read and ask about it."));
}

function messageView(message) {
  const view = element("article", {
    class: `message ${message.role}`, id: `message-${message.id}`,
    "aria-label": message.role === "user" ? "You" : "Answer",
  });
  for (const file of message.files ?? []) {
    view.append(element("p", { class: "attached" }, icon("file"),
      `${file.name}, ${file.tokens ? counted(file.tokens, "token") : counted(file.text.length, "character")}`));
  }
  if (editing === message.id) view.append(editor(message));
  else if (message.role === "user") message.content && view.append(element("div", { class: "content" }, message.content));
  else view.append(element("div", { class: "content" }, answerContent(message)));
  if (editing !== message.id) view.append(metaRow(message));
  return view;
}

function answerContent(message) {
  const running = app.running?.message === message && app.running;
  if (running && !message.content) return readingView(running);
  const content = document.createDocumentFragment();
  if (app.showsTokens && (message.tokens || running)) {
    content.append(tokenView(running ? running.collector.tokens : message.tokens));
  } else {
    content.append(formatted(message.content));
  }
  if (message.error) content.append(element("p", { class: "error" }, message.error));
  if (running) (content.lastElementChild ?? content).append(element("span", { class: "writing", "aria-hidden": "true" }));
  return content;
}

function readingView({ pace, isWriting }) {
  const view = element("div", { class: "reading" }, isWriting || !pace.all ? "Reading" : `Reading: ${pace.text}`);
  if (pace.all && !isWriting) {
    view.append(element("progress", { max: pace.all, value: pace.read, "aria-label": "Tokens of the prompt that were read" }));
  }
  return view;
}

function metaRow(message) {
  const row = element("div", { class: "meta" });
  const siblings = childrenOf(app.current, message.parent);
  const place = siblings.indexOf(message);
  const isRunning = app.running?.message === message;
  if (siblings.length > 1) {
    const go = (step) => visit(tipOf(app.current, siblings[place + step].id), message.parent, place + step);
    row.append(element("div", { class: "branches", role: "group", "aria-label": "Branches" },
      iconButton("left", "Branch before", () => go(-1), { disabled: place === 0 || Boolean(app.running) }),
      element("span", {}, `${place + 1}/${siblings.length}`),
      iconButton("right", "Next branch", () => go(1), { disabled: place === siblings.length - 1 || Boolean(app.running) })));
  }
  if (!isRunning) {
    row.append(iconButton("copy", "Copy", async (event) => {
      const button = event.currentTarget;
      await copyText(message.content);
      announce("Copied.");
      button.classList.add("done");
    }));
    row.append(iconButton("edit", "Edit", () => edit(message), { disabled: Boolean(app.running) }));
    if (message.role === "assistant") {
      row.append(iconButton("again", "Another answer", () => regenerate(message), { disabled: Boolean(app.running) }));
    }
  }
  const said = message.role === "assistant" ? saidOf(message) : "";
  if (said) row.append(element("span", { class: "said" }, said));
  return row;
}

/** How an answer came about, in a line. */
function saidOf({ usage, timings, finish }) {
  const said = [];
  if (usage) said.push(counted(usage.generated, "token"));
  if (timings?.predicted_per_second) said.push(`${rate(timings.predicted_per_second)} tokens/s`);
  if (finish === "length") said.push("ended at the limit");
  if (finish === "stopped") said.push("stopped");
  if (finish === "edited") said.push("edited");
  return said.join(" · ");
}

const rate = (value) => (value < 99.95 ? value.toFixed(1) : whole(value));

function edit(message) {
  editing = message.id;
  renderMessages();
}

function editor(message) {
  const area = element("textarea", { "aria-label": "Text of the message" });
  area.value = message.content;
  const end = (isDone) => {
    editing = null;
    const text = area.value.trim();
    if (isDone && text && text !== message.content && !app.running) return replace(message, text);
    renderMessages();
    byId("text").focus();
  };
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") end(false), event.stopPropagation();
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) event.preventDefault(), end(true);
  });
  requestAnimationFrame(() => area.focus());
  return element("div", { class: "editor" }, area, element("div", {},
    element("button", { class: "wide", onclick: () => end(false) }, "Cancel"),
    element("button", { class: "primary", onclick: () => end(true) }, message.role === "user" ? "Send" : "Keep")));
}

/** Goes to a message of the conversation; `parent` and `place` say which arrow was used, so that it keeps the focus. */
function visit(id, parent, place) {
  if (app.running) return;
  goTo(app.current, id);
  editing = null;
  renderAll();
  store.put(app.current);
  if (place === undefined) return;
  const shown = childrenOf(app.current, parent)[place];
  const arrows = byId(`message-${shown.id}`).querySelectorAll(".branches button:enabled");
  (place === 0 ? arrows[0] : arrows[arrows.length - 1])?.focus();
}

// The answer under way is drawn at most once a frame, and the page follows its end unless one has scrolled away from it.
let isDue = false;

function renderRunning() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    const { running } = app;
    if (!running) return;
    const view = byId(`message-${running.message.id}`);
    const follows = isAtEnd();
    view?.querySelector(".content").replaceChildren(answerContent(running.message));
    if (view && follows) scrollToEnd();
    renderFigures();
  });
}

const isAtEnd = () => {
  const scroll = byId("scroll");
  return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
};

function scrollToEnd() {
  const scroll = byId("scroll");
  scroll.scrollTop = scroll.scrollHeight;
}
