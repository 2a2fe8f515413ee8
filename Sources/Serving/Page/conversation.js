// A conversation is a tree of messages: an edited message, or another answer, stands beside the one that was there.
// A message: { id, parent, role, content, files?, tokens?, usage?, timings?, finish?, error? }; `leaf` is where one is.

function newConversation(like) {
  return {
    id: newID(), title: "", updated: Date.now(), model: like?.model, system: like?.system ?? "",
    sampling: { ...like?.sampling }, messages: [], leaf: null,
  };
}

const find = (conversation, id) => conversation.messages.find((message) => message.id === id);
const childrenOf = (conversation, id) => conversation.messages.filter((message) => message.parent === id);

/** The messages from the first one to `id`. */
function pathTo(conversation, id) {
  const path = [];
  for (let message = find(conversation, id); message; message = find(conversation, message.parent)) path.unshift(message);
  return path;
}

/** Where a branch ends that goes through `id`: of several ways the one that was gone last. */
function tipOf(conversation, id) {
  let message = find(conversation, id);
  for (;;) {
    const children = childrenOf(conversation, message.id);
    if (!children.length) return message.id;
    message = children.find((child) => child.id === message.next) ?? children.at(-1);
  }
}

/** Goes to a message, and remembers the way there. */
function goTo(conversation, id) {
  conversation.leaf = id;
  for (const message of pathTo(conversation, id)) {
    const parent = find(conversation, message.parent);
    if (parent) parent.next = message.id;
  }
}

/** Adds a message behind `parent` and goes there. */
function add(conversation, parent, role, content, more = {}) {
  const message = { id: newID(), parent, role, content, ...more };
  conversation.messages.push(message);
  conversation.updated = Date.now();
  if (!conversation.title && role === "user") {
    conversation.title = (content || more.files?.[0]?.name || "").trim().split("\n")[0].slice(0, 80);
  }
  goTo(conversation, message.id);
  return message;
}

/** A message's text as the model reads it: files come first, so that reading them ahead is of use. */
function sentText(message) {
  return [...(message.files ?? []).map((file) => file.text), message.content].filter(Boolean).join("\n\n");
}

/** The messages from the first one to `id`, as the API takes them. */
function sentMessages(conversation, id) {
  const system = conversation.system.trim() ? [{ role: "system", content: conversation.system }] : [];
  return [...system, ...pathTo(conversation, id).map((message) => ({ role: message.role, content: sentText(message) }))];
}

/** Tokens from the beginning to the end of a message; undefined where no answer has told. */
function tokensAt(conversation, message) {
  if (message.role === "assistant") return message.usage && message.usage.prompt + message.usage.generated;
  return childrenOf(conversation, message.id).find((child) => child.usage)?.usage.prompt;
}

/** Whether it is a text with a log-probability. */
const isChance = (pair) => Array.isArray(pair) && typeof pair[0] === "string" && Number.isFinite(pair[1]);

/** A conversation from a file, or an error that says what is wrong with it. */
function checked(value) {
  const wrong = (what) => new Error(`not a conversation of this page: ${what}`);
  if (typeof value !== "object" || value === null) throw wrong("no object");
  if (!Array.isArray(value.messages)) throw wrong("it has no messages");
  const conversation = newConversation();
  conversation.title = String(value.title ?? "").slice(0, 80);
  conversation.system = String(value.system ?? "");
  if (typeof value.model === "string") conversation.model = value.model;
  for (const field of samplers) {
    const number = value.sampling?.[field.name];
    if (typeof number === "number" && Number.isFinite(number)) conversation.sampling[field.name] = number;
  }
  const places = new Map([[null, null]]);
  for (const { id, parent, role, content, files, tokens, usage, timings, finish } of value.messages) {
    if (!["user", "assistant"].includes(role) || typeof content !== "string") throw wrong("a message has no text");
    if (!places.has(parent ?? null)) throw wrong("a message stands before the one that it answers");
    const message = { id: newID(), parent: places.get(parent ?? null), role, content };
    places.set(String(id), message.id);
    if (Array.isArray(files)) {
      message.files = files.map((file) => ({ name: String(file.name), text: String(file.text) }));
    }
    const counts = [usage?.prompt, usage?.generated, usage?.cached];
    if (counts.every(Number.isFinite)) message.usage = { prompt: counts[0], generated: counts[1], cached: counts[2] };
    if (Array.isArray(tokens) && tokens.every((token) => isChance(token) && token[2]?.every?.(isChance))) {
      message.tokens = tokens;
    }
    if (timings) message.timings = Object.fromEntries(Object.entries(timings).filter(([, value]) => Number.isFinite(value)));
    if (finish) message.finish = String(finish);
    conversation.messages.push(message);
  }
  const leaf = places.get(String(value.leaf)) ?? conversation.messages.at(-1)?.id;
  if (leaf) goTo(conversation, leaf);
  return conversation;
}
