// Asking, and the answer as it comes.

const app = { conversations: [], current: null, running: null, showsTokens: false };

/** Asks for an answer to the conversation up to the message `parent`. */
async function answer(conversation, parent) {
  const message = add(conversation, parent, "assistant", "");
  const running = { conversation, message, controller: new AbortController(), pace: new ReadingPace() };
  app.running = running;
  notice("");
  renderAll();
  store.put(conversation);
  try {
    const messages = sentMessages(conversation, parent);
    const body = chatBody(conversation, messages, { logprobs: true, top_logprobs: alternatives });
    await receive(running, await ask("v1/chat/completions", body, running.controller.signal));
    // Of a model that was not loaded little was known.
    if (!server.card.meta) await server.read();
    announce(`The answer is complete: ${counted(message.usage?.generated ?? 0, "token")}.`);
  } catch (error) {
    if (running.controller.signal.aborted) {
      message.finish = "stopped";
      announce("Stopped.");
    } else {
      message.error = error instanceof TypeError ? "The server cannot be reached." : error.message;
      announce(`The answer ended with an error: ${message.error}`);
    }
  }
  if (running.collector?.tokens.length) message.tokens = running.collector.of(message.content);
  app.running = null;
  renderAll();
  await store.put(conversation);
}

async function receive(running, response) {
  const { message, conversation } = running;
  const collector = (running.collector = new TokenCollector());
  let first;
  for await (const { comment, data } of parts(response)) {
    if (comment) {
      const progress = progressOf(comment);
      if (progress) running.pace.add(progress);
      renderRunning();
      continue;
    }
    if (data.timings) {
      const { cache_n, prompt_n, predicted_n } = data.timings;
      message.timings = data.timings;
      message.usage = { prompt: cache_n + prompt_n, cached: cache_n, generated: predicted_n };
    }
    if (data.usage) {
      message.usage = {
        prompt: data.usage.prompt_tokens, generated: data.usage.completion_tokens,
        cached: data.usage.prompt_tokens_details?.cached_tokens ?? 0,
      };
    }
    const choice = data.choices[0];
    if (!choice) continue;
    running.isWriting = true;
    if (choice.logprobs?.content) collector.add(choice.logprobs.content);
    if (choice.finish_reason) message.finish = choice.finish_reason;
    message.content += choice.delta.content ?? "";
    renderRunning();
  }
}

/** Stops the answer under way, which the server ends when the connection closes, or the waiting for files. */
function stop() {
  app.running?.controller.abort();
  files.withdraw?.();
}

/** Sends what stands in the message box, when the files that go with it are read. */
async function send() {
  const input = byId("text");
  const conversation = app.current;
  const text = input.value.trim();
  if (app.running || files.isSending || (!text && !files.list.length)) return;
  notice("");
  files.isSending = true;
  renderComposer();
  const isWithdrawn = new Promise((resolve) => (files.withdraw = () => resolve(false)));
  const isReady = await Promise.race([files.settle(), isWithdrawn]);
  files.isSending = false;
  const attached = files.list.map(({ name, text, tokens }) => ({ name, text, tokens }));
  if (!isReady || app.current !== conversation || (!text && !attached.length)) return renderComposer();
  files.clear();
  input.value = "";
  fitInput();
  const message = add(conversation, conversation.leaf, "user", text, attached.length ? { files: attached } : {});
  await answer(conversation, message.id);
}

/** Another answer beside this one. */
const regenerate = (message) => app.running || answer(app.current, message.parent);

/** Another text beside a message's; one of a user's is answered. */
async function replace(message, text) {
  const conversation = app.current;
  const edited = add(conversation, message.parent, message.role, text, message.files ? { files: message.files } : {});
  if (message.role === "user") return answer(conversation, edited.id);
  edited.finish = "edited";
  renderAll();
  await store.put(conversation);
}
