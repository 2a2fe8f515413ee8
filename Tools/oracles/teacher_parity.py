#!/usr/bin/env python3
"""Proves that Moult computes the teacher as transformers does: logits in float32, and perplexity.

    .venv/bin/python Tools/oracles/teacher_parity.py --data TEXT [--windows 175]

transformers' side takes about a quarter of an hour for 175 windows on two cores; its perplexity is kept in .models and
not computed again for the same model, text and number of windows.
"""

import argparse
import hashlib
import json
from pathlib import Path

import moult
import teacher
import torch

LENGTH = 1024
LOGITS_TOLERANCE = 2e-3
PERPLEXITY_TOLERANCE = 1e-3


def first_windows(text, windows):
    """The shortest run of whole lines from the start of `text` that holds `windows` windows, and its token ids."""
    encoded = teacher.tokenizer()(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    needed = windows * LENGTH + 1
    ids = encoded["input_ids"]
    if len(ids) <= needed:
        return text, ids
    end = text.index("\n", encoded["offset_mapping"][needed][1]) + 1
    prefix = text[:end]
    ids = teacher.encode(prefix)
    if (len(ids) - 1) // LENGTH != windows:
        raise SystemExit(f"the text cannot be cut at a line after {windows} windows")
    return prefix, ids


def reference_perplexity(model, prefix, ids, windows):
    key = hashlib.sha256(prefix.encode()).hexdigest()[:12]
    cache = moult.ROOT / ".models" / f"reference-{key}-{windows}.json"
    if not cache.exists():
        print(f"transformers: perplexity over {windows} windows of {LENGTH} tokens")
        value, tokens = teacher.perplexity(model, ids, windows, LENGTH)
        cache.write_text(json.dumps({"perplexity": value, "tokens": tokens}))
    return json.loads(cache.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a text file")
    parser.add_argument("--windows", type=int, default=175)
    parser.add_argument("--rows", type=int, default=4, help="windows whose logits are compared")
    parser.add_argument("--reference-only", action="store_true", help="do not run Moult")
    arguments = parser.parse_args()

    model = teacher.load()
    other = teacher.load_with_transformers().state_dict()
    for name, weight in model.state_dict().items():
        if not torch.equal(weight, other[name]):
            raise SystemExit(f"the gguf package and transformers dequantise {name} differently")
    print("weights: the gguf package and transformers agree bit for bit")
    del other

    prefix, ids = first_windows(arguments.data.read_text(), arguments.windows)
    windows = min(arguments.windows, (len(ids) - 1) // LENGTH)
    reference = reference_perplexity(model, prefix, ids, windows)
    print(f"transformers: perplexity {reference['perplexity']:.4f} over {reference['tokens']} tokens")
    if arguments.reference_only:
        return

    rows = torch.tensor(ids[: arguments.rows * LENGTH]).reshape(-1, LENGTH)
    ours = moult.logits(teacher.GGUF, rows)
    worst = 0.0
    for row, values in zip(rows, ours):
        with torch.no_grad():
            expected = model(row[None], use_cache=False).logits[0]
        worst = max(worst, (values - expected).abs().max().item())
    print(f"logits: max abs difference {worst:.2e} over {rows.numel()} tokens (allowed {LOGITS_TOLERANCE:.0e})")

    text = moult.ROOT / ".models" / "parity.txt"
    text.write_text(prefix)
    result = moult.run_json("perplexity", teacher.GGUF, "--data", text, "--window", LENGTH)
    text.unlink()
    if result["tokens"] != reference["tokens"]:
        raise SystemExit(f"moult predicted {result['tokens']} tokens, transformers {reference['tokens']}")
    relative = abs(result["perplexity"] / reference["perplexity"] - 1)
    print(f"perplexity: {result['perplexity']:.4f}, off by {relative:.2e} (allowed {PERPLEXITY_TOLERANCE:.0e})")
    if worst > LOGITS_TOLERANCE or relative > PERPLEXITY_TOLERANCE:
        raise SystemExit("the teacher differs from transformers")
    print("the teacher is transformers' own")


if __name__ == "__main__":
    main()
