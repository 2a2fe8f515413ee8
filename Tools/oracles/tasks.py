#!/usr/bin/env python3
"""Proves that moult evaluate scores choices as lm-evaluation-harness does with transformers.

    .venv/bin/python Tools/oracles/tasks.py --data FOLDER [--limit 20]

The folder holds the question files that docs/evaluation.md describes. Contexts and continuations are split into tokens by
the harness's rule (lm_eval/api/model.py, TemplateLM._encode_pair), written out here, and scored one by one in float32.
"""

import argparse
import json
from pathlib import Path

import moult
import teacher
import torch

FILES = {
    "lambada": "lambada_openai.jsonl",
    "piqa": "piqa_val.jsonl",
    "arc_easy": "arc_easy_val.jsonl",
    "openbookqa": "openbookqa_val.jsonl",
}
TOLERANCE = 2e-3  # nats, of a whole continuation


def score(model, tokenizer, context, continuation):
    """Log-likelihood of the continuation, and whether greedy decoding gives it."""
    def encode(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    spaces = len(context) - len(context.rstrip())
    if spaces:
        context, continuation = context[:-spaces], context[-spaces:] + continuation
    whole, before = encode(context + continuation), len(encode(context))
    ids = torch.tensor(whole)
    with torch.no_grad():
        logits = model(ids[None, :-1], use_cache=False).logits[0].float()[before - 1 :]
    targets = ids[before:]
    likelihood = logits.log_softmax(-1).gather(1, targets[:, None]).double().sum().item()
    return likelihood, bool((logits.argmax(-1) == targets).all())


def questions(task, folder, limit):
    for line in (folder / FILES[task]).read_text().splitlines()[:limit]:
        entry = json.loads(line)
        yield entry["context"], entry.get("choices") or [" " + entry["continuation"]], entry.get("gold", 0)


def metrics(task, answers):
    """answers: (scores, choices, gold) of every question."""
    gold = [scores[index] for scores, _, index in answers]
    if task == "lambada":
        loss = -sum(likelihood for likelihood, _ in gold) / len(gold)
        return {"acc": sum(greedy for _, greedy in gold) / len(gold), "perplexity": torch.tensor(loss).exp().item()}

    def accuracy(value):
        def best(scores, choices):
            return max(range(len(scores)), key=lambda i: value(scores[i][0], choices[i]))
        return sum(best(scores, choices) == index for scores, choices, index in answers) / len(answers)

    return {
        "acc": accuracy(lambda likelihood, _: likelihood),
        "acc_norm": accuracy(lambda likelihood, choice: likelihood / len(choice.removeprefix(" "))),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of the question files")
    parser.add_argument("--limit", type=int, default=20, help="questions of each task")
    arguments = parser.parse_args()

    ours = moult.run_json("evaluate", teacher.GGUF, "--tasks", ",".join(FILES), "--data", arguments.data, "--limit",
                          arguments.limit, "--samples")
    model, tokenizer = teacher.load(), teacher.tokenizer()
    failed = False
    for task, result in zip(FILES, ours["results"]):
        worst, answers = 0.0, []
        for (context, choices, gold), found in zip(
                questions(task, arguments.data, arguments.limit), result["samples"], strict=True):
            scores = [score(model, tokenizer, context, choice) for choice in choices]
            answers.append((scores, choices, gold))
            for (likelihood, greedy), sample in zip(scores, found, strict=True):
                worst = max(worst, abs(likelihood - sample["log_likelihood"]))
                failed |= greedy != sample["is_greedy"]
        failed |= worst > TOLERANCE
        print(f"{task}: log-likelihoods off by at most {worst:.1e} nats (allowed {TOLERANCE:.0e})")
        for name, expected in metrics(task, answers).items():
            value = result["metrics"][name]["value"]
            failed |= abs(value - expected) > 1e-3 * max(1, abs(expected))
            print(f"  {name}: {value:.4f}, transformers {expected:.4f}")
    if failed:
        raise SystemExit("moult evaluate differs from transformers")
    print("the tasks are scored as with transformers")


if __name__ == "__main__":
    main()
