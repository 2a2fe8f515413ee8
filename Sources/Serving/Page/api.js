// The server: OpenAI's endpoints, and what this one says beyond them.

const server = {
  cards: [],

  /** What the server says of the conversation's model: the first one where it has chosen none; null before the server has answered. */
  get card() {
    return this.cards.find(({ id }) => id === app.current?.model) ?? this.cards[0] ?? null;
  },

  async read() {
    this.cards = (await (await ask("v1/models")).json()).data;
  },
};

class ServerError extends Error {
  constructor(status, error) {
    super(error?.message ?? `the server answered with status ${status}`);
    this.status = status;
  }
}

async function ask(path, body, signal) {
  for (;;) {
    const headers = body ? { "Content-Type": "application/json" } : {};
    const key = sessionStorage.getItem("moult.key");
    if (key) headers.Authorization = `Bearer ${key}`;
    const response = await fetch(path, {
      method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal, cache: "no-store",
    });
    if (response.ok) return response;
    const { error } = await response.json().catch(() => ({}));
    if (response.status !== 401) throw new ServerError(response.status, error);
    await askForKey(Boolean(key));
  }
}

/** Asks for the server's key, until something is given. */
function askForKey(wasWrong) {
  const dialog = byId("key-dialog");
  const mistake = wasWrong ? "That key is not among the server’s. " : "";
  byId("key-text").textContent = `${mistake}It is kept until this tab is closed.`;
  byId("key").value = "";
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      sessionStorage.setItem("moult.key", byId("key").value.trim());
      resolve();
    }, { once: true });
  });
}

/** The parts of a stream: `{ data }` or, while a prompt is read, `{ comment }`. */
async function* parts(response) {
  let held = "";
  for await (const text of chunks(response.body.pipeThrough(new TextDecoderStream()))) {
    const events = (held + text).split("\n\n");
    held = events.pop();
    for (const event of events) {
      if (event.startsWith(": ")) yield { comment: event.slice(2) };
      if (!event.startsWith("data: ")) continue;
      if (event === "data: [DONE]") return;
      const data = JSON.parse(event.slice(6));
      if (data.error) throw new ServerError(200, data.error);
      yield { data };
    }
  }
  throw new Error("the connection ended before the answer did");
}

// Not every browser iterates over streams.
async function* chunks(stream) {
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

/** "reading 512 of 2048 tokens" as numbers. */
function progressOf(comment) {
  const found = /^reading (\d+) of (\d+) tokens$/.exec(comment);
  return found && { read: Number(found[1]), all: Number(found[2]) };
}

/** Measures how fast a prompt is read, from how far it was at two times. */
class ReadingPace {
  add({ read, all }) {
    this.first ??= { read, at: performance.now() };
    [this.read, this.all, this.at] = [read, all, performance.now()];
  }

  /** Tokens per second; undefined after one look. */
  get rate() {
    return this.at > this.first?.at ? ((this.read - this.first.read) * 1000) / (this.at - this.first.at) : undefined;
  }

  get text() {
    const left = this.rate ? `, about ${secondsText((this.all - this.read) / this.rate)} left` : "";
    return `${whole(this.read)} of ${whole(this.all)} tokens${left}`;
  }
}

/** The body of a request for an answer to `messages`. */
function chatBody(conversation, messages, more = {}) {
  return {
    model: server.card.id, messages, stream: true, stream_options: { include_usage: true }, timings_per_token: true,
    ...requestedSampling(conversation), ...more,
  };
}

/** Bytes of a sequence of `tokens` tokens, as the server says of its model. */
function stateBytes(cost, tokens) {
  const unfilled = (cost.windows ?? []).reduce(
    (sum, window) => sum + window.bytes_per_token * Math.max(0, window.tokens - tokens), 0);
  return cost.constant_bytes + cost.bytes_per_token * tokens - unfilled;
}
