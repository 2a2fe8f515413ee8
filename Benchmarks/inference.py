#!/usr/bin/env python3
"""Speed of Moult beside llama.cpp and Hugging Face transformers, on SmolLM2-135M and on the same threads.

    .venv/bin/python Benchmarks/inference.py [--rounds 3] [--threads 2] [--deep] [--output FILE.json] [--write docs/benchmarks.md]

All sides are checked before anything is timed. Runs alternate, each in a process of its own, so that all see the same machine; figures are
medians over the rounds. Prefill: one prompt, logits of its last token only. Decode: 64 greedy tokens, one at a time, after a context.
llama.cpp reads the Q4_1 file that SmolLM2 comes in; transformers and Moult's bfloat16 models the same weights dequantised. --deep adds a
context of 131,072 tokens, which takes minutes to read. --write replaces the tables in that file.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Tools" / "oracles"))

import moult  # noqa: E402
import teacher  # noqa: E402

PREFILL, DECODE = (512, 1024), 64
DEPTHS = (16, 512, 4096)
DEEP = 131072
TEXT = ROOT / ".data" / "encyclopedia_valid.txt"


def text_ids(count):
    return teacher.encode(TEXT.read_text()[: 8 * count])[:count]


# Models

def bfloat16_folder():
    """The dequantised teacher as a bfloat16 folder, written once: what transformers and Moult both read."""
    folder = ROOT / ".models" / "SmolLM2-135M-bf16"
    if not (folder / "config.json").exists():
        teacher.load(dtype=torch.bfloat16).save_pretrained(folder)
        teacher.tokenizer().save_pretrained(folder)
    return folder


def made(name, *command):
    """The folder .demo/NAME, made by a moult command unless it is there."""
    folder = ROOT / ".demo" / name
    if not folder.exists():
        moult.run(*command, "--output", folder)
    return folder


def models():
    source = bfloat16_folder()
    student = made("student-bf16", "convert", source, "--window", 64, "--dtype", "bf16")
    return {
        "Moult, original, bf16": source,
        "Moult, converted, bf16": student,
        "Moult, converted, 8 bits": made("student-q8", "quantize", student, "--bits", 8),
        "Moult, converted, 4 bits": made(
            "student-q4", "quantize", student, "--bits", 4, "--calibration", ROOT / ".data" / "encyclopedia.txt"),
    }


# Sides

def transformers_worker(folder, threads, task):
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(int(threads))
    task = json.load(open(task))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()

    def run(ids, tokens):
        start = time.perf_counter()
        output = model(torch.tensor(ids)[None], use_cache=True, logits_to_keep=1)
        middle = time.perf_counter()
        for _ in range(tokens):
            token = output.logits[:, -1].argmax(-1, keepdim=True)
            output = model(token, past_key_values=output.past_key_values, use_cache=True)
        return len(ids) / (middle - start), tokens / max(time.perf_counter() - middle, 1e-9)

    with torch.no_grad():
        run(task["prefill"][0][:64], 4)  # warm-up
        result = {"prefill": {len(ids): run(ids, 0)[0] for ids in task["prefill"]},
                  "decode": {len(ids): run(ids, task["tokens"])[1] for ids in task["decode"]}}
    print(json.dumps(result))


def worker(command, task):
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "task.json"
        path.write_text(json.dumps(task))
        result = subprocess.run([*map(str, command), str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if result.returncode:
        raise SystemExit(f"{command[1]} failed with status {result.returncode}")
    return json.loads(result.stdout.strip().splitlines()[-1])


def run_transformers(folder, threads, ids):
    task = {"prefill": [ids[:n] for n in PREFILL], "decode": [ids[:n] for n in DEPTHS], "tokens": DECODE}
    result = worker([sys.executable, __file__, "--worker", folder, threads], task)
    return {f"prefill {n}": v for n, v in result["prefill"].items()} | {f"decode {n}": v for n, v in result["decode"].items()}


def llama_cpp(threads, contexts, prefill):
    task = {"prefill": prefill, "decode": contexts, "tokens": DECODE}
    return worker([sys.executable, ROOT / "Benchmarks" / "llama_cpp.py", teacher.GGUF, threads], task)


def run_llama_cpp(threads, ids):
    result = llama_cpp(threads, [ids[:n] for n in DEPTHS], ids[:PREFILL[0]])
    return {f"prefill {PREFILL[0]}": result["prefill"]} | {f"decode {n}": v for n, v in zip(DEPTHS, result["decode"])}


def run_moult(model, threads, depths=DEPTHS, batches=(1,), prefill=PREFILL, repeats=3):
    result = moult.run_json(
        "bench", model, "--prefill", ",".join(map(str, prefill)), "--decode", DECODE, "--repeats", repeats,
        "--depth", ",".join(map(str, depths)), "--batch", ",".join(map(str, batches)),
        environment={"MOULT_THREADS": str(threads)})
    speeds = {f"prefill {entry['tokens']}": entry["tokens_per_second"] for entry in result["prefill"]}
    for entry in result["decode"]:
        name = f"decode {entry['depth']}" + (f" x{entry['batch']}" if entry["batch"] > 1 else "")
        speeds[name] = entry["tokens_per_second"]
        if entry["batch"] == 1:
            speeds[f"share {entry['depth']}"] = entry["bandwidth_share"]
    return speeds | {"state": result["decode"][-1]["state_bytes"], "weights": result["weight_bytes"]}


# Checks

def check(sides, threads, ids):
    """Stops unless all sides compute the same model, to the precision of their weights."""
    reference = teacher.load(dtype=torch.float32).eval()
    row = torch.tensor(ids[:512])
    with torch.no_grad():
        expected = reference(row[None], use_cache=False).logits[0].argmax(-1)
    agreement = (expected == moult.logits(sides["Moult, original, bf16"], [row])[0].argmax(-1)).float().mean().item()
    print(f"Moult's most likely tokens are those of transformers in float32 at {agreement:.1%} of 512 positions")
    contexts = [ids[n:n + 64] for n in range(0, 640, 64)]
    with torch.no_grad():
        wanted = [reference(torch.tensor(context)[None]).logits[0, -1].argmax().item() for context in contexts]
    found = llama_cpp(threads, contexts, ids[:64])["text"]
    tokenizer = teacher.tokenizer()
    same = sum(text.startswith(tokenizer.decode([token])) for token, text in zip(wanted, found))
    print(f"llama.cpp's next token is that of transformers after {same} of {len(contexts)} contexts")
    with tempfile.TemporaryDirectory() as place:
        held = Path(place) / "held.txt"
        held.write_text(TEXT.read_text()[:60000])
        perplexity = {name: moult.run_json("perplexity", folder, "--data", held)["perplexity"] for name, folder in sides.items()}
    for name, value in perplexity.items():
        print(f"{name}: perplexity {value:.3f}")
    base = perplexity["Moult, converted, bf16"]
    rounded = [perplexity["Moult, converted, 8 bits"] / base - 1, perplexity["Moult, converted, 4 bits"] / base - 1]
    if agreement < 0.95 or same < 8 or rounded[0] > 0.01 or rounded[1] > 0.05:
        raise SystemExit("the sides do not compute the same model: nothing is timed")
    return {"agreement": agreement, "llama.cpp": same / len(contexts), "perplexity": perplexity}


# Tables

def table(medians, threads, deep):
    """The figures as Markdown, and the ratios that matter."""
    names = [f"prefill {n}" for n in PREFILL] + [f"decode {n}" for n in DEPTHS] + ["decode 16 x8"]
    heads = [re.sub(r"^decode (\d+) x(\d+)$", r"\2 sequences, decode after \1", name) for name in names]
    heads = [re.sub(r"^decode", "decode after", head) for head in heads]
    lines = [f"Tokens per second, {threads} threads, medians:\n", "| | " + " | ".join(heads) + " |", "|---" * (len(names) + 1) + "|"]
    for side, values in medians.items():
        lines.append(f"| {side} | " + " | ".join(f"{values[name]:.0f}" if name in values else "" for name in names) + " |")
    small, base, torch_side = medians["Moult, converted, 4 bits"], medians["llama.cpp, Q4_1"], medians["transformers, bf16"]
    lines += ["", "| 4 bits, converted | |", "|---|---|"]
    for depth in DEPTHS:
        lines.append(f"| decode after {depth}, against llama.cpp | {small[f'decode {depth}'] / base[f'decode {depth}']:.2f}x |")
    if deep:
        lines.append(f"| decode after {DEEP}, against after 16 in the same process | {deep[f'decode {DEEP}'] / deep['decode 16']:.3f} |")
    lines += [
        f"| prefill {PREFILL[0]}, against llama.cpp | {small[f'prefill {PREFILL[0]}'] / base[f'prefill {PREFILL[0]}']:.2f}x |",
        f"| prefill {PREFILL[1]}, against transformers bf16 | {small[f'prefill {PREFILL[1]}'] / torch_side[f'prefill {PREFILL[1]}']:.2f}x |",
        f"| 8 sequences, against 1 | {small['decode 16 x8'] / small['decode 16']:.2f}x |",
        f"| share of the memory's bandwidth that the weights take | {small['share 16']:.0%} |",
        f"| state of a sequence | {small['state'] / 1e6:.1f} MB |",
    ]
    return "\n".join(lines)


def write(path, text):
    """Replaces what stands between the markers of this benchmark."""
    begin, end = "<!-- inference: begin -->", "<!-- inference: end -->"
    document = Path(path).read_text()
    if begin not in document or end not in document:
        raise SystemExit(f"{path}: expected the lines {begin} and {end}")
    before, after = document.split(begin)[0], document.split(end)[1]
    Path(path).write_text(f"{before}{begin}\n{text}\n{end}{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--deep", action="store_true", help=f"also decode after {DEEP} tokens")
    parser.add_argument("--output", type=Path, help="a JSON file for every figure")
    parser.add_argument("--write", type=Path, help="a Markdown file whose tables are replaced")
    arguments = parser.parse_args()

    sides, threads, ids = models(), arguments.threads, text_ids(max(DEPTHS))
    checks = check(sides, threads, ids)
    samples = {name: [] for name in ["transformers, bf16", "llama.cpp, Q4_1", *sides]}
    for index in range(arguments.rounds):
        samples["transformers, bf16"].append(run_transformers(sides["Moult, original, bf16"], threads, ids))
        samples["llama.cpp, Q4_1"].append(run_llama_cpp(threads, ids))
        for name, folder in sides.items():
            batches = (1, 8) if "bits" in name else (1,)
            samples[name].append(run_moult(folder, threads, batches=batches))
        print(f"round {index + 1} of {arguments.rounds}", flush=True)
    deep = None
    if arguments.deep:
        deep = run_moult(sides["Moult, converted, 4 bits"], threads, depths=(16, DEEP), prefill=(0,), repeats=7)

    def median(runs):
        keys = {key: None for run in runs for key in run}
        return {key: statistics.median(run[key] for run in runs if key in run) for key in keys}

    medians = {name: median(runs) for name, runs in samples.items()}
    text = table(medians, threads, deep)
    print(f"\n{text}")
    if arguments.output:
        document = {"threads": threads, "checks": checks, "medians": medians, "samples": samples, "deep": deep}
        arguments.output.write_text(json.dumps(document, indent=2) + "\n")
    if arguments.write:
        write(arguments.write, text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        transformers_worker(*sys.argv[2:])
    else:
        main()
