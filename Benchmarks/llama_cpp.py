"""llama.cpp (through xllamacpp) in a process of its own: `python llama_cpp.py MODEL.gguf THREADS TASK.json` prints one JSON object.

The task is {"prefill": ids, "decode": [[ids of the context, ...], ...], "tokens": N}. Prompts are token ids, so that the tokenizer plays no
part; each decode figure is llama.cpp's own timing of N greedy tokens after the context.
"""

import json
import sys


def main(model, threads, task):
    import xllamacpp

    task = json.load(open(task))
    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.n_ctx = max(map(len, task["decode"] + [task["prefill"]])) + task["tokens"] + 64
    parameters.n_parallel = 1
    parameters.verbosity = 0
    parameters.cpuparams.n_threads = int(threads)
    parameters.cpuparams_batch.n_threads = int(threads)
    server = xllamacpp.Server(parameters)

    def complete(ids, tokens):
        reply = server.handle_completions({"prompt": ids, "n_predict": tokens, "temperature": 0, "cache_prompt": False,
                                           "ignore_eos": True})
        reply = json.loads(reply) if isinstance(reply, str) else reply
        if "timings" not in reply:
            raise SystemExit(f"llama.cpp refused the prompt: {reply}")
        return reply

    complete(task["prefill"], 4)  # warm-up
    result = {"prefill": complete(task["prefill"], 1)["timings"]["prompt_per_second"], "decode": [], "text": []}
    for ids in task["decode"]:
        reply = complete(ids, task["tokens"])
        result["decode"].append(reply["timings"]["predicted_per_second"])
        result["text"].append(reply["choices"][0]["text"])
    print("\n" + json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
