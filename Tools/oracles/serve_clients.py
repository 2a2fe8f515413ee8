#!/usr/bin/env python3
"""Runs clients that exist against moult serve, and compares what they find with moult evaluate.

    python3 -m venv .venv-clients
    .venv-clients/bin/pip install openai==3.57.0 'lm_eval[api]==0.4.13'
    .venv-clients/bin/python Tools/oracles/serve_clients.py [MODEL] [--data .data/questions] [--limit 50] [--tasks piqa,arc_easy]

The openai package asks for lists, whole answers, streams, likelihoods and mistakes, and for responses, which go on from any earlier one;
curl for a stream and for a state, which it brings back; lm-evaluation-harness
scores PIQA, ARC-Easy and OpenBookQA by local-completions, with the server's tokenizer, on the questions of moult evaluate, and
LAMBADA where DATA has lambada_openai.jsonl; with --hf (pip install 'lm_eval[api,hf]==0.4.13' gguf) by transformers too.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path

import moult
import openai
from moult import check

TASKS = ["piqa", "arc_easy", "openbookqa"]


def openai_package(root):
    client = openai.OpenAI(base_url=f"{root}/v1", api_key="none", max_retries=0)
    name = client.models.list().data[0].id
    check(client.models.retrieve(name).id == name, f"openai: the list of models has {name}")

    messages = [{"role": "user", "content": "What is a fjord?"}]
    arguments = {"model": name, "max_tokens": 24, "temperature": 0}
    whole = client.chat.completions.create(messages=messages, logprobs=True, top_logprobs=3, **arguments)
    answer = whole.choices[0].message.content
    check(whole.usage.completion_tokens <= 24 and answer, f"openai: a whole answer: {answer!r}")
    entries = whole.choices[0].logprobs.content
    check(all(entry.logprob == entry.top_logprobs[0].logprob for entry in entries), "openai: likelihoods of greedy tokens")
    check(bytes(b for e in entries for b in e.bytes).decode() == answer, "openai: bytes of tokens are the answer's")

    parts, usage = [], None
    stream = client.chat.completions.create(
        messages=messages, stream=True, stream_options={"include_usage": True}, **arguments)
    for part in stream:
        parts += [choice.delta.content or "" for choice in part.choices]
        usage = part.usage or usage
    check("".join(parts) == answer, "openai: the same answer as a stream")
    check(usage.prompt_tokens == whole.usage.prompt_tokens, "openai: a stream's usage")
    check(usage.prompt_tokens_details.cached_tokens == usage.prompt_tokens, "openai: all of a prompt asked again is cached")

    messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": "Name one."}]
    turn = client.chat.completions.create(messages=messages, **arguments).usage
    cached = turn.prompt_tokens_details.cached_tokens
    check(whole.usage.prompt_tokens <= cached < turn.prompt_tokens,
          f"openai: of a second turn's {turn.prompt_tokens} tokens {cached} are cached")

    text = client.completions.create(prompt="The capital of Norway is", n=2, seed=1, stop=["\n"], logprobs=2, **arguments)
    check(text.choices[0].text == text.choices[1].text, f"openai: a completion: {text.choices[0].text!r}")
    for error, fields in [
        (openai.BadRequestError, {"tools": [{"type": "custom", "custom": {"name": "f"}}]}),
        (openai.BadRequestError, {"extra_body": {"temprature": 1}}),
        (openai.NotFoundError, {"model": "another"}),
    ]:
        try:
            client.chat.completions.create(**{"messages": messages, "model": name, **fields})
        except error as refusal:
            check(True, f"openai: {error.__name__}: {refusal.body['message']}")
        else:
            check(False, f"openai: no {error.__name__} for {fields}")


def responses(root):
    client = openai.OpenAI(base_url=f"{root}/v1", api_key="none", max_retries=0)
    arguments = {"model": client.models.list().data[0].id, "max_output_tokens": 24, "temperature": 0}
    first = client.responses.create(input="What is a glacier?", **arguments)
    check(first.output_text and first.usage.output_tokens <= 24, f"openai: a response: {first.output_text!r}")
    second = client.responses.create(input="Name one.", previous_response_id=first.id, **arguments)
    cached = second.usage.input_tokens_details.cached_tokens
    check(first.usage.input_tokens < cached < second.usage.input_tokens,
          f"openai: of a second turn's {second.usage.input_tokens} tokens {cached} are cached")
    text, done = "", None
    with client.responses.create(input="Name one.", previous_response_id=first.id, stream=True, **arguments) as stream:
        for event in stream:
            text += event.delta if event.type == "response.output_text.delta" else ""
            done = event.response if event.type in ("response.completed", "response.incomplete") else done
    check(text == done.output_text == second.output_text, "openai: a fork, as a stream, says the same")
    check(client.responses.retrieve(second.id).output_text == second.output_text, "openai: a response is kept")
    # It waits for an end of the text, and not of the tokens.
    with client.responses.stream(input="And where?", previous_response_id=second.id, extra_body={"stop": ["."]},
                                 **(arguments | {"max_output_tokens": 400})) as stream:
        for event in stream:
            pass
        check(stream.get_final_response().output_text, "openai: the helper for streams has a whole response")

    state = subprocess.run(["curl", "-sf", f"{root}/v1/responses/{first.id}/state"], stdout=subprocess.PIPE, check=True).stdout
    upload = ["curl", "-s", f"{root}/v1/states", "--data-binary", "@-", "-H", "Content-Type: application/octet-stream"]
    again = json.loads(subprocess.run(upload, input=state, stdout=subprocess.PIPE, check=True).stdout)
    other = client.responses.create(input="Name one.", previous_response_id=again["id"], **arguments)
    check(other.output_text == second.output_text, f"curl: a state of {len(state)} bytes goes out and comes back")
    forged = bytearray(state)
    forged[len(state) // 2] ^= 1
    refusal = json.loads(subprocess.run(upload, input=bytes(forged), stdout=subprocess.PIPE, check=True).stdout)["error"]
    check(refusal["code"] == "forged_state", f"curl: a forged state is refused: {refusal['message']}")

    client.responses.delete(first.id)
    try:
        client.responses.create(input="x", previous_response_id=first.id, **arguments)
    except openai.BadRequestError as refusal:
        check(refusal.body["param"] == "previous_response_id", f"openai: {refusal.body['message']}")
    else:
        check(False, "openai: a response that was deleted is gone on from")


def curl(root):
    body = json.dumps({"prompt": "Once upon a time", "max_tokens": 8, "stream": True})
    command = ["curl", "-sN", f"{root}/v1/completions", "-H", "Content-Type: application/json", "-d", body]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split("\n\n")
    check(lines[-2] == "data: [DONE]" and len(lines) > 8, f"curl: a stream of {len(lines) - 1} events")


def choices(document):
    return [choice.removeprefix(" ") for choice in document["choices"]]


def tasks(names, data):
    """The tasks of moult evaluate's files, as lm-evaluation-harness writes tasks."""
    found = []
    for name in names:
        path = data / ("lambada_openai.jsonl" if name == "lambada" else f"{name}_val.jsonl")
        task = {"task": f"moult_{name}", "dataset_path": "json", "validation_split": "validation",
                "dataset_kwargs": {"data_files": {"validation": str(path)}}, "doc_to_text": "{{context}}"}
        if name == "lambada":
            task |= {"output_type": "loglikelihood", "doc_to_target": "{{' ' + continuation}}",
                     "metric_list": [{"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
                                     {"metric": "acc", "aggregation": "mean", "higher_is_better": True}]}
        else:
            task |= {"output_type": "multiple_choice", "doc_to_choice": choices, "doc_to_target": "gold",
                     "target_delimiter": " ",
                     "metric_list": [{"metric": metric, "aggregation": "mean", "higher_is_better": True}
                                     for metric in ("acc", "acc_norm")]}
        found.append(task)
    return found


def harness(names, arguments, **model):
    """lm-evaluation-harness's figures."""
    from lm_eval import simple_evaluate

    start = time.monotonic()
    results = simple_evaluate(tasks=tasks(names, arguments.data), limit=arguments.limit, bootstrap_iters=0,
                              batch_size=arguments.batch, **model)
    print(f"lm_eval, {model['model']}: {time.monotonic() - start:.0f} s", flush=True)
    return {name: results["results"][f"moult_{name}"] for name in names}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default=moult.ROOT / ".models" / "SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--data", type=Path, default=moult.ROOT / ".data" / "questions")
    parser.add_argument("--limit", type=int, default=50, help="questions of each task; 0 for none")
    parser.add_argument("--tasks", help="some of piqa, arc_easy, openbookqa and lambada, by commas; all that DATA has unless given")
    parser.add_argument("--concurrent", type=int, default=4, help="requests of lm_eval at once")
    parser.add_argument("--batch", type=int, default=16, help="prompts of each of them")
    parser.add_argument("--hf", action="store_true", help="compare with lm_eval's own transformers model too, in float32")
    arguments = parser.parse_args()
    model, names = Path(arguments.model), list(TASKS)
    if arguments.tasks:
        names = arguments.tasks.split(",")
    elif (arguments.data / "lambada_openai.jsonl").exists():
        names.append("lambada")

    with moult.serving(model) as root:
        openai_package(root)
        responses(root)
        curl(root)
        if not arguments.limit:
            return
        name = openai.OpenAI(base_url=f"{root}/v1", api_key="none").models.list().data[0].id
        found = {"local-completions": harness(names, arguments, model="local-completions", model_args={
            "model": name, "base_url": f"{root}/v1/completions", "tokenizer_backend": "remote",
            "num_concurrent": arguments.concurrent, "max_length": 8192})}
    if arguments.hf:
        folder, file = (model.parent, {"gguf_file": model.name}) if model.suffix == ".gguf" else (model, {})
        found["hf"] = harness(names, arguments, model="hf", model_args={
            "pretrained": str(folder), "dtype": "float32", "device": "cpu", **file})
    ours = moult.run_json("evaluate", model, "--tasks", ",".join(names), "--data", arguments.data, "--limit", arguments.limit)
    for result in ours["results"]:
        for metric, digits in {"acc": 4, "acc_norm": 4, "perplexity": 2}.items():
            if metric not in result["metrics"]:
                continue
            expected = result["metrics"][metric]["value"]
            for way, figures in found.items():
                value = figures[result["task"]][f"{metric},none"]
                check(f"{value:.{digits}f}" == f"{expected:.{digits}f}",
                      f"lm_eval {way}: {result['task']} {metric} {value:.{digits}f}, moult evaluate {expected:.{digits}f}")


if __name__ == "__main__":
    main()
