// Long texts: read by the server while the question is still being written. The state after them is kept there, so that the
// question then reads only what is new.

const files = {
  list: [],
  isSending: false,
  work: Promise.resolve(),
  /** Ends the waiting of a message that is sent when the files are read. */
  withdraw: null,

  /** Adds files and has them read one after the other. */
  async add(given) {
    for (const file of given) {
      const entry = { name: file.name, state: "waiting", controller: new AbortController() };
      this.list.push(entry);
      this.work = this.work.then(() => this.read(entry, file));
    }
    renderFiles();
    byId("text").focus();
  },

  async read(entry, file) {
    if (!this.list.includes(entry)) return;
    const conversation = app.current;
    try {
      if (file.size > 16e6) throw new Error("longer than 16 MB");
      entry.text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer()).trim();
      if (!entry.text) throw new Error("it is empty");
      await this.readText(entry, conversation);
      entry.state = "read";
      announce(`${entry.name} is read: ${counted(entry.tokens, "token")}.`);
    } catch (error) {
      if (entry.controller.signal.aborted) return;
      entry.state = "failed";
      entry.problem = error instanceof TypeError ? "it is no text in UTF-8" : error.message;
      announce(`${entry.name} could not be read: ${entry.problem}`);
    }
    renderFiles();
  },

  async readText(entry, conversation) {
    const before = this.list.slice(0, this.list.indexOf(entry)).filter((other) => other.text);
    const history = sentMessages(conversation, conversation.leaf);
    const messages = (text) => [
      ...history, { role: "user", content: [...before.map((other) => other.text), text].join("\n\n") },
    ];
    const model = server.card.id;
    const count = async (body) =>
      (await (await ask("tokenize", { model, ...body }, entry.controller.signal)).json()).count;
    entry.state = "reading";
    entry.tokens = await count({ content: entry.text, add_special: false });
    entry.pace = new ReadingPace();
    renderFiles();
    // For prompts that end otherwise a state is kept where the last segment begins. Where that would be behind the text, in
    // what the template adds, a little less is read ahead.
    const behind = (await count({ messages: messages(entry.text) })) % (server.card.meta?.state?.segment_tokens ?? 512);
    const text = behind < 64 ? entry.text.slice(0, -400) : entry.text;
    const body = chatBody(conversation, messages(text), { max_tokens: 1 });
    const response = await ask("v1/chat/completions", body, entry.controller.signal);
    for await (const { comment, data } of parts(response)) {
      const progress = comment && progressOf(comment);
      if (progress) entry.pace.add(progress);
      if (data?.timings) entry.timings = data.timings;
      renderFiles();
    }
  },

  /** Waits until all are read. Whether that went well. */
  async settle() {
    await this.work;
    if (this.list.every((entry) => entry.state === "read")) return true;
    notice("A file could not be read. Take it away to go on.");
    return false;
  },

  remove(entry) {
    entry.controller.abort();
    this.list = this.list.filter((other) => other !== entry);
    renderFiles();
    byId("text").focus();
  },

  clear() {
    for (const entry of this.list) if (entry.state !== "read") entry.controller.abort();
    this.list = [];
    renderFiles();
  },
};

function renderFiles() {
  byId("files").replaceChildren(...files.list.map(fileView));
  renderComposer();
  renderFigures();
}

function fileView(entry) {
  const { state, pace, tokens } = entry;
  const text = {
    waiting: "waits",
    reading: pace?.all ? pace.text : tokens ? `${counted(tokens, "token")} to read` : "",
    read: `${counted(tokens, "token")} read` + (entry.timings?.prompt_per_second
      ? ` at ${whole(entry.timings.prompt_per_second)} tokens/s` : ""),
    failed: entry.problem,
  }[state];
  const view = element("li", {}, icon("file"),
    element("span", {}, element("strong", {}, entry.name), " ",
      element("span", { class: state === "failed" ? "error" : "state" }, text)),
    iconButton("close", `Take ${entry.name} away`, () => files.remove(entry)));
  if (state === "reading" && pace) {
    view.append(element("progress", {
      max: pace.all ?? tokens, value: pace.read ?? 0, "aria-label": `Tokens of ${entry.name} that were read`,
    }));
  }
  return view;
}
