#!/usr/bin/env python3
"""Speed and memory of training with Moult beside Hugging Face transformers, on SmolLM2-135M in bfloat16, on the same threads.

    .venv/bin/python Benchmarks/training.py [--quick] [--rounds 3] [--threads 2] [--output FILE.json]

Correctness comes first: on the same tokens, loss and gradient norm of the first step of the unconverted model must agree
with transformers', and the loss of the converted one with a float64 reference. Runs then alternate, each in a process of its
own, so that all see the same machine; figures are medians over the steps of all rounds, the first step of each left out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Tools" / "oracles"))

import moult  # noqa: E402
import softmax_preserving  # noqa: E402
import teacher  # noqa: E402
from inference import bfloat16_folder  # noqa: E402

TEXT = ROOT / ".data" / "encyclopedia_valid.txt"
SEQUENCES, LENGTH = 2, 512


def peak_memory(process="self"):
    """The most memory that a process held so far, bytes; None once it has ended. (The kernel's figure for an ended child
    may be that of the process that started it.)"""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def train_transformers(folder, rows, steps):
    """Fine-tunes as transformers users do; `rows` (B, T + 1) are the tokens of every step."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-5, betas=(0.9, 0.95), weight_decay=0.01)
    inputs, targets = rows[:, :-1].contiguous(), rows[:, 1:].contiguous()
    records = []
    for _ in range(steps):
        start = time.perf_counter()
        loss = model(inputs, labels=inputs, shift_labels=targets, use_cache=False).loss
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        seconds = time.perf_counter() - start
        records.append({"loss": loss.item(), "gradient_norm": norm.item(), "tokens_per_second": inputs.numel() / seconds})
    return records


def transformers_run(folder, rows, steps, threads):
    """The same in a process of its own: records of its steps and its peak memory in bytes."""
    with tempfile.TemporaryDirectory() as place:
        tokens = Path(place) / "rows.json"
        tokens.write_text(json.dumps(rows.tolist()))
        command = [sys.executable, __file__, "--worker", str(folder), str(tokens), str(steps), str(threads)]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    document = json.loads(result.stdout)
    return document["steps"], document["peak"]


def moult_run(model, stage, text, steps, threads, sequences=SEQUENCES, length=LENGTH, source=None):
    """Records of the steps of `moult train` and its peak memory in bytes."""
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        (place / "text.txt").write_text(text)
        config = {
            "length": length, "data": {"validation_share": 0}, "validation": {"every": 1 << 30},
            "stages": [{"stage": stage, "tokens": steps * sequences * length, "sequences": sequences}],
        }
        (place / "run.yaml").write_text(json.dumps(config))  # JSON is YAML
        command = [str(moult.EXECUTABLE), "train", str(model), "--data", str(place / "text.txt"),
                   "--config", str(place / "run.yaml"), "--output", str(place / "run")]
        if source:
            command += ["--teacher", str(source)]
        peak, errors = 0, place / "errors"
        with errors.open("w") as file:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file,
                                       env=os.environ | {"MOULT_THREADS": str(threads)})
            while process.poll() is None:
                peak = peak_memory(process.pid) or peak
                time.sleep(0.05)
        if process.returncode:
            raise SystemExit(f"moult train failed:\n{errors.read_text()}")
        lines = map(json.loads, (place / "run" / "metrics.jsonl").read_text().splitlines())
        return [line for line in lines if line["event"] == "step"], peak


def check(source, student, unconverted, text, threads):
    """Stops unless all sides compute the same losses on a row of 512 tokens."""
    # One row and a few tokens more: whatever the order of rows, the first step sees this one.
    ids = teacher.encode(text)[: LENGTH + 1]
    short = teacher.tokenizer().decode(teacher.encode(text)[: LENGTH + 100])
    row = torch.tensor(ids)[None]
    reference = transformers_run(source, row, 1, threads)[0][0]
    same = moult_run(unconverted, "finetune", short, 1, threads, sequences=1)[0][0]
    converted = moult_run(student, "finetune", short, 1, threads, sequences=1)[0][0]["loss"]
    logits = softmax_preserving.logits(student, row[:, :-1])
    expected = F.cross_entropy(logits[0], row[0, 1:]).item()
    print(f"loss, unconverted: transformers {reference['loss']:.4f}, Moult {same['loss']:.4f}; gradient norm "
          f"{reference['gradient_norm']:.3f}, {same['gradient_norm']:.3f}")
    print(f"loss, converted: float64 reference {expected:.4f}, Moult {converted:.4f}\n", flush=True)
    close = (abs(reference["loss"] - same["loss"]) < 0.02 and abs(expected - converted) < 0.02
             and abs(same["gradient_norm"] / reference["gradient_norm"] - 1) < 0.05)
    if not close:
        raise SystemExit("the sides do not compute the same: nothing is timed")


def student_folder(source, name, *options):
    folder = ROOT / ".demo" / name
    if not folder.exists():
        moult.run("convert", source, "--output", folder, "--dtype", "bf16", *options)
    return folder


def measure(runs, rounds):
    """{name: {"speed": median tok/s, "peak": largest bytes}} of alternating runs."""
    speeds, peaks = {name: [] for name in runs}, dict.fromkeys(runs, 0)
    for index in range(rounds):
        for name, run in runs.items():
            steps, peak = run()
            speeds[name] += [step["tokens_per_second"] for step in steps[1:]]
            peaks[name] = max(peaks[name], peak)
        print(f"round {index + 1} of {rounds}", flush=True)
    return {name: {"speed": statistics.median(speeds[name]), "peak": peaks[name]} for name in runs}


def table(title, results):
    print(f"\n{title}\n\n| | tok/s | peak memory |\n|---|---|---|")
    for name, result in results.items():
        print(f"| {name} | {result['speed']:.0f} | {result['peak'] / 1e9:.2f} GB |")
    print(flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round, few steps, lengths to 2048")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, help="a JSON file for every figure")
    arguments = parser.parse_args()
    threads, rounds = arguments.threads, 1 if arguments.quick else arguments.rounds
    steps = 4 if arguments.quick else 6

    source = bfloat16_folder()
    student = student_folder(source, "student-bf16", "--window", 64)
    layers = ",".join(map(str, range(json.loads((source / "config.json").read_text())["num_hidden_layers"])))
    unconverted = student_folder(source, "unconverted-bf16", "--keep-attention", layers)
    text = TEXT.read_text()
    check(source, student, unconverted, text, threads)

    rows = torch.tensor(teacher.encode(text[:20000])[: SEQUENCES * (LENGTH + 1)]).reshape(SEQUENCES, LENGTH + 1)
    stages = measure({
        "transformers, fine-tuning the original": lambda: transformers_run(source, rows, steps, threads),
        "Moult, fine-tuning the original": lambda: moult_run(unconverted, "finetune", text, steps, threads),
        "Moult, finetune": lambda: moult_run(student, "finetune", text, steps, threads),
        "Moult, distil": lambda: moult_run(student, "distil", text, steps, threads, source=source),
        "Moult, align": lambda: moult_run(student, "align", text, steps, threads, source=source),
    }, rounds)
    table(f"{SEQUENCES} x {LENGTH} tokens a step, {threads} threads", stages)

    lengths = (512, 2048) if arguments.quick else (512, 2048, 8192)
    tokens = lengths[-1]

    def run_of(model, length):
        return lambda: moult_run(model, "finetune", text, 3, threads, sequences=tokens // length, length=length)

    models = {"converted": student, "original": unconverted}
    scaling = measure({f"{name}, T = {length}": run_of(model, length)
                       for length in lengths for name, model in models.items()}, 1)
    table(f"Moult finetune, {tokens} tokens a step, {threads} threads", scaling)

    if arguments.output:
        document = {"threads": threads, "stages": stages, "scaling": scaling}
        arguments.output.write_text(json.dumps(document, indent=2) + "\n")


def worker(folder, tokens, steps, threads):
    torch.set_num_threads(int(threads))
    records = train_transformers(folder, torch.tensor(json.loads(Path(tokens).read_text())), int(steps))
    print(json.dumps({"steps": records, "peak": peak_memory()}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(*sys.argv[2:])
    else:
        main()
